// Demos as real processes, each with a folder of its own for temporary files.
import { afterEach, beforeEach, expect } from '@jest/globals'
import { createTemporaryFolder, type TemporaryFolder } from '../support/left-behind.ts'
import { type CliProcess, startCli } from '../support/process.ts'
import { waitFor } from '../support/wait-for.ts'

/** A demo prints these when it starts, and while it sends. */
export const STARTING = /Starting PostgreSQL/
export const SENDING = /sent \d+\/\d+/

export interface Demos {
  /** The temporary folder of the current test. */
  folder(): TemporaryFolder
  start(flags: readonly string[], env?: Record<string, string>): CliProcess
  /** Starts one and waits until it has printed this. */
  startUntil(sign: RegExp): Promise<CliProcess>
  expectOrderlyStop(signal: NodeJS.Signals, sign: RegExp): Promise<void>
}

/** Call once per test file: registers hooks that kill the demo and remove the folder after each test. */
export function useDemos(): Demos {
  let folder: TemporaryFolder
  let demo: CliProcess | undefined
  beforeEach(async () => {
    folder = await createTemporaryFolder()
  })
  afterEach(async () => {
    demo?.kill('SIGKILL')
    await folder.remove()
  })
  const start: Demos['start'] = (flags, env = {}) => {
    demo = startCli(['demo', ...flags], { TMPDIR: folder.path, ...env })
    return demo
  }
  const startUntil: Demos['startUntil'] = async (sign) => {
    const started = start(['--messages', '200'])
    const { child, stderr } = started
    await waitFor(`the demo to print ${sign}`, () => {
      if (child.exitCode !== null) throw new Error(`The demo ended with ${child.exitCode}:\n${stderr()}`)
      return sign.test(stderr())
    })
    return started
  }
  return {
    folder: () => folder,
    start,
    startUntil,
    async expectOrderlyStop(signal, sign) {
      const { child, ended, stderr, kill } = await startUntil(sign)
      kill(signal)
      await ended
      expect(child.signalCode).toBeNull()
      expect(stderr()).not.toMatch(/^ {4}at |Error while stopping/m)
      await folder.untilEmpty()
    },
  }
}
