import type { ModelServer } from './server.ts'
import type { ModelSession, Outcome } from './session.ts'
import type { Command } from './sql.ts'
import type { Row } from './wire.ts'

/** Commands that only read: the application's, and the pool's about transactions, sessions and the server. */
type Question = Extract<
  Command,
  { do: 'read' | 'echo' | 'probe' | 'who are you' | 'limits' | 'functions' | 'status' | 'where is' | 'terminate' }
>

/** Answers a question in this session. */
export function answerTo(question: Question | WatchQuestion, session: ModelSession, server: ModelServer): Outcome {
  switch (question.do) {
    case 'read':
      return found([{ one: '1' }])
    case 'echo':
      return found([{ shared: question.value }])
    case 'probe': {
      const known = { xid: session.transaction?.id?.toString() ?? null, pid: String(session.pid) }
      return found([question.withServer ? { ...known, server: server.identityOf(session) } : known])
    }
    case 'who are you':
      return found([{ server: server.identityOf(session), ...server.checkpointRow() }])
    case 'limits':
      return found([{ superuser: 't', server: '100' }])
    // Whatever they are: all write, or fail.
    case 'functions':
      return found(['write', 'announce'].map((name) => ({ schema: 'public', name, isRead: 'false' })))
    case 'status': {
      const status = server.statusOf(question.id)
      return status ? found([{ status }]) : { error: ['22023', `transaction ID ${question.id} is in the future`] }
    }
    case 'where is':
      return found(
        server
          .sessionsWhere(question.which)
          .map(({ transaction }) => ({ wait_event: null, xid: transaction?.id?.toString() ?? null })),
      )
    case 'identify': {
      const { pid, start } = session
      const row = { pid: String(pid), backend_start: start, server_start: server.startedAt, now: server.time() }
      return found([row])
    }
    case 'who serves':
      return found([{ pid: String(session.pid) }])
    case 'look':
      return found(
        question.pids.map((pid) => {
          const [seen] = server.sessionsWhere({ pid })
          return { asked: String(pid), is_there: String(seen !== undefined), ...sightOf(seen, server) }
        }),
      )
    case 'fence': {
      const [seen] = server.sessionsWhere(question)
      if (!seen) return found([])
      if (seen.isBusy) server.complaints.push('the watch ends a session that is at work')
      seen.isTerminated = true
      return found([{ asked: String(seen.pid), is_there: 'true', ...sightOf(seen, server) }])
    }
    case 'exists':
      return found(server.sessionsWhere(question).map(({ pid }) => ({ pid: String(pid) })))
    case 'terminate': {
      const sessions = server.sessionsWhere(question.which)
      for (const each of sessions) {
        if (each.isInUse) server.complaints.push('a session is terminated whose client is still connected')
        each.isTerminated = true
      }
      return found(sessions.map(() => ({ done: 't' })))
    }
  }
}

/** The questions of the watch. */
type WatchQuestion = Extract<Command, { do: 'identify' | 'who serves' | 'look' | 'fence' | 'exists' }>

function sightOf(seen: ModelSession | undefined, server: ModelServer): Row {
  const isWaiting = seen?.activity.state.startsWith('idle') ?? false
  return {
    state: seen?.activity.state ?? null,
    wait_event_type: isWaiting ? 'Client' : null,
    wait_event: isWaiting ? 'ClientRead' : null,
    xid: seen?.transaction?.id?.toString() ?? null,
    query: seen?.activity.query.slice(0, 200) ?? null,
    query_start: seen?.activity.queryStart ?? null,
    state_change: seen?.activity.stateChange ?? null,
    backend_start: seen?.start ?? null,
    now: server.time(),
    server_start: server.startedAt,
    next_xid: server.nextId,
    blocked_by: null,
  }
}

function found(rows: readonly Row[]): Outcome {
  return { tag: `SELECT ${rows.length}`, rows }
}
