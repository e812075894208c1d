import { describeService } from './support/contract.ts'

describeService('kysely-fastify.ts')
