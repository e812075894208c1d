import type { ModelServer } from './server.ts'
import type { ModelSession, Outcome } from './session.ts'
import type { Command } from './sql.ts'
import type { Row } from './wire.ts'

/** Commands that only read: the application's, and the pool's about transactions, sessions and the server. */
type Question = Extract<
  Command,
  { do: 'read' | 'probe' | 'who are you' | 'limits' | 'status' | 'where is' | 'terminate' }
>

/** Answers a question in this session. */
export function answerTo(question: Question, session: ModelSession, server: ModelServer): Outcome {
  switch (question.do) {
    case 'read':
      return found([{ one: '1' }])
    case 'probe': {
      const known = { xid: session.transaction?.id?.toString() ?? null, pid: String(session.pid) }
      return found([question.withServer ? { ...known, server: server.identityOf(session) } : known])
    }
    case 'who are you':
      return found([{ server: server.identityOf(session), ...server.checkpointRow() }])
    case 'limits':
      return found([{ superuser: 't', server: '100' }])
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

function found(rows: readonly Row[]): Outcome {
  return { tag: `SELECT ${rows.length}`, rows }
}
