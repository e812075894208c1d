import type { Address } from './link.ts'

/** A copy of a pg configuration that leads through a proxy, by `host` and `port` or by `connectionString`. */
export function configThrough<Config extends object>({ host, port }: Address, config: Config): Config & Address {
  const url = 'connectionString' in config && config.connectionString
  const string = typeof url === 'string' ? { connectionString: urlThrough({ host, port }, url) } : {}
  return { ...config, ...string, host, port }
}

/** The same URL, leading through a proxy. */
export function urlThrough({ host, port }: Address, url: string): string {
  const parsed = new URL(url)
  parsed.host = `${host}:${port}`
  return parsed.href
}
