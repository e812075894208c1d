import { generate } from 'selfsigned'

/** A certification authority that lives as long as a test, and one server certificate that it signed. All PEM. */
export interface Certificates {
  /** The authority's certificate: what a client has to trust. */
  readonly ca: string
  /** The server's certificate, for localhost, 127.0.0.1 and ::1. */
  readonly certificate: string
  /** The server's private key. */
  readonly key: string
}

const HOUR_MILLIS = 3_600_000
const DAY_MILLIS = 24 * HOUR_MILLIS

/** Makes an authority and a server certificate for the loopback addresses (P-256, SHA-256), valid for thirty days. */
export async function issueCertificates(): Promise<Certificates> {
  const common = {
    keyType: 'ec',
    algorithm: 'sha256', // The library's own default is SHA-1, which OpenSSL refuses.
    notBeforeDate: new Date(Date.now() - HOUR_MILLIS), // For machines that share a disk but not quite a clock.
    notAfterDate: new Date(Date.now() + 30 * DAY_MILLIS),
  } as const
  const authority = await generate([{ name: 'commonName', value: 'Holdfast throw-away CA' }], {
    ...common,
    extensions: [
      { name: 'basicConstraints', cA: true, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  })
  const server = await generate([{ name: 'commonName', value: 'localhost' }], {
    ...common,
    ca: { cert: authority.cert, key: authority.private },
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: [
          { type: 2, value: 'localhost' },
          { type: 7, ip: '127.0.0.1' },
          { type: 7, ip: '::1' },
        ],
      },
    ],
  })
  return { ca: authority.cert, certificate: server.cert, key: server.private }
}
