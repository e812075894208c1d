-- Up Migration
create table account (id int primary key, balance int not null);

-- Down Migration
drop table account;
