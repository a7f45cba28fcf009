// The logger of an app: real loggers that write into a stream. Every field must arrive, and no phone number.
import { describe, expect, jest, test } from '@jest/globals'
import fastify, { type FastifyBaseLogger } from 'fastify'
import { Console } from 'node:console'
import { Writable } from 'node:stream'
import pino from 'pino'
import winston from 'winston'
import { openRuntime, type Options } from '../../src/processes/runtime.ts'
import { adaptLogger } from '../../src/shared/adapt-logger.ts'
import { ConfigError, DatabaseError } from '../../src/shared/errors.ts'
import { errorFields, LEVELS, type Logger } from '../../src/shared/log.ts'

type AppLogger = NonNullable<Options['logger']>

const NUMBER = '+12065550199'
const AT = new Date('2026-01-02T03:04:05.678Z')
const CAUSE = Object.assign(new Error(`connect ECONNREFUSED for ${NUMBER}`), { code: 'ECONNREFUSED' })
const FIELDS = {
  messageId: 42,
  attempt: 0,
  sid: 'SM1',
  at: AT,
  nested: { counts: [1, 2] },
  to: NUMBER,
  ...errorFields(new DatabaseError('It failed', { cause: CAUSE })),
}
const MASKED_ERROR = {
  name: 'DatabaseError',
  message: 'It failed',
  code: 'DATABASE',
  stack: expect.any(String),
  cause: { error: { name: 'Error', message: 'connect ECONNREFUSED for …0199', code: 'ECONNREFUSED' } },
}
const EXPECTED_FIELDS = {
  messageId: 42,
  attempt: 0,
  sid: 'SM1',
  at: AT.toISOString(),
  nested: { counts: [1, 2] },
  to: '…0199',
  error: MASKED_ERROR,
}

class Lines extends Writable {
  #text = ''
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#text += chunk.toString()
    done()
  }
  get all(): string[] {
    return this.#text.split('\n').filter(Boolean)
  }
}

type Level = { level: string }
const newWinston = (stream: Writable, { level }: Level): winston.Logger =>
  winston.createLogger({ level, transports: [new winston.transports.Stream({ stream })] })
const newPino = (stream: Writable, { level }: Level): pino.Logger => pino({ level }, stream)
const newFastifyLog = (stream: Writable, { level }: Level): FastifyBaseLogger =>
  fastify({ logger: { level, stream } }).log

describe.each<[string, (stream: Writable, options: Level) => AppLogger, text: string]>([
  ['winston', newWinston, 'message'],
  [
    'a child logger of winston',
    (stream, level) => newWinston(stream, level).child({ of: 'shop' }),
    'message',
  ],
  ['pino', newPino, 'msg'],
  ['a child logger of pino', (stream, level) => newPino(stream, level).child({ of: 'shop' }), 'msg'],
  ['Fastify’s app.log', newFastifyLog, 'msg'],
])('%s', (_name, create, text) => {
  test.each(
    LEVELS,
  )('gets the message and every field at the level %s, with phone numbers masked', (level) => {
    const stream = new Lines()
    const logger = adaptLogger(create(stream, { level: 'debug' }), 'error')
    logger[level](`Sent to ${NUMBER}`, FIELDS)
    expect(stream.all).toHaveLength(1)
    const line = JSON.parse(stream.all[0] ?? '')
    expect(line).toMatchObject({ ...EXPECTED_FIELDS, [text]: 'Sent to …0199' })
    expect([level, pino.levels.values[level]]).toContain(line.level)
  })

  test('gets a message without fields', () => {
    const stream = new Lines()
    adaptLogger(create(stream, { level: 'info' }), 'error').info('Sending resumes')
    expect(stream.all.map((line) => JSON.parse(line)[text])).toEqual(['Sending resumes'])
  })
})

test.each<[string, (stream: Writable, options: Level) => AppLogger & Level, text: string]>([
  ['winston', newWinston, 'message'],
  ['pino', newPino, 'msg'],
  ['Fastify’s app.log', newFastifyLog, 'msg'],
])('%s keeps its own level, which can change', (_name, create, text) => {
  const stream = new Lines()
  const own = create(stream, { level: 'warn' })
  const logger = adaptLogger(own, 'debug')
  logger.info('Not logged')
  own.level = 'info'
  logger.info('Logged')
  expect(stream.all.map((line) => JSON.parse(line)[text])).toEqual(['Logged'])
})

describe('console', () => {
  test('prints the message and every field on one line, with phone numbers masked', () => {
    const [stdout, stderr] = [new Lines(), new Lines()]
    const logger = adaptLogger(new Console(stdout, stderr), 'info')
    logger.info(`100%s sent to ${NUMBER}`, FIELDS)
    logger.error('Not recorded', FIELDS)
    const fields =
      'messageId=42 attempt=0 sid=SM1 at=2026-01-02T03:04:05.678Z nested={"counts":[1,2]} to=…0199 ' +
      'error="DatabaseError: It failed (DATABASE), caused by Error: connect ECONNREFUSED for …0199 (ECONNREFUSED)"'
    expect(stdout.all).toEqual([`100%s sent to …0199 ${fields}`])
    expect(stderr.all).toEqual([`Not recorded ${fields}`])
  })

  test('prints the stack of an unexpected error', () => {
    const stderr = new Lines()
    adaptLogger(new Console(new Lines(), stderr), 'info').error('Failed', errorFields(new TypeError('x')))
    expect(stderr.all[0]).toBe('Failed error="TypeError: x"')
    expect(stderr.all[1]).toMatch(/^ {4}at .*adapt-logger\.test\.ts/)
  })

  test.each(LEVELS)('prints only what LOG_LEVEL=%s lets through', (consoleLevel) => {
    const stream = new Lines()
    const logger = adaptLogger(new Console(stream, stream), consoleLevel)
    for (const level of LEVELS) logger[level](level)
    expect(stream.all).toEqual(LEVELS.slice(0, LEVELS.indexOf(consoleLevel) + 1))
  })

  test('is recognised when it is the global one', () => {
    const print = jest.spyOn(console, 'info').mockImplementation(() => undefined)
    adaptLogger(console, 'info').info('Sent', { messageId: 42 })
    expect(print.mock.calls).toEqual([['Sent messageId=42']])
    print.mockRestore()
  })
})

describe('an object with the four functions', () => {
  test('is called with the masked message and fields, and the fields of the caller stay', () => {
    const lines: unknown[] = []
    const add = (...line: unknown[]): unknown => lines.push(line)
    const logger = adaptLogger({ error: add, warn: add, info: add, debug: add }, 'error')
    const fields = { to: NUMBER, none: null, at: AT }
    logger.debug(`Sent to ${NUMBER}`, fields)
    expect(lines).toEqual([['Sent to …0199', { to: '…0199', none: null, at: AT }]])
    expect(fields.to).toBe(NUMBER)
  })

  test('keeps its `this`', () => {
    class OwnLogger implements Logger {
      readonly lines: string[] = []
      error = (): void => undefined
      warn = (): void => undefined
      debug = (): void => undefined
      info(message: string): void {
        this.lines.push(message)
      }
    }
    const own = new OwnLogger()
    adaptLogger(own, 'error').info('Sent')
    expect(own.lines).toEqual(['Sent'])
  })

  test('is refused if a function is missing, and the error names it', () => {
    const syslog = winston.createLogger({ levels: winston.config.syslog.levels })
    const adapt = (): Logger => adaptLogger(syslog, 'error')
    expect(adapt).toThrow(ConfigError)
    expect(adapt).toThrow('It does not have: warn')
  })
})

describe('the option `logger`', () => {
  test.each<[string, (stream: Writable) => AppLogger]>([
    ['pino', (stream) => newPino(stream, { level: 'info' })],
    ['console', (stream) => new Console(stream)],
    ['winston', (stream) => newWinston(stream, { level: 'info' })],
  ])('adapts %s', async (_name, create) => {
    const stream = new Lines()
    const env = { DATABASE_URL: 'postgres://nobody@localhost:1/none' }
    const { logger, database } = openRuntime({ logger: create(stream) }, env, ['DATABASE_URL'])
    await database.close()
    logger.info('Sent', { messageId: 42, to: NUMBER })
    expect(stream.all.join()).toMatch(/Sent/)
    expect(stream.all.join()).toMatch(/messageId"?[:=]42/)
    expect(stream.all.join()).toMatch(/to"?[:=]"?…0199/)
  })

  test('takes each of these loggers without a cast', () => {
    // Compiled by `npm run types`.
    const options: readonly Options[] = [
      { logger: pino() },
      { logger: pino({ customLevels: { notice: 35 } }) },
      { logger: fastify().log },
      { logger: winston.createLogger({ silent: true }) },
      { logger: console },
    ]
    expect(options.map(({ logger }) => typeof logger?.info)).toEqual(Array(5).fill('function'))
  })
})
