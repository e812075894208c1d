import type { CalmPoint } from '../run/record.ts'

/** Something that must not grow, and what it would grow with. */
export interface Measure {
  readonly name: string
  /** What each unit of would leave something behind. */
  readonly per: string
  readonly unit: string
  /** The steepest slope that still counts as flat. */
  readonly limit: number
  /** Why the limit is what it is. */
  readonly reason: string
  read(point: CalmPoint): number
  /** How many of `per` there were before this point. */
  progress(point: CalmPoint, index: number): number
}

const perOperation = { per: 'operation', progress: ({ sample }: CalmPoint) => sample.operations }
const perConnection = { per: 'connection opened', progress: ({ sample }: CalmPoint) => sample.opened }
const perFault = { per: 'fault', progress: (_point: CalmPoint, index: number) => index }
const oneInTwenty = { limit: 0.05, reason: 'one kept in twenty faults' }

/** What is judged by its slope, at the calm points: no connection is open, and the garbage is collected. */
export const MEASURES: readonly Measure[] = [
  {
    name: 'objects on the heap',
    unit: 'bytes',
    ...perOperation,
    limit: 16,
    reason: 'a quarter of the least that one kept closure or entry of a Map weighs',
    read: ({ sample }) => sample.objects,
  },
  {
    name: 'objects on the heap',
    unit: 'bytes',
    ...perConnection,
    limit: 512,
    reason: 'a small part of what a kept client with its socket weighs',
    read: ({ sample }) => sample.objects,
  },
  {
    name: 'external memory',
    unit: 'bytes',
    ...perConnection,
    limit: 512,
    reason: 'a small part of the buffers of one TLS socket',
    read: ({ sample }) => sample.external,
  },
  { name: 'handles', unit: '', ...perFault, ...oneInTwenty, read: ({ sample }) => handlesOf(sample.resources) },
  { name: 'listeners', unit: '', ...perFault, ...oneInTwenty, read: ({ sample }) => sample.listeners },
  {
    name: 'listeners of a long-lived signal',
    unit: '',
    ...perFault,
    ...oneInTwenty,
    read: ({ sample }) => sample.signalListeners,
  },
]

/** The number of handles of all kinds. */
export function handlesOf(resources: Readonly<Record<string, number>>): number {
  return Object.values(resources).reduce((sum, count) => sum + count, 0)
}
