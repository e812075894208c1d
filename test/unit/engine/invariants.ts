import type { EventRecorder } from './event-recorder.ts'

const LONGEST_PAUSE_MILLIS = 1000
const FIRST_PID = 100

/** Checks what must hold at every instant. */
export function checkState(recorder: EventRecorder): void {
  const { engine, clock, server } = recorder.fixture
  const { max, closeTimeoutMillis } = recorder.options
  const { inventory } = engine
  const now = clock.now()
  const all = inventory.all()
  const { leased, idle, opening, checking, resetting } = inventory.occupancy(now)
  if (inventory.size > max) recorder.violations.push(`${inventory.size} slots are taken of ${max}`)
  if (leased + idle + opening + checking + resetting !== inventory.size || all.length !== inventory.size)
    recorder.violations.push(`${leased} + ${idle} + ${opening} + ${checking} + ${resetting} are not ${inventory.size}`)
  if (idle !== all.filter((connection) => connection.is('idle')).length)
    recorder.violations.push(`${idle} are reported as idle`)
  if (engine.waitingCount !== recorder.queue.length)
    recorder.violations.push(`${engine.waitingCount} are reported as waiting, ${recorder.queue.length} wait`)
  // Waiters for which a connection can be opened don't count.
  if (engine.waitingCount > recorder.options.maxWaiting + max - leased - resetting)
    recorder.violations.push('more callers wait than maxWaiting allows')

  for (const connection of all) {
    if (connection.is('leased') && !recorder.holders.has(connection))
      recorder.violations.push(`connection ${connection.id} is leased without a holder`)
    if (connection.isLost && !connection.is('opening'))
      recorder.violations.push(`connection ${connection.id} is lost, and takes a slot`)
  }
  for (const [connection, caller] of recorder.holders) {
    if (!connection.is('leased') && !recorder.retired.has(connection))
      recorder.violations.push(`connection ${connection.id} was taken from its holder`)
    if (caller.state !== 'holding') recorder.violations.push('a caller holds a connection that it has released')
  }
  for (const caller of recorder.callers) {
    const expected = caller.state === 'waiting' && caller.controller ? 1 : 0
    if (caller.listeners !== expected) recorder.violations.push(`${caller.listeners} listeners are on a signal`)
  }
  if (inventory.asides.size > 1) recorder.violations.push(`${inventory.asides.size} log in beside others, and one may`)
  const known = new Set([...all, ...inventory.asides].map(({ id }) => id))
  server.backends.forEach(({ isOpen }, index) => {
    const number = index + 1
    if (known.has(number) || recorder.abandoned.has(number)) return
    const leftAt = recorder.leftAt.get(number) ?? now
    recorder.leftAt.set(number, leftAt)
    if (isOpen && now - leftAt > closeTimeoutMillis)
      recorder.violations.push(`connection ${number} has left the pool, but its socket is open`)
  })
}

/** Checks what must hold when the last steps have had all their effects. */
export function checkWaiters(recorder: EventRecorder): void {
  const { engine, clock } = recorder.fixture
  const now = clock.now()
  for (const caller of recorder.queue)
    if (now > caller.until) recorder.violations.push(`a caller waits ${now - caller.until} ms beyond its deadline`)
  const { idle, opening, checking } = engine.inventory.occupancy(now)
  const waiting = recorder.queue.length
  if (waiting > checking + opening && idle > 0)
    recorder.violations.push(
      `${waiting} callers wait though ${idle} connections are idle, and only ${checking + opening} are on their way`,
    )
  checkUnserved(recorder)
  for (const disposal of recorder.disposals)
    if (!disposal.isOver && now - disposal.since > recorder.options.closeTimeoutMillis)
      recorder.violations.push('dispose() takes longer than closeTimeoutMillis')
}

/** Callers may wait while the pool has room only for a connection on its way, or for one that pauses before it retries. */
export function checkUnserved(recorder: EventRecorder): void {
  const { engine, clock, pid } = recorder.fixture
  const { size } = engine.inventory
  const now = clock.now()
  const { opening, checking } = engine.inventory.occupancy(now)
  if (
    recorder.closedAt !== undefined ||
    recorder.queue.length === 0 ||
    opening + checking > 0 ||
    size >= recorder.options.max
  )
    return
  // An attempt that began in another process counts until it ends.
  if (now - recorder.lastFailureAt > LONGEST_PAUSE_MILLIS && pid === FIRST_PID)
    recorder.violations.push(
      `${recorder.queue.length} callers wait though the pool has room, and no connection is on its way`,
    )
}

/** Checks what must hold when maintenance has run. */
export function checkMaintenance(recorder: EventRecorder): void {
  const { engine, clock } = recorder.fixture
  const { idleTimeoutMillis, leakDetectionMillis, min, maxIdle } = recorder.options
  const now = clock.now()
  const idle = engine.inventory.all().filter((connection) => connection.is('idle'))
  // A connection that was to be pinged for a waiter stays if the waiter gets another one first.
  if (idle.length > maxIdle && !recorder.options.prePing)
    recorder.violations.push(`${idle.length} are idle, and no more than ${maxIdle} may`)
  if (recorder.closedAt !== undefined) return
  const overdue = idle.filter(({ idleSince }) => now - idleSince > idleTimeoutMillis)
  if (overdue.length > min) recorder.violations.push(`${overdue.length} are idle for longer than idleTimeoutMillis`)
  if (idle.some(({ expiresAt }) => expiresAt < now)) recorder.violations.push('an idle connection is too old')
  for (const [connection, caller] of recorder.holders)
    if (connection.is('leased') && now - caller.leasedAt > leakDetectionMillis && !recorder.overdue.has(caller))
      recorder.violations.push(`a lease of ${now - caller.leasedAt} ms was not reported`)
}
