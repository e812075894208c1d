import { vi } from 'vitest'
import { describeContract } from '../adapters/contract.ts'
import { subject } from '../adapters/drizzle/support/candidate-subject.ts'

// A scope of `withPoolOptions` is known to one copy of the core only: the copy that Node has loaded for the adapter.
vi.mock('@holdfast/core', async () => (await import('../adapters/drizzle/support/candidate.ts')).CANDIDATE)

describeContract(subject)
