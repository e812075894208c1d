import { describeContract } from './contract.ts'
import { subject } from './subjects/kysely.ts'

describeContract(subject)
