// A Redis server for BullMQ, where both can be run: durable to the second, as BullMQ's documentation asks for.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { type Program, startProgram } from '../processes.ts'

export interface Redis extends Program {
  readonly port: number
  /** Sends one command of Redis's inline protocol and returns the first line of its answer. */
  command(text: string): Promise<string>
}

/** What BullMQ needs and cannot be run without; null if nothing is missing. */
export async function whatBullmqLacks(): Promise<string | null> {
  const hasServer = await promisify(execFile)('redis-server', ['--version']).then(
    () => true,
    () => false,
  )
  if (!hasServer) return 'redis-server'
  try {
    // An optional dependency of BullMQ, which loads it by itself.
    import.meta.resolve('ioredis')
    return null
  } catch {
    return 'the npm package ioredis'
  }
}

export async function startRedis(): Promise<Redis> {
  const port = await freePort()
  const directory = await mkdtemp(join(tmpdir(), 'sms-retry-bench-redis-'))
  const settings = {
    port,
    bind: '127.0.0.1',
    dir: directory,
    appendonly: 'yes',
    appendfsync: 'everysec',
    save: '',
    logfile: join(directory, 'log'),
  }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, `${value}`])
  const command = (text: string): Promise<string> => sendInline(port, text)
  const program = await startProgram('redis-server', args, {}, () =>
    command('PING').then(
      (answer) => answer === '+PONG',
      () => false,
    ),
  )
  return {
    ...program,
    port,
    command,
    async close() {
      await program.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}

async function sendInline(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    socket.write(`${text}\r\n`)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    return answer.toString().split('\r\n')[0] ?? ''
  } finally {
    socket.destroy()
  }
}
