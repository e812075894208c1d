import { describeContract } from '../adapters/contract.ts'
import { subject } from '../adapters/subjects/kysely-stock.ts'

describeContract(subject)
