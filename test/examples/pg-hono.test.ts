import { describeService } from './support/contract.ts'

describeService('pg-hono.ts')
