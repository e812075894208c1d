/** What can go wrong with a {@link Cluster}; branch on it, not on the message. */
export type ClusterErrorCode =
  | 'CLUSTER_NOT_SUPPORTED'
  | 'CLUSTER_UNTRUSTED_DIRECTORY'
  | 'CLUSTER_START_FAILED'
  | 'CLUSTER_ALREADY_RUNNING'
  | 'CLUSTER_NOT_RUNNING'
  | 'CLUSTER_DISPOSED'
  | 'CLUSTER_FOREIGN_PROCESS'
  | 'CLUSTER_INVALID_SETTING'

/** The throw-away server could not do what it was asked; the server's own complaints about SQL are not wrapped. */
export class ClusterError extends Error {
  override readonly name = 'ClusterError'
  readonly code: ClusterErrorCode

  constructor(code: ClusterErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** What can go wrong with a {@link FaultProxy}; branch on it, not on the message. */
export type FaultProxyErrorCode = 'PROXY_CLOSED' | 'PROXY_PORT_TAKEN'

/** The proxy itself failed, as opposed to the faults that it was asked to make. */
export class FaultProxyError extends Error {
  override readonly name = 'FaultProxyError'
  readonly code: FaultProxyErrorCode

  constructor(code: FaultProxyErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** {@link until} gave up. */
export class UntilTimeoutError extends Error {
  override readonly name = 'UntilTimeoutError'
  readonly code = 'UNTIL_TIMEOUT'
}
