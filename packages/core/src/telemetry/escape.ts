/** A text of the user's without what would begin another line, move the cursor or colour the screen. */
export function escaped(text: string): string {
  return text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (each) => `\\u${each.codePointAt(0)?.toString(16).padStart(4, '0')}`,
  )
}

/** A text in one line, free of control characters. */
export function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Zl}\p{Zp}]+\s*/gu, ' ').replaceAll(/\p{Cf}/gu, '')
}
