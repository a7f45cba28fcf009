// Writes lines of CSV as RFC 4180 defines it. Spreadsheets run a text that looks like a formula, so such a text is escaped.

/** A number is written as it is. Null is an empty field. */
export type CsvField = string | number | null

/**
 * The first character of what a spreadsheet may take for a formula, or its full-width form: at the begin of the field, or
 * where a spreadsheet that separates cells by semicolons or tabs begins a cell. Source:
 * https://owasp.org/www-community/attacks/CSV_Injection
 */
const FORMULA = /^[\t\r\n]|(?<=^|[;\t\r\n]"*)[=+\-@\uff1d\uff0b\uff0d\uff20]/g

export function csvLine(fields: readonly CsvField[]): string {
  return `${fields.map(toText).join(',')}\r\n`
}

function toText(field: CsvField): string {
  if (field === null) return ''
  if (typeof field === 'number') return `${field}`
  // A spreadsheet shows a text with an apostrophe in front as text.
  const safe = field.replaceAll(FORMULA, "'$&")
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
