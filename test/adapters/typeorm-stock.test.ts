import { describeContract } from './contract.ts'
import { subject } from './subjects/typeorm-stock.ts'

describeContract(subject)
