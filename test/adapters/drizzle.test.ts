import { describeContract } from './contract.ts'
import { subject } from './subjects/drizzle.ts'

describeContract(subject)
