import { vi } from 'vitest'
import { describeContract } from '../contract.ts'
import { subject } from './support/candidate-subject.ts'

// What is in a scope is known to one copy of the core: the one that Node has loaded for the adapter.
vi.mock('@holdfast/core', async () => (await import('./support/candidate.ts')).CANDIDATE)

describeContract(subject)
