import { describeContract } from '../adapters/contract.ts'
import { subject } from '../adapters/subjects/typeorm-stock.ts'

describeContract(subject)
