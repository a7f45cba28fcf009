// Tests that the log has no personal data, and one line in the configured format.
import { describe, expect, test } from '@jest/globals'
import { Writable } from 'node:stream'
import winston from 'winston'
import { DatabaseError } from '../../src/shared/errors.ts'
import { createLogger, errorFields, maskNumber, throttledLog } from '../../src/shared/log.ts'
import { waitFor } from '../support/wait-for.ts'

/** The real logger, with its lines captured before the console. */
function newLogger(options: { level?: string; format?: 'json' | 'text' } = {}) {
  const logger = createLogger({ level: 'debug', format: 'json', ...options }) as winston.Logger
  let text = ''
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      text += chunk.toString()
      done()
    },
  })
  logger.clear().add(new winston.transports.Stream({ stream }))
  return { logger, lines: () => text.split('\n').filter(Boolean) }
}

describe('phone numbers are masked', () => {
  const NUMBER = '+12065550199'

  test.each<[where: string, message: string, fields: object]>([
    ['in the message', `Sent to ${NUMBER}`, {}],
    ['twice in the message', `${NUMBER}, ${NUMBER}.`, {}],
    ['in brackets and quotes', `(${NUMBER}) '${NUMBER}' to=${NUMBER}`, {}],
    ['in a field', 'Sent', { to: NUMBER }],
    ['in a nested field', 'Sent', { a: { b: { to: `for ${NUMBER}` } } }],
    ['in an array', 'Sent', { numbers: [{ to: NUMBER }, NUMBER] }],
    ['in an error’s text', 'Failed', errorFields(new Error(`Invalid 'To' ${NUMBER}`))],
    [
      'in the cause of an error',
      'Failed',
      errorFields(new Error('x', { cause: new Error(`Key (phone)=(${NUMBER}) exists`) })),
    ],
    ['in a thrown string', 'Failed', errorFields(`no route to ${NUMBER}`)],
  ])('%s', (_where, message, fields) => {
    for (const format of ['json', 'text'] as const) {
      const { logger, lines } = newLogger({ format })
      logger.info(message, fields)
      expect(lines()[0]).toContain('…0199')
      expect(lines().join('\n')).not.toContain('2065550199')
    }
  })

  test.each(['+1234567', '+123456789012345'])('of minimum and maximum length, such as %s', (number) => {
    const { logger, lines } = newLogger()
    logger.info('Sent', { to: number })
    expect(lines()[0]).not.toContain(number.slice(1, -4))
  })

  test('but times, sids, counts and codes are not', () => {
    const { logger, lines } = newLogger()
    const fields = {
      at: new Date('2026-01-02T03:04:05.678Z'),
      sid: `SM${'12345678'.repeat(4)}`,
      message: 'never used',
      count: 12_345_678_901,
      errorCode: 30003,
      zone: '2026-01-02T03:04:05+00:00',
      nothing: null,
    }
    const { message: _message, ...rest } = fields
    logger.info('Sent', rest)
    expect(JSON.parse(lines()[0] ?? '')).toMatchObject({ ...rest, at: fields.at.toISOString() })
  })

  test('without changing the objects of the caller', () => {
    const { logger } = newLogger()
    const fields = { to: NUMBER, nested: { to: NUMBER } }
    logger.info('Sent', fields)
    expect(fields).toEqual({ to: NUMBER, nested: { to: NUMBER } })
  })

  test('in frozen objects as well', () => {
    const { logger, lines } = newLogger()
    logger.info('Sent', { frozen: Object.freeze({ to: NUMBER }) })
    expect(lines()[0]).toContain('…0199')
    expect(lines()[0]).not.toContain(NUMBER)
  })

  test('except for the last digits, which distinguish recipients', () => {
    expect(maskNumber(NUMBER)).toBe('…0199')
  })
})

describe('a throttled log line', () => {
  test('is logged at once, then once a period with the number of skipped lines', async () => {
    const lines: [message: string, fields: object][] = []
    const log = throttledLog((message, fields) => lines.push([message, fields]), 50)
    for (let n = 0; n < 100; n += 1) log('Refused', { n })
    expect(lines).toEqual([['Refused', { n: 0, notLogged: 0 }]])
    await waitFor('the period to end', () => lines.length === 2)
    expect(lines[1]).toEqual(['Refused', { n: 99, notLogged: 98 }])
  })
})

describe('an error in the log', () => {
  test('has its fields, but not PostgreSQL’s `detail`, which contains values of the row', () => {
    const cause = Object.assign(new Error('duplicate key'), {
      code: '23505',
      detail: 'Failing row contains (7, +12065550199, Your code is 1234).',
      where: 'secret',
      query: 'secret',
    })
    const fields = errorFields(new DatabaseError('The database failed', { cause }))
    expect(fields).toEqual({
      error: {
        name: 'DatabaseError',
        message: 'The database failed',
        code: 'DATABASE',
        stack: expect.any(String),
        cause: {
          error: { name: 'Error', message: 'duplicate key', code: '23505', stack: expect.any(String) },
        },
      },
    })
    expect(JSON.stringify(fields)).not.toMatch(/Your code|secret/)
  })

  test.each([
    ['a text'],
    [undefined],
    [null],
    [{ a: 1 }],
  ])('can be any thrown value, such as %p', (thrown) => {
    expect(errorFields(thrown)).toEqual({ error: String(thrown) })
  })
})

describe('the log', () => {
  test('as json has one object per line, with level, message, time and fields', () => {
    const { logger, lines } = newLogger({ format: 'json' })
    logger.warn('Attempt\nsubmitted', { message: 42, attempt: 0 })
    expect(lines()).toHaveLength(1)
    expect(JSON.parse(lines()[0] ?? '')).toMatchObject({
      level: 'warn',
      attempt: 0,
      timestamp: expect.stringMatching(/^\d{4}-.*Z$/),
    })
  })

  test('keeps its text if a field is called `message`', () => {
    for (const format of ['json', 'text'] as const) {
      const { logger, lines } = newLogger({ format })
      logger.info('Attempt submitted', { message: 42, attempt: 0 })
      expect(lines()[0]).toContain('Attempt submitted')
      expect(lines()[0]).toContain('42')
    }
  })

  test.each(['json', 'text'] as const)('%s has nothing that a terminal would obey', (format) => {
    const harm = '\u001b]0;owned\u0007\u009b2J\u202e'
    const { logger, lines } = newLogger({ format })
    logger.warn(`Message ${harm}`, {
      sid: harm,
      why: `two words ${harm}`,
      error: errorFields(new Error(harm)),
    })
    logger.warn('Nested', { fields: { why: harm } })
    expect(lines().join('')).toContain('owned')
    expect(lines().join('\n')).not.toMatch(/(?![\n\t])\p{Cc}|\p{Bidi_Control}/u)
  })

  test('as text has one line with the fields', () => {
    const { logger, lines } = newLogger({ format: 'text' })
    logger.info('Sent', { attempt: 3, reason: 'two\nlines' })
    expect(lines()).toEqual([expect.stringMatching(/^\S+Z info Sent attempt=3 reason="two\\nlines"$/)])
  })

  test.each<[what: string, fields: object, text: string]>([
    ['a word is not quoted', { status: 'queued', sid: 'SM1' }, 'status=queued sid=SM1'],
    ['a sentence is quoted', { reason: 'Given up.' }, 'reason="Given up."'],
    [
      'a time is written as in JSON',
      { at: new Date('2026-01-02T03:04:05.678Z') },
      'at=2026-01-02T03:04:05.678Z',
    ],
    ['null and undefined are left out', { reason: null, nextRetryAt: undefined, attempt: 0 }, 'attempt=0'],
    ['nested values are JSON', { counts: { asked: 1 } }, 'counts={"asked":1}'],
    ['no fields add nothing', {}, ''],
  ])('as text: %s', (_what, fields, text) => {
    const { logger, lines } = newLogger({ format: 'text' })
    logger.info('Sent', fields)
    expect(lines()).toEqual([expect.stringMatching(/^\S+Z info Sent/)])
    expect(lines()[0]?.replace(/^\S+ info Sent ?/, '')).toBe(text)
  })

  test('as text has an error with a code and its causes on one line, without a stack', () => {
    const { logger, lines } = newLogger({ format: 'text' })
    const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
    logger.error('Not recorded', { attempt: 1, ...errorFields(new DatabaseError('It failed', { cause })) })
    expect(lines()).toEqual([
      expect.stringMatching(
        /error Not recorded attempt=1 error="DatabaseError: It failed \(DATABASE\), caused by Error: connect ECONNREFUSED \(ECONNREFUSED\)"$/,
      ),
    ])
  })

  test('as text has the stack of an error without a code, which is a bug', () => {
    const { logger, lines } = newLogger({ format: 'text' })
    logger.error('Failed', errorFields(new TypeError('x is\nno function')))
    const [first, ...stack] = lines()
    expect(first).toMatch(/error Failed error="TypeError: x is\\nno function"$/)
    expect(stack[0]).toMatch(/^ {4}at .*log\.test\.ts/)
  })

  test.each([
    ['error', ['error']],
    ['warn', ['error', 'warn']],
    ['info', ['error', 'warn', 'info']],
    ['debug', ['error', 'warn', 'info', 'debug']],
  ])('with the level %s has %j', (level, logged) => {
    const { logger, lines } = newLogger({ level })
    for (const each of ['error', 'warn', 'info', 'debug'] as const) logger[each]('x')
    expect(lines().map((line) => (JSON.parse(line) as { level: string }).level)).toEqual(logged)
  })
})

test('an error that is its own cause is logged to a limited depth', () => {
  const error = new Error('The handler failed')
  error.cause = error
  const text = JSON.stringify(errorFields(error))
  expect(text.match(/"message":"The handler failed"/g)).toHaveLength(6)
})
