import { describeContract } from './contract.ts'
import { subject } from './subjects/drizzle-stock.ts'

describeContract(subject)
