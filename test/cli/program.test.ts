// The program: data on stdout, messages for people on stderr, exit code 0 (ok), 1 (failed) or 2 (wrong usage). As real
// processes: the file .env, closed pipes, and the commands that run until they are stopped. Needs dist/, which `npm test`
// builds.
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { CLOSED_PORT } from '../support/closed-port.ts'
import { type Ended, endOf, runCli, runCliProcess, SEND, WORKING_NUMBER } from './run-cli.ts'
import { createTestDatabase } from '../support/database.ts'
import { startCli, untilReady } from '../support/process.ts'
import { waitFor } from '../support/wait-for.ts'
import { startWorld, type World } from '../support/world.ts'

let world: World
let folder: string
beforeAll(async () => {
  world = await startWorld()
  folder = await mkdtemp(join(tmpdir(), 'sms-retry-cli-test-'))
})
afterAll(async () => {
  await world.stop()
  await rm(folder, { recursive: true })
})

/** Runs a command in the world's environment, with these changes. */
function run(args: readonly string[], env: Record<string, string> = {}): Promise<Ended> {
  return runCli(args, { ...world.env, ...env })
}

describe('help', () => {
  test('every command has help with an example', async () => {
    const { code, stdout, stderr } = await run(['--help'])
    expect([code, stderr]).toEqual([0, ''])
    const commands = [...stdout.matchAll(/^ {2}([a-z]+) /gm)].map(([, name = '']) => name)
    const wanted = [
      ...['migrate', 'web', 'worker', 'send', 'list', 'show', 'retry', 'cancel', 'stats', 'policy'],
      ...['reconcile', 'doctor', 'simulate', 'demo'],
    ]
    expect(commands).toEqual(expect.arrayContaining(wanted))
    for (const command of commands.filter((name) => name !== 'help')) {
      const help = await run([command, '--help'])
      expect(help).toMatchObject({ code: 0, stderr: '' })
      expect(help.stdout).toMatch(new RegExp(`Example:\\n  \\$ .*sms-retry ${command}\\b`))
    }
  })

  test('--version prints a version number', async () => {
    const { code, stdout } = await run(['--version'])
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) })
  })
})

describe('wrong usage exits with 2 and explains itself on stderr', () => {
  test.each<[string, string[], RegExp]>([
    ['no command', [], /Usage/],
    ['an unknown command', ['sned'], /unknown command 'sned'/],
    ['an unknown flag', ['list', '--al'], /unknown option '--al'/],
    ['no recipient', ['send', '--user', '7', '--body', 'x'], /--to/],
    [
      'a user id that is not a number',
      ['send', '--user', 'x', '--body', 'x', '--to', WORKING_NUMBER],
      /whole number/,
    ],
    ['a recipient that is not a phone number', [...SEND, 'home'], /to must be a phone number/],
    [
      'an empty text',
      ['send', '--user', '7', '--body', '', '--to', WORKING_NUMBER],
      /body must not be empty/,
    ],
    ['an unknown status', ['list', '--status', 'lost'], /lost/],
    ['an id that is not a number', ['show', 'x'], /whole number/],
    ['no id', ['show'], /id/],
    ['a share above 1', ['simulate', '--hang', '2'], /from 0 to 1/],
    ['an unknown account status', ['simulate', '--account-status', 'paused'], /active, suspended, closed/],
    ['a port above 65535', ['simulate', '--port', '70000'], /--port.* from 0 to 65535/],
    [
      'a delay of years',
      ['simulate', '--callback-delay-ms', '99999999999'],
      /--callback-delay-ms.* from 0 to 2147483647/,
    ],
    [
      'a pause of centuries',
      ['simulate', '--retry-after-seconds', '99999999999'],
      /--retry-after-seconds.* from 0 to/,
    ],
    // An empty host would listen on every address; an empty token would sign callbacks that anyone can forge.
    ['an empty address', ['simulate', '--host', ''], /--host.* must not be empty/],
    ['an empty token', ['simulate', '--auth-token', ''], /--auth-token.* must not be empty/],
    ['an empty account sid', ['simulate', '--account-sid', ' '], /--account-sid.* must not be empty/],
    ['a seed beyond 32 bits', ['simulate', '--seed', '4294967296'], /--seed.* from 0 to 4294967295/],
    ['a demo seed beyond 32 bits', ['demo', '--seed', '4294967296'], /--seed.* from 0 to 4294967295/],
  ])('%s', async (_what, args, words) => {
    const { code, stdout, stderr } = await run(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(words)
    expect(stderr).not.toMatch(/^ {4}at /m)
  })

  test('an incomplete environment exits with 2 and names every missing variable', async () => {
    const names = ['PUBLIC_BASE_URL', 'TWILIO_ACCOUNT_SID', 'TWILIO_AUTH_TOKEN', 'TWILIO_FROM_NUMBER']
    for (const command of [[...SEND, WORKING_NUMBER], ['worker']]) {
      const { code, stdout, stderr } = await run(command, Object.fromEntries(names.map((name) => [name, ''])))
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
      for (const name of names) expect(stderr).toContain(name)
    }
  })

  test.each<[string, string[], string]>([
    [
      'an en dash before a flag',
      ['send', '\u2013to', WORKING_NUMBER, '--user', '7'],
      'Argument 2 has U+2013 EN DASH as character 1: type --to.',
    ],
    [
      'an em dash before a flag',
      ['list', '\u2014json'],
      'Argument 2 has U+2014 EM DASH as character 1: type --json.',
    ],
    ['a carriage return', ['show', '42\r'], 'Argument 2 has U+000D CARRIAGE RETURN as character 3.'],
    [
      'a carriage return after a flag',
      ['list', '--json\r'],
      'U+000D CARRIAGE RETURN as character 7: type --json.',
    ],
    ['fullwidth digits', ['show', '４２'], 'Argument 2 has a fullwidth character as character 1.'],
    [
      'a no-break space',
      ['stats', '--since', '7\u00A0d'],
      'Argument 3 has U+00A0 NO-BREAK SPACE as character 2.',
    ],
    [
      'an invisible character in a number',
      [...SEND, `${WORKING_NUMBER}\u200E`],
      'U+200E LEFT-TO-RIGHT MARK as character 13',
    ],
  ])('%s in an argument is named', async (_what, args, words) => {
    const { code, stdout, stderr } = await run(args)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(words)
  })

  test.each<[string, Buffer, string | null]>([
    ['in UTF-16', Buffer.from('\uFEFF{"jitter": 0}', 'utf16le'), null],
    [
      'with typographic quotes',
      Buffer.from('{\n  “jitter”: 0}'),
      'line 2 has U+201C LEFT DOUBLE QUOTATION MARK as character 3',
    ],
    [
      'with a no-break space',
      Buffer.from('{\n"jitter":\u00A00}'),
      'line 2 has U+00A0 NO-BREAK SPACE as character 10',
    ],
    [
      'with an invisible character in a code',
      Buffer.from('{"codes": {"30003\u200B": "stop"}}'),
      'U+200B ZERO WIDTH SPACE',
    ],
    ['in Latin-1', Buffer.from('{"é": 1}', 'latin1'), 'save it as UTF-8'],
  ])('a policy file %s is read, or its fault is located', async (_what, bytes, words) => {
    const file = join(folder, 'pasted.json')
    await writeFile(file, bytes)
    const { code, stderr } = await run(['policy'], { RETRY_POLICY_FILE: file })
    expect({ code, stderr }).toEqual(
      words === null ? { code: 0, stderr: '' } : { code: 2, stderr: expect.stringContaining(words) },
    )
  })

  test('an invalid policy file exits with 2 and names the code', async () => {
    const file = join(folder, 'broken.json')
    await writeFile(file, '{"codes": {"30003": {"retries": 99}}}')
    const { code, stderr } = await run(['policy'], { RETRY_POLICY_FILE: file })
    expect(code).toBe(2)
    expect(stderr).toContain('30003')
  })
})

/** Its encodings and the faults in its lines are tested in test/config/env-file.test.ts. */
describe('the file .env', () => {
  const runIn = async (put: (path: string) => Promise<unknown>): Promise<Ended> => {
    const here = await mkdtemp(join(folder, 'here-'))
    await put(join(here, '.env'))
    return endOf(startCli(['policy'], {}, undefined, here))
  }

  test('sets variables', async () => {
    const { code, stderr } = await runIn((path) => writeFile(path, 'RETRY_DELAY_SCALE=much'))
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('RETRY_DELAY_SCALE') })
  })

  test('does not override the environment', async () => {
    const here = await mkdtemp(join(folder, 'here-'))
    await writeFile(join(here, '.env'), 'RETRY_DELAY_SCALE=much')
    expect(await endOf(startCli(['policy'], { RETRY_DELAY_SCALE: '2' }, undefined, here))).toMatchObject({
      code: 0,
    })
  })

  test('exits with 2 if it would redirect credentials of the environment, and connects to nothing', async () => {
    const here = await mkdtemp(join(folder, 'here-'))
    const elsewhere = createServer()
    const requests: unknown[] = []
    elsewhere.on('connection', (socket) => {
      requests.push(socket)
      socket.destroy()
    })
    await new Promise<void>((resolve) => elsewhere.listen(0, '127.0.0.1', resolve))
    const { port } = elsewhere.address() as AddressInfo
    await writeFile(join(here, '.env'), `TWILIO_API_BASE_URL=http://127.0.0.1:${port}`)
    const { TWILIO_API_BASE_URL: _own, ...env } = world.env
    try {
      const ended = await endOf(startCli(['doctor'], env, undefined, here))
      expect(ended).toMatchObject({ code: 2, stdout: '' })
      expect(ended.stderr).toMatch(
        /^The file \.env must not decide where .*:\n {2}TWILIO_API_BASE_URL: set in the environment as well, or put TWILIO_AUTH_TOKEN into \.env\n$/,
      )
      expect(requests).toEqual([])
    } finally {
      elsewhere.close()
    }
  })

  test('is ignored if it is a folder, as in some Python projects', async () => {
    expect(await runIn((path) => mkdir(path))).toMatchObject({ code: 0, stderr: '' })
  })

  test('exits with 2 and one line if it cannot be read', async () => {
    // A link to itself is unreadable even for root.
    const { code, stdout, stderr } = await runIn((path) => symlink(path, path))
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toMatch(/^The file \.env cannot be read: ELOOP.*\n$/)
  })
})

test.each([
  ['list', ['list', '--json', '--limit', '5000']],
  ['--help', ['--help']],
])('%s exits with 0 and prints no error if its reader closes the pipe', async (_what, args) => {
  const cli = startCli(args, world.env)
  cli.child.stdout?.destroy()
  expect(await endOf(cli)).toEqual({ code: 0, stdout: '', stderr: '' })
})

describe('a failure exits with 1', () => {
  test.each([
    ['list', ['list']],
    ['show', ['show', '1']],
    ['send', [...SEND, WORKING_NUMBER]],
    ['worker', ['worker']],
    ['migrate', ['migrate']],
  ])('%s while the database is unreachable', async (_what, args) => {
    const url = `postgres://app:hunter2@127.0.0.1:${CLOSED_PORT}/app`
    const { code, stdout, stderr } = await run(args, { DATABASE_URL: url })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(/ECONNREFUSED/)
    expect(stderr).not.toContain('hunter2')
    expect(stderr).not.toMatch(/^ {4}at /m)
  })

  test.each([
    ['worker', ['worker']],
    ['send', [...SEND, WORKING_NUMBER]],
  ])('%s on a database without migrations says which command to run', async (_what, args) => {
    const unmigrated = await createTestDatabase(null)
    const { code, stdout, stderr } = await run(args, { DATABASE_URL: unmigrated.url })
    await unmigrated.drop()
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toContain('sms-retry migrate')
  })

  test('web on a port in use', async () => {
    const { code, stderr } = await run(['web'])
    expect(code).toBe(1)
    expect(stderr).toContain('EADDRINUSE')
  })
})

describe('commands that run until they are stopped', () => {
  test('web answers requests, and exits with 0 on SIGTERM', async () => {
    const port = await freePort()
    const web = startCli(['web'], { ...world.env, PORT: `${port}` })
    await untilReady(`http://127.0.0.1:${port}`)
    web.kill('SIGTERM')
    const { code, stdout, stderr } = await endOf(web)
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    expect(stderr).toContain('Web process has stopped')
    expect(stderr).not.toContain(world.env['TWILIO_AUTH_TOKEN'])
  })

  test('worker sends due attempts, and exits with 0 on SIGINT', async () => {
    const worker = startCli(['worker'], world.env)
    const { database } = world.openRuntime()
    const { id } = await world.sender.enqueue(
      { userId: 7, to: WORKING_NUMBER, body: 'Hello' },
      { db: database },
    )
    await database.close()
    await waitFor('the delivery', async () => {
      const [row] = await world.database.query('select final_status from sms_usage_logs where id = $1', [id])
      return row?.['final_status'] === 'delivered'
    })
    worker.kill('SIGINT')
    const { code, stdout, stderr } = await endOf(worker)
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    expect(stderr).toContain('Worker has stopped')
  })

  test('simulate prints its address and settings, serves Twilio’s API, and exits with 0 on SIGTERM', async () => {
    const port = await freePort()
    const simulate = startCli(['simulate', '--port', `${port}`, '--seed', '5'])
    const url = await waitFor('the address', () => /http:\/\/127\.0\.0\.1:\d+/.exec(simulate.stdout())?.[0])
    expect(url).toBe(`http://127.0.0.1:${port}`)
    const settings = Object.fromEntries(
      [...simulate.stdout().matchAll(/^ {2}([A-Z_]+)=(.*)$/gm)].map(([, name, value]) => [name, value]),
    )
    expect(settings).toMatchObject({ TWILIO_API_BASE_URL: url, TWILIO_ACCOUNT_SID: expect.any(String) })
    // The printed settings are enough to send through the simulator.
    const sent = await runCliProcess([...SEND, WORKING_NUMBER], { ...world.env, ...settings })
    expect(sent).toMatchObject({ code: 0, stdout: expect.stringContaining('accepted') })
    expect(await (await fetch(`${url}/simulator/messages`)).json()).toMatchObject({
      messages: [{ to: WORKING_NUMBER }],
    })
    simulate.kill('SIGTERM')
    expect((await endOf(simulate)).code).toBe(0)
  })
})
