import type { ExpectedCounts } from './expected-counts.ts'

const LONGEST_PAUSE_MILLIS = 1000
const FIRST_PID = 100

/** What holds at every instant. */
export function look(ledger: ExpectedCounts): void {
  const { engine, clock, server } = ledger.rig
  const { max, closeTimeoutMillis } = ledger.options
  const { inventory } = engine
  const now = clock.now()
  const all = inventory.all()
  const { leased, idle, opening, checking, resetting } = inventory.occupancy(now)
  if (inventory.size > max) ledger.complaints.push(`${inventory.size} slots are taken of ${max}`)
  if (leased + idle + opening + checking + resetting !== inventory.size || all.length !== inventory.size)
    ledger.complaints.push(`${leased} + ${idle} + ${opening} + ${checking} + ${resetting} are not ${inventory.size}`)
  if (idle !== all.filter((connection) => connection.is('idle')).length)
    ledger.complaints.push(`${idle} are said to be idle`)
  if (engine.waitingCount !== ledger.line.length)
    ledger.complaints.push(`${engine.waitingCount} are said to wait, ${ledger.line.length} do`)
  // Who waits for what can be had doesn't count.
  if (engine.waitingCount > ledger.options.maxWaiting + max - leased - resetting)
    ledger.complaints.push('more wait than may')

  for (const connection of all) {
    if (connection.is('leased') && !ledger.holders.has(connection))
      ledger.complaints.push(`connection ${connection.id} is leased to nobody`)
    if (connection.isLost && !connection.is('opening'))
      ledger.complaints.push(`connection ${connection.id} is lost, and takes a slot`)
  }
  for (const [connection, visit] of ledger.holders) {
    if (!connection.is('leased') && !ledger.retired.has(connection))
      ledger.complaints.push(`connection ${connection.id} was taken from its holder`)
    if (visit.state !== 'holding') ledger.complaints.push('somebody holds what he has given back')
  }
  for (const visit of ledger.visits) {
    const expected = visit.state === 'waiting' && visit.controller ? 1 : 0
    if (visit.listeners !== expected) ledger.complaints.push(`${visit.listeners} listeners are on a signal`)
  }
  if (inventory.asides.size > 1) ledger.complaints.push(`${inventory.asides.size} log in beside others, and one may`)
  const known = new Set([...all, ...inventory.asides].map(({ id }) => id))
  server.backends.forEach(({ isOpen }, index) => {
    const number = index + 1
    if (known.has(number) || ledger.abandoned.has(number)) return
    const leftAt = ledger.leftAt.get(number) ?? now
    ledger.leftAt.set(number, leftAt)
    if (isOpen && now - leftAt > closeTimeoutMillis)
      ledger.complaints.push(`connection ${number} has left the pool, but its socket is open`)
  })
}

/** What holds when everything that hung on the last steps has happened. */
export function lookAtWaiters(ledger: ExpectedCounts): void {
  const { engine, clock } = ledger.rig
  const now = clock.now()
  for (const visit of ledger.line)
    if (now > visit.until) ledger.complaints.push(`somebody waits ${now - visit.until} ms beyond his deadline`)
  const { idle, opening, checking } = engine.inventory.occupancy(now)
  const waiting = ledger.line.length
  if (waiting > checking + opening && idle > 0)
    ledger.complaints.push(
      `${waiting} wait though ${idle} are idle, and for the first ${checking + opening} only is cared`,
    )
  lookForNeglected(ledger)
  for (const disposal of ledger.disposals)
    if (!disposal.isOver && now - disposal.since > ledger.options.closeTimeoutMillis)
      ledger.complaints.push('dispose() takes longer than a goodbye may')
}

/** Whoever waits though there is room waits for a connection under way, or while a probe pauses. */
export function lookForNeglected(ledger: ExpectedCounts): void {
  const { engine, clock, pid } = ledger.rig
  const { size } = engine.inventory
  const now = clock.now()
  const { opening, checking } = engine.inventory.occupancy(now)
  if (ledger.closedAt !== undefined || ledger.line.length === 0 || opening + checking > 0 || size >= ledger.options.max)
    return
  // An attempt that was begun in another process counts until it is given up.
  if (now - ledger.lastFailureAt > LONGEST_PAUSE_MILLIS && pid === FIRST_PID)
    ledger.complaints.push(`${ledger.line.length} wait though there is room, and nothing is done for them`)
}

export function lookAtChores(ledger: ExpectedCounts): void {
  const { engine, clock } = ledger.rig
  const { idleTimeoutMillis, leakDetectionMillis, min, maxIdle } = ledger.options
  const now = clock.now()
  const idle = engine.inventory.all().filter((connection) => connection.is('idle'))
  // One that was to be pinged for a waiter stays if the waiter is served by another one first.
  if (idle.length > maxIdle && !ledger.options.prePing)
    ledger.complaints.push(`${idle.length} are idle, and no more than ${maxIdle} may`)
  if (ledger.closedAt !== undefined) return
  const overdue = idle.filter(({ idleSince }) => now - idleSince > idleTimeoutMillis)
  if (overdue.length > min) ledger.complaints.push(`${overdue.length} are idle for longer than idleTimeoutMillis`)
  if (idle.some(({ expiresAt }) => expiresAt < now)) ledger.complaints.push('one that lies idle is too old')
  for (const [connection, visit] of ledger.holders)
    if (connection.is('leased') && now - visit.leasedAt > leakDetectionMillis && !ledger.overdue.has(visit))
      ledger.complaints.push(`nobody was told of a lease of ${now - visit.leasedAt} ms`)
}
