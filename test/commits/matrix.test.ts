import { subject as drizzle } from '../adapters/subjects/drizzle.ts'
import { subject as pg } from '../adapters/subjects/pg.ts'
import { describeMatrix } from './support/matrix.ts'

// The others have their turn in `npm run test:long`.
describeMatrix([pg, drizzle])
