// Sends arbitrary requests to a web process, some at a time, and holds after each few that nothing is written but what
// genuine callbacks have said, that no answer is a 5xx, and that the process lives and complains of nothing.
import fc from 'fast-check'
import pLimit from 'p-limit'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import {
  ACCOUNT_SID,
  AUTH_TOKEN,
  type ForeignRow,
  insertSentRow,
  personalLines,
  type Target,
} from '../http/endpoint.ts'
import type { TestDatabase } from '../support/database.ts'
import { startCli, untilReady } from '../support/process.ts'
import { type ArbitraryRequest, arbitraryRequest, type Noise, ROWS } from './arbitrary-request.ts'
import { exchangeBytes, type Sent, toBytes } from './send-raw.ts'

const TOGETHER = 50
const AT_ONCE = 25

export interface FuzzReport {
  readonly tries: number
  readonly seed: number
  /** How many requests got which answer; 0 for none. */
  readonly answers: ReadonlyMap<number, number>
  /** Of the web process, at the beginning and at the end. */
  readonly residentMb: readonly (number | null)[]
}

/** @throws with the seed and the shortest list of requests that fails, if one does */
export async function fuzzEndpoint(
  database: TestDatabase,
  { tries, seed }: { tries: number; seed: number },
  residentMbOf: (pid: number) => number | null = () => null,
): Promise<FuzzReport> {
  const port = await freePort()
  const target = { port, publicBaseUrl: 'https://sms.example.com', authToken: AUTH_TOKEN }
  const web = startCli(['web'], {
    DATABASE_URL: database.url,
    HOST: '127.0.0.1',
    PORT: `${port}`,
    PUBLIC_BASE_URL: target.publicBaseUrl,
    TWILIO_ACCOUNT_SID: ACCOUNT_SID,
    TWILIO_AUTH_TOKEN: AUTH_TOKEN,
    DASHBOARD_USERNAME: 'operator',
    DASHBOARD_PASSWORD: 'a password',
    LOG_FORMAT: 'json',
    LOG_LEVEL: 'warn',
    // By itself, Node lets the heap grow by what the machine has, and a leak would not show.
    NODE_OPTIONS: '--max-semi-space-size=4 --max-old-space-size=128',
  })
  try {
    await untilReady(`http://127.0.0.1:${port}`)
    const pid = web.child.pid ?? 0
    const answers = new Map<number, number>()
    const before = residentMbOf(pid)
    const property = fc.asyncProperty(
      fc.array(arbitraryRequest, { minLength: TOGETHER, maxLength: TOGETHER }),
      async (requests) => {
        await tryTogether(database, target, requests, answers)
        const trouble = web
          .stderr()
          .split('\n')
          .filter((line) => line.includes('"level":"error"'))
        if (trouble.length > 0) throw new Error(`The process complains:\n${trouble.join('\n')}`)
        if (web.child.exitCode !== null || web.child.signalCode !== null)
          throw new Error('The process has ended')
      },
    )
    await fc.assert(property, { seed, numRuns: Math.ceil(tries / TOGETHER) })
    const after = residentMbOf(pid)
    const personal = personalLines([{ level: 'warn', message: web.stderr(), fields: {} }])
    if (personal.length > 0) throw new Error(`The log has something personal:\n${personal.join('\n')}`)
    return { tries, seed, answers, residentMb: [before, after] }
  } finally {
    web.kill('SIGTERM')
    await web.ended
  }
}

/** With rows of their own, each of which is written by what is sent for it only. */
async function tryTogether(
  database: TestDatabase,
  target: Target,
  requests: readonly (ArbitraryRequest | Noise)[],
  answers: Map<number, number>,
): Promise<void> {
  await database.query('truncate sms_usage_logs, sms_retry_pgboss.job')
  const rows: ForeignRow[] = []
  for (let i = 0; i < ROWS; i += 1) rows.push(await insertSentRow(database))
  // Nobody has a signature for these.
  const others = [await insertSentRow(database), await insertSentRow(database, { direction: 'inbound' })]
  const before = await versions(database)

  const inTurn = pLimit(AT_ONCE)
  const mayBeWritten = new Set<number>()
  await Promise.all(
    requests.map((request) =>
      inTurn(async () => {
        const row = 'row' in request ? rows[request.row] : undefined
        const sent: Sent =
          'row' in request && row !== undefined
            ? toBytes(request, row, target, ACCOUNT_SID)
            : { bytes: Buffer.from(request as Noise), isWhole: false }
        const statuses = await exchangeBytes(target.port, sent)
        for (const status of statuses.length === 0 ? [0] : statuses) {
          answers.set(status, (answers.get(status) ?? 0) + 1)
        }
        if (sent.isWhole && statuses.length === 0) throw new Error('A whole request got no answer')
        if (statuses.some((status) => status >= 500))
          throw new Error(`It was answered with ${statuses.join(', ')}`)
        if (!('row' in request) || row === undefined) return
        if (request.isGenuine && statuses[0] !== 204)
          throw new Error(`A genuine callback got ${statuses.join(', ')}`)
        if (statuses.includes(204)) {
          if (request.signedBy !== 'twilio')
            throw new Error('A callback was taken that Twilio has not signed')
          mayBeWritten.add(row.id)
        }
      }),
    ),
  )
  const after = await versions(database)
  const written = [...after].filter(([id, version]) => before.get(id) !== version).map(([id]) => id)
  const unintended = written.filter((id) => !mayBeWritten.has(id))
  const missing = [...before.keys()].filter((id) => !after.has(id))
  if (unintended.length > 0 || missing.length > 0 || others.some(({ id }) => written.includes(id))) {
    throw new Error(`Rows were written that no callback was for: ${[...unintended, ...missing].join(', ')}`)
  }
  const jobs = await database.query<{ message: number }>(
    `select (data ->> 'message')::integer as "message" from sms_retry_pgboss.job where name = 'attempt'`,
  )
  const strayJobs = jobs.filter(({ message }) => !mayBeWritten.has(message))
  if (strayJobs.length > 0) throw new Error('A job was added that no callback was for')
}

/** Changes with every write, even one that leaves all values alike. */
async function versions(database: TestDatabase): Promise<ReadonlyMap<number, string>> {
  const rows = await database.query<{ id: number; version: string }>(
    `select id, xmin::text || ' ' || ctid::text as "version" from sms_usage_logs`,
  )
  return new Map(rows.map(({ id, version }) => [id, version]))
}
