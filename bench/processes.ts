// The processes that are measured: started, waited for, and asked for their processor time and memory, as Linux keeps
// them under /proc. All of them end with the benchmark, however it ends.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Program {
  readonly pid: number
  /** Its end in good order; after some seconds, its end. */
  close(): Promise<void>
}

const children = new Set<ChildProcess>()

/** Also if we end by an error or a signal: nothing may be left that listens or writes. */
export function endWithUs(child: ChildProcess): void {
  if (children.size === 0) process.once('exit', killAll)
  children.add(child)
  child.once('exit', () => {
    children.delete(child)
    if (children.size === 0) process.off('exit', killAll)
  })
}

export function killAll(): void {
  for (const child of children) child.kill('SIGKILL')
}

const READY_TIMEOUT_MS = 20_000
const READY_POLL_MS = 25
const STOP_TIMEOUT_MS = 10_000

/**
 * Starts a program and waits until it is ready.
 *
 * @param env its whole environment, save the path to Node itself
 */
export async function startProgram(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  isReady: () => Promise<boolean>,
): Promise<Program> {
  const child = spawn(command, args, {
    // Not here, where a developer's own .env would be read.
    cwd: tmpdir(),
    env: { PATH: process.env['PATH'], ...env },
    // What a program complains about is for whoever runs the benchmark; stdout is for the figures.
    stdio: ['ignore', 2, 2],
  })
  endWithUs(child)
  await untilReady(child, isReady).catch((error: Error) => {
    child.kill('SIGKILL')
    throw new Error(`${command} ${args.join(' ')}: ${error.message}`)
  })
  return {
    // A process that is ready has an id.
    pid: child.pid ?? 0,
    close: () => end(child),
  }
}

async function untilReady(child: ChildProcess, isReady: () => Promise<boolean>): Promise<void> {
  let failure: Error | undefined
  child.once('error', (error) => {
    failure = error
  })
  const givenUpMs = performance.now() + READY_TIMEOUT_MS
  while (!(await isReady())) {
    if (failure !== undefined) throw failure
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('ended at once')
    if (performance.now() > givenUpMs) throw new Error('not ready in time')
    await sleep(READY_POLL_MS)
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const overdue = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
  await ended
  clearTimeout(overdue)
}

export async function answersOk(url: string): Promise<boolean> {
  return fetch(url).then(
    ({ ok }) => ok,
    () => false,
  )
}

/** Linux counts in hundredths of a second on every platform that Node runs on. */
const TICK_MS = 10

/** Processor time in user and kernel mode, of all threads, and of the children that have ended. */
export function processorMs(pid: number): number {
  // The second field is the program's name in parentheses, which may contain spaces.
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const [user, system, endedUser, endedSystem] = fields.slice(11, 15).map(Number)
  return ((user ?? 0) + (system ?? 0) + (endedUser ?? 0) + (endedSystem ?? 0)) * TICK_MS
}

/** The process and its children, such as PostgreSQL's: one for each connection, and those in the background. */
export function familyProcessorMs(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .split(' ')
    .filter(Boolean)
    .map(Number)
  return [pid, ...children].reduce((sum, each) => sum + processorMsOrNone(each), 0)
}

/** A child that has ended since then is counted with its parent. */
function processorMsOrNone(pid: number): number {
  try {
    return processorMs(pid)
  } catch {
    return 0
  }
}

/** Memory in use, without what is swapped out. */
export function residentMb(pid: number): number {
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(line?.[1] ?? Number.NaN) / 1024
}

export function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}
