import { describeService } from './support/contract.ts'

describeService('typeorm-fastify.ts')
