import { subject as stockDrizzle } from '../adapters/subjects/drizzle-stock.ts'
import { subject as kysely } from '../adapters/subjects/kysely.ts'
import { subject as stockKysely } from '../adapters/subjects/kysely-stock.ts'
import { subject as typeorm } from '../adapters/subjects/typeorm.ts'
import { subject as stockTypeorm } from '../adapters/subjects/typeorm-stock.ts'
import { describeMatrix } from '../commits/support/matrix.ts'

describeMatrix([stockDrizzle, stockKysely, kysely, stockTypeorm, typeorm])
