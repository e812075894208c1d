import 'reflect-metadata'
import { holdfast } from '@holdfast/typeorm'
import { Column, DataSource, Entity, JoinColumn, OneToOne, PrimaryGeneratedColumn, type Relation } from 'typeorm'
import { expect } from 'vitest'
import { test } from '../../faults/support/fault-test.ts'
import { addressOf } from './support/data-source.ts'

@Entity()
class Photo {
  @PrimaryGeneratedColumn()
  id!: number

  @Column({ length: 100 })
  name!: string

  @Column('double precision')
  views!: number

  @Column()
  isPublished!: boolean

  @OneToOne(
    () => PhotoMetadata,
    (metadata) => metadata.photo,
  )
  metadata!: Relation<PhotoMetadata>
}

@Entity()
class PhotoMetadata {
  @PrimaryGeneratedColumn()
  id!: number

  @Column('int')
  height!: number

  @OneToOne(
    () => Photo,
    (photo) => photo.metadata,
  )
  @JoinColumn()
  photo!: Relation<Photo>
}

test("TypeORM's getting started works with its options given through holdfast()", async ({ direct }) => {
  const AppDataSource = new DataSource(
    holdfast({ type: 'postgres', ...addressOf(direct), entities: [Photo, PhotoMetadata], synchronize: true }),
  )
  await AppDataSource.initialize()
  const photos = AppDataSource.getRepository(Photo)
  const photo = Object.assign(new Photo(), { name: 'Me and Bears', views: 1, isPublished: true })
  await photos.save(photo)
  await AppDataSource.manager.save(Object.assign(new PhotoMetadata(), { height: 640, photo }))

  const found = await photos.findOneOrFail({ where: { isPublished: true }, relations: { metadata: true } })
  expect(found).toMatchObject({ id: photo.id, name: 'Me and Bears', metadata: { height: 640 } })
  found.name = 'Me, my friends and polar bears'
  await photos.save(found)
  expect(await photos.findAndCount()).toMatchObject([[{ name: 'Me, my friends and polar bears' }], 1])
  const query = photos.createQueryBuilder('photo').innerJoinAndSelect('photo.metadata', 'metadata')
  expect(await query.where('photo.views > :views', { views: 0 }).getMany()).toHaveLength(1)
  await AppDataSource.getRepository(PhotoMetadata).clear()
  await photos.remove(found)
  expect(await photos.count()).toBe(0)
  await AppDataSource.dropDatabase()
  await AppDataSource.destroy()
})

test('holdfast() returns options that still work with keys of NestJS beside them', async ({ direct }) => {
  const options = { ...holdfast({ type: 'postgres', ...addressOf(direct) }), autoLoadEntities: true, retryAttempts: 1 }
  const source = await new DataSource({ ...options, entities: [] }).initialize()
  expect(await source.query('select 1 as it')).toEqual([{ it: 1 }])
  await source.destroy()
})
