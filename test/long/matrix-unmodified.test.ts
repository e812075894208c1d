import { subject as drizzle } from '../adapters/subjects/drizzle-stock.ts'
import { subject as kysely } from '../adapters/subjects/kysely-stock.ts'
import { subject as typeorm } from '../adapters/subjects/typeorm-stock.ts'
import { describeMatrix } from '../commits/support/matrix.ts'

describeMatrix([drizzle, kysely, typeorm])
