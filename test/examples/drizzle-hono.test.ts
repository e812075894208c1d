import { describeService } from './support/contract.ts'

describeService('drizzle-hono.ts')
