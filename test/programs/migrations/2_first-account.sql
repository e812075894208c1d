-- Up Migration
insert into account values (1, 100);

-- Down Migration
delete from account where id = 1;
