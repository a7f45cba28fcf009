// Reads the form of a status callback: its type, its bytes up to a limit, its fields. Refuses before it reads where it can.
import type { Readable, Transform } from 'node:stream'
import type { Refusal } from './callback-result.ts'

const FORM = 'application/x-www-form-urlencoded'
const IS_FORM = /^\s*application\/x-www-form-urlencoded\s*(;|$)/i
const OTHER_CHARSET = /charset=(?!"?(utf-8)?"?\s*(;|$))/i
/** Far more than a genuine callback has. */
const MAX_BODY_BYTES = 16_384
const MAX_FIELDS = 100

type Fields = Record<string, string | string[]>

export interface FormBody {
  /** @param name in lower case */
  readonly header: (name: string) => string | undefined
  /** The unread body; or, of a body that was read, the value that a parser has made of it, or undefined. */
  readonly body: { readonly unread: Readable } | { readonly parsed: unknown }
  /** Called if the body is refused before its end. */
  readonly discard: (unread: Readable) => Promise<void>
}

export interface Form {
  readonly fields: Fields
}

interface Unreadable {
  readonly refusal: Extract<Refusal, 'wrong_type' | 'too_large' | 'unreadable' | 'body_already_read'>
  readonly why: string
}

const NO_FORM: Unreadable = { refusal: 'wrong_type', why: `Content-Type must be ${FORM}` }
const TOO_LARGE: Unreadable = { refusal: 'too_large', why: 'Too large' }
const BROKEN: Unreadable = { refusal: 'unreadable', why: 'The body cannot be read' }
const ALREADY_READ: Unreadable = { refusal: 'body_already_read', why: 'The signature cannot be checked' }

export async function readForm({ header, body, discard }: FormBody): Promise<Form | Unreadable> {
  const type = header('content-type') ?? ''
  if (!IS_FORM.test(type)) return NO_FORM
  if (OTHER_CHARSET.test(type)) return { refusal: 'wrong_type', why: 'The charset must be UTF-8' }
  if ('parsed' in body) return formOf(body.parsed)
  if (body.unread.destroyed) return BROKEN
  const bytes = await readBytes(body.unread, header)
  if (!Buffer.isBuffer(bytes)) {
    await discard(body.unread)
    return bytes
  }
  // A form without fields has a length of zero; without any length, there is no form.
  if (bytes.length === 0 && (header('content-length') ?? header('transfer-encoding')) === undefined)
    return NO_FORM
  const form = new URLSearchParams(bytes.toString())
  return form.size > MAX_FIELDS ? TOO_LARGE : { fields: toFields(form) }
}

function formOf(parsed: unknown): Form | Unreadable {
  // Text and bytes could be parsed again, but their parser may have decoded or changed them.
  if (typeof parsed !== 'object' || parsed === null || Buffer.isBuffer(parsed)) return ALREADY_READ
  // Some body parsers turn names with brackets into objects.
  const isNested = Object.values(parsed)
    .flat()
    .some((value) => typeof value === 'object')
  return isNested ? { refusal: 'unreadable', why: 'A field is not a string' } : { fields: parsed as Fields }
}

/** A field that occurs more than once becomes a list. */
function toFields(form: URLSearchParams): Fields {
  // Without a prototype, names such as __proto__ are ordinary names.
  const fields = Object.create(null) as Fields
  for (const [name, value] of form) {
    const before = fields[name]
    fields[name] = before === undefined ? value : [before, value].flat()
  }
  return fields
}

async function readBytes(body: Readable, header: FormBody['header']): Promise<Buffer | Unreadable> {
  const encoding = (header('content-encoding') || 'identity').toLowerCase()
  if (encoding === 'identity')
    return Number(header('content-length')) > MAX_BODY_BYTES ? TOO_LARGE : collect(body)
  const decompressor = await createDecompressor(encoding)
  if (decompressor === null) return { refusal: 'wrong_type', why: 'Unsupported encoding' }
  // A request that breaks off does not end what it is piped to.
  body.once('close', () => {
    if (!body.readableEnded) decompressor.destroy()
  })
  body.pipe(decompressor)
  const bytes = await collect(decompressor)
  body.unpipe(decompressor)
  decompressor.destroy()
  // Reads what follows the end of the compressed data.
  body.resume()
  return bytes
}

/** Loaded late: Twilio does not compress callbacks. @returns null if the encoding is unknown */
async function createDecompressor(encoding: string): Promise<Transform | null> {
  const zlib = await import('node:zlib')
  switch (encoding) {
    case 'gzip':
      return zlib.createGunzip()
    case 'deflate':
      return zlib.createInflate()
    case 'br':
      return zlib.createBrotliDecompress()
    case 'zstd':
      // Since Node 22.15.
      return 'createZstdDecompress' in zlib ? zlib.createZstdDecompress() : null
    default:
      return null
  }
}

/** Leaves the stream paused where it exceeds the limit. */
function collect(stream: Readable): Promise<Buffer | Unreadable> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let size = 0
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk)
      size += chunk.length
      if (size > MAX_BODY_BYTES) {
        stream.off('data', onData).pause()
        resolve(TOO_LARGE)
      }
    }
    stream
      .on('data', onData)
      .once('end', () => resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks)))
      // Stays, because a broken stream may report its error again.
      .on('error', () => resolve(BROKEN))
      // No effect after the end.
      .once('close', () => resolve(BROKEN))
  })
}
