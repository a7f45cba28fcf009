// Names the characters of a pasted text that are invisible or look like ASCII characters. The caller decides whether to
// reject the text.

/** Controls, format characters and every space except the plain one. No setting, name or number needs them. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/u

/** Typographic quotes and dashes, fullwidth forms, digits of other scripts, an ellipsis. */
const LOOKALIKE =
  /[\p{Pi}\p{Pf}\u00B4\u201A\u201E\u2026\u2032\u2033\u2212\uFF01-\uFF5E]|(?!-)\p{Pd}|(?![0-9])\p{Nd}/u

/** Their Unicode names. */
const NAMES: ReadonlyMap<string, string> = new Map([
  ['\0', 'NULL'],
  ['\t', 'TAB'],
  ['\n', 'LINE FEED'],
  ['\r', 'CARRIAGE RETURN'],
  ['\u00A0', 'NO-BREAK SPACE'],
  ['\u00AB', 'LEFT-POINTING DOUBLE ANGLE QUOTATION MARK'],
  ['\u00AD', 'SOFT HYPHEN'],
  ['\u00B4', 'ACUTE ACCENT'],
  ['\u00BB', 'RIGHT-POINTING DOUBLE ANGLE QUOTATION MARK'],
  ['\u061C', 'ARABIC LETTER MARK'],
  ['\u2002', 'EN SPACE'],
  ['\u2003', 'EM SPACE'],
  ['\u2007', 'FIGURE SPACE'],
  ['\u2009', 'THIN SPACE'],
  ['\u200B', 'ZERO WIDTH SPACE'],
  ['\u200C', 'ZERO WIDTH NON-JOINER'],
  ['\u200D', 'ZERO WIDTH JOINER'],
  ['\u200E', 'LEFT-TO-RIGHT MARK'],
  ['\u200F', 'RIGHT-TO-LEFT MARK'],
  ['\u2010', 'HYPHEN'],
  ['\u2011', 'NON-BREAKING HYPHEN'],
  ['\u2012', 'FIGURE DASH'],
  ['\u2013', 'EN DASH'],
  ['\u2014', 'EM DASH'],
  ['\u2015', 'HORIZONTAL BAR'],
  ['\u2018', 'LEFT SINGLE QUOTATION MARK'],
  ['\u2019', 'RIGHT SINGLE QUOTATION MARK'],
  ['\u201A', 'SINGLE LOW-9 QUOTATION MARK'],
  ['\u201C', 'LEFT DOUBLE QUOTATION MARK'],
  ['\u201D', 'RIGHT DOUBLE QUOTATION MARK'],
  ['\u201E', 'DOUBLE LOW-9 QUOTATION MARK'],
  ['\u2026', 'HORIZONTAL ELLIPSIS'],
  ['\u2028', 'LINE SEPARATOR'],
  ['\u2029', 'PARAGRAPH SEPARATOR'],
  ['\u202A', 'LEFT-TO-RIGHT EMBEDDING'],
  ['\u202B', 'RIGHT-TO-LEFT EMBEDDING'],
  ['\u202C', 'POP DIRECTIONAL FORMATTING'],
  ['\u202D', 'LEFT-TO-RIGHT OVERRIDE'],
  ['\u202E', 'RIGHT-TO-LEFT OVERRIDE'],
  ['\u202F', 'NARROW NO-BREAK SPACE'],
  ['\u2032', 'PRIME'],
  ['\u2033', 'DOUBLE PRIME'],
  ['\u2060', 'WORD JOINER'],
  ['\u2066', 'LEFT-TO-RIGHT ISOLATE'],
  ['\u2067', 'RIGHT-TO-LEFT ISOLATE'],
  ['\u2068', 'FIRST STRONG ISOLATE'],
  ['\u2069', 'POP DIRECTIONAL ISOLATE'],
  ['\u2212', 'MINUS SIGN'],
  ['\u3000', 'IDEOGRAPHIC SPACE'],
  ['\uFEFF', 'ZERO WIDTH NO-BREAK SPACE (byte order mark)'],
])

/** Such as `U+200B ZERO WIDTH SPACE as character 5`; null if every character is visible. */
export function describeInvisible(text: string): string | null {
  return describeFirst(text, (character) => INVISIBLE.test(character))
}

/** Like describeInvisible, but also finds characters that only look like ASCII. */
export function describeUnusual(text: string): string | null {
  return describeFirst(text, (character) => INVISIBLE.test(character) || LOOKALIKE.test(character))
}

/** The text as it was meant: without invisible characters, and with `-` for every dash. */
export function withoutUnusual(text: string): string {
  return [...text]
    .filter((character) => !INVISIBLE.test(character))
    .map((character) => (/[\p{Pd}\u2212]/u.test(character) ? '-' : character))
    .join('')
}

function describeFirst(text: string, isMeant: (character: string) => boolean): string | null {
  const characters = [...text]
  const index = characters.findIndex(isMeant)
  const character = characters[index]
  return character === undefined ? null : `${nameOf(character)} as character ${index + 1}`
}

/** Letters and digits are not named, because they may be part of a secret. */
function nameOf(character: string): string {
  if (/[\uFF01-\uFF5E]/u.test(character)) return 'a fullwidth character'
  if (/\p{Nd}/u.test(character)) return 'a digit of another script'
  const codePoint = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')
  return `U+${codePoint} ${NAMES.get(character) ?? (INVISIBLE.test(character) ? '(invisible)' : '(not ASCII)')}`
}
