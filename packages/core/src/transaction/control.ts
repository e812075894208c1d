// A comment can't be read in two ways here, or a text that begins with many would take for ever.
const LEADING = String.raw`(?:\s|--[^\n]*\n|/\*(?:[^*]|\*(?!/))*\*/)*`
const TO_SAVEPOINT = String.raw`\s+(?:(?:work|transaction)\s+)?to\b`
const CONTROLS = new RegExp(
  `^${LEADING}(begin|start\\s+transaction|commit|end|abort|prepare\\s+transaction|rollback(?!${TO_SAVEPOINT}))\\b`,
  'i',
)

/**
 * The word by which this text would begin or end a transaction; undefined if it does neither. Savepoints are free. Only
 * the first statement of a text is looked at: what hides behind it is noticed when it's done.
 */
export function transactionControlIn(text: string | undefined): string | undefined {
  return text === undefined ? undefined : CONTROLS.exec(text)?.[1]
}
