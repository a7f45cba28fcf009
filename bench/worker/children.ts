// The processes that the worker's sections start: the built command, and programs of the benchmark that are told what
// to do over IPC.
import { type ChildProcess, fork, spawn } from 'node:child_process'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { endWithUs } from '../processes.ts'
import { ACCOUNT } from './account.ts'

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))

export interface CliOptions {
  readonly databaseUrl: string
  readonly publicBaseUrl: string
  readonly twilioUrl: string
  readonly env?: Readonly<Record<string, string>>
}

export interface CliProcess {
  readonly pid: number
  /** Resolves when the text has stood on stderr; rejects if the process ends before. */
  untilSaid(text: string): Promise<void>
  /** In good order, as a platform does it. */
  stop(): Promise<void>
}

export function startCli(command: 'web' | 'worker', options: CliOptions): CliProcess {
  const env = {
    PATH: process.env['PATH'],
    LOG_LEVEL: 'warn',
    DATABASE_URL: options.databaseUrl,
    PUBLIC_BASE_URL: options.publicBaseUrl,
    TWILIO_API_BASE_URL: options.twilioUrl,
    ...ACCOUNT,
    ...options.env,
  }
  const child = spawn(process.execPath, [CLI, command], {
    // Not here, where a developer's own .env would be read.
    cwd: tmpdir(),
    env,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  endWithUs(child)
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    said = (said + chunk).slice(-10_000)
  })
  return {
    // A process that could not be started says nothing and has no id.
    pid: child.pid ?? 0,
    untilSaid: (text) =>
      new Promise((resolve, reject) => {
        const look = (): void => void (said.includes(text) && resolve())
        child.stderr.on('data', look)
        child.once('exit', () => reject(new Error(`${command} has ended: ${said}`)))
        look()
      }),
    stop: () => end(child),
  }
}

/** A program of this folder, with its messages. It ends when its channel is closed. */
export interface ForkedProgram<Request, Reply> {
  readonly pid: number
  /** The program's next message. */
  next(timeoutMs: number): Promise<Reply>
  tell(request: Request): void
  stop(): Promise<void>
}

export function forkProgram<Request, Reply>(
  file: URL,
  args: readonly string[] = [],
): ForkedProgram<Request, Reply> {
  const child = fork(fileURLToPath(file), args)
  endWithUs(child)
  return {
    pid: child.pid ?? 0,
    next: (timeoutMs) =>
      new Promise((resolve, reject) => {
        const settle = (act: () => void): void => {
          clearTimeout(timer)
          child.off('message', onMessage)
          child.off('exit', onExit)
          act()
        }
        const onMessage = (reply: unknown): void => settle(() => resolve(reply as Reply))
        const onExit = (): void => settle(() => reject(new Error(`${file.pathname} has ended`)))
        const fail = (): void => reject(new Error(`${file.pathname} says nothing for ${timeoutMs} ms`))
        const timer = setTimeout(() => settle(fail), timeoutMs)
        child.once('message', onMessage)
        child.once('exit', onExit)
      }),
    tell: (request) => void child.send(request as object),
    stop: () => end(child),
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  await ended
}
