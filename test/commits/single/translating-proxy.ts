import type net from 'node:net'
import { CutMessages } from '../../support/cut-messages.ts'
import type { Address } from '../../support/index.ts'
import { PlainProxy } from '../../support/plain-proxy.ts'

const HEADER_LENGTH = 5
const ERROR = 'E'.charCodeAt(0)
const NOTICE = 'N'.charCodeAt(0)

/** As `lc_messages` does: the severity, and the message. The embedded server has no translations of its own. */
const WORDS: Readonly<Record<string, string>> = { ERROR: 'FEHLER', FATAL: 'FATAL ERROR', WARNING: 'WARNUNG' }

/** A proxy, without TLS, that translates the server's errors and notices. */
export class TranslatingProxy extends PlainProxy {
  /** Makes a proxy in front of a server without TLS. */
  static async start(target: Address): Promise<TranslatingProxy> {
    return await new TranslatingProxy().listen(target)
  }

  protected relay(client: net.Socket, server: net.Socket): void {
    client.on('data', (bytes) => server.write(bytes))
    const messages = new CutMessages(true)
    server.on('data', (bytes) => {
      const whole = [...messages.add(bytes)].map(translated)
      if (whole.length > 0) client.write(Buffer.concat(whole))
    })
  }
}

function translated(message: Buffer): Buffer {
  const [type] = message
  if (type !== ERROR && type !== NOTICE) return message
  const fields = message.toString('utf8', HEADER_LENGTH).split('\0')
  const body = Buffer.from(fields.map(translatedField).join('\0'))
  const header = Buffer.from([type, 0, 0, 0, 0])
  header.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([header, body])
}

/** V, which pg doesn't show, is never translated. */
function translatedField(field: string): string {
  if (field.startsWith('S')) return `S${WORDS[field.slice(1)] ?? field.slice(1)}`
  return field.startsWith('M') ? 'Mdie Verbindung wurde beendet' : field
}
