import { subject as drizzle } from '../adapters/subjects/drizzle.ts'
import { subject as kysely } from '../adapters/subjects/kysely.ts'
import { subject as pg } from '../adapters/subjects/pg.ts'
import { subject as typeorm } from '../adapters/subjects/typeorm.ts'
import { describeMatrix } from './support/matrix.ts'

// The unmodified ORMs have their turn in `npm run test:long`.
describeMatrix([pg, drizzle, kysely, typeorm])
