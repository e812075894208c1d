import fc from 'fast-check'

/** What a broken or malicious server may answer in one column. */
export const nonsense: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(
    undefined,
    null,
    '',
    '0',
    '-1',
    '9'.repeat(100_000),
    'unknown',
    'COMMITTED',
    true,
    {},
    [],
    Number.NaN,
  ),
  fc.string(),
  fc.anything(),
)
