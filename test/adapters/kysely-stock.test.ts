import { describeContract } from './contract.ts'
import { subject } from './subjects/kysely-stock.ts'

describeContract(subject)
