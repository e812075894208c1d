import { X509Certificate } from 'node:crypto'
import { expect, test } from 'vitest'
import { issueCertificates } from './certificates.ts'

test('the test authority issues a server certificate that its authority vouches for, for every loopback address', async () => {
  const issued = await issueCertificates()
  const authority = new X509Certificate(issued.ca)
  const server = new X509Certificate(issued.certificate)
  expect(authority.ca).toBe(true)
  expect(server.ca).toBe(false)
  expect(server.checkIssued(authority)).toBe(true)
  expect(server.verify(authority.publicKey)).toBe(true)
  expect(server.checkHost('localhost')).toBe('localhost')
  expect(server.checkIP('127.0.0.1')).toBe('127.0.0.1')
  expect(server.checkIP('::1')).toBe('::1')
})

test('the test authority issues every authority with a key of its own', async () => {
  const [one, other] = [await issueCertificates(), await issueCertificates()]
  const authority = new X509Certificate(other.ca)
  expect(new X509Certificate(one.certificate).verify(authority.publicKey)).toBe(false)
})
