const UNITS = [
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
] as const

/** A time in its two largest units, for people: `2 h 11 min`, `45 s`, `250 ms`. */
export function duration(millis: number): string {
  const index = UNITS.findIndex(([, size]) => millis >= size)
  const [unit, size] = UNITS[index] ?? []
  if (unit === undefined || size === undefined) return `${Math.round(millis)} ms`
  const [smaller, part] = UNITS[index + 1] ?? []
  const whole = Math.floor(millis / size)
  const rest = part === undefined ? 0 : Math.floor((millis % size) / part)
  return rest === 0 ? `${whole} ${unit}` : `${whole} ${unit} ${rest} ${smaller}`
}
