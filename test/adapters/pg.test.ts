import { describeContract } from './contract.ts'
import { subject } from './subjects/pg.ts'

describeContract(subject)
