import { vi } from 'vitest'
import { describeContract } from '../contract.ts'
import { subject } from './support/candidate-subject.ts'

// A scope of `withPoolOptions` is known to one copy of the core only: the copy that Node has loaded for the adapter.
vi.mock('@holdfast/core', async () => (await import('./support/candidate.ts')).CANDIDATE)

describeContract(subject)
