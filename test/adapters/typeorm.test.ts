import { describeContract } from './contract.ts'
import { subject } from './subjects/typeorm.ts'

describeContract(subject)
