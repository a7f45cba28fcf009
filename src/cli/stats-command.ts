// The command `stats`: what became of the messages of a span, whether that is good enough, and why the others failed.
import { type Env, parseConfig } from '../config/config.ts'
import { countFailures, type Failures, MAX_CONSIDERED } from '../db/failures.ts'
import { countMessages, type Overview } from '../db/overview.ts'
import { openDatabase } from '../postgres/pool.ts'
import { reasonOf } from '../delivery/error-codes.ts'
import { type Target, targetsOf } from '../delivery/targets.ts'
import { duration, share } from '../shared/figures.ts'
import { print, printJson, printStatus } from '../shared/output.ts'
import { type Cell, table } from './table.ts'

export async function statsCommand(
  env: Env,
  { since, json }: { readonly since: number; readonly json?: true },
): Promise<void> {
  const config = parseConfig(env, ['DATABASE_URL'])
  const database = openDatabase(config.database, () => undefined)
  try {
    const overview = await countMessages(database, since)
    const failures = await countFailures(database, since)
    if (json) printJson(statsJson(since, overview, failures))
    else print(statsView(since, overview, failures))
    if (!failures.isComplete) {
      printStatus(`Error codes are those of the newest ${MAX_CONSIDERED} messages with trouble.`)
    }
  } finally {
    await database.close()
  }
}

/** Stable: keys are added, never renamed. A value is null while there is nothing to judge by. */
function statsJson(sinceSeconds: number, overview: Overview, { codes, isComplete }: Failures): object {
  return {
    sinceSeconds,
    ...overview,
    targets: targetsOf(overview).map(({ name, wanted, value, isMet }) => ({ name, wanted, value, isMet })),
    failures: {
      isComplete,
      codes: codes.map((entry) => ({ ...entry, reason: reasonOf(entry.code) })),
    },
  }
}

function statsView(sinceSeconds: number, overview: Overview, { codes }: Failures): string {
  const head = `The last ${duration(sinceSeconds)}`
  const parts = [
    table([head, 'MESSAGES', 'SHARE'], figures(overview)),
    table(['TARGET', 'IS', 'WANTED', 'OF'], targetsOf(overview).map(targetRow)),
  ]
  if (codes.length > 0) {
    const rows = codes.map(({ code, attempts, messages, recovered }) => [
      code === null ? 'none' : `${code}`,
      `${attempts}`,
      `${messages}`,
      share(recovered, messages),
      reasonOf(code),
    ])
    parts.push(table(['FAILED WITH', 'ATTEMPTS', 'MESSAGES', 'RECOVERED', 'REASON'], rows))
  }
  return parts.join('\n\n')
}

function figures(overview: Overview): Cell[][] {
  const { messages, deliveredAtFirst, deliveredByRetry, failed, canceled, inFlight, retrying } = overview
  const row = (name: string, count: number): Cell[] => [name, `${count}`, share(count, messages)]
  return [
    ['Messages', `${messages}`],
    row('Delivered at first try', deliveredAtFirst),
    row('Recovered by retry', deliveredByRetry),
    row('Failed for good', failed),
    row('Canceled', canceled),
    row('Not final yet', inFlight),
    row('  of them, waiting for a retry', retrying),
  ]
}

function targetRow({ name, of, wanted, value, isMet }: Target): Cell[] {
  const isShare = 'above' in wanted
  const shown = value === null ? '–' : isShare ? share(value, 1) : value.toFixed(2)
  return [
    name,
    isMet === null ? shown : { text: shown, style: isMet ? 'green' : 'red' },
    isShare ? `> ${wanted.above * 100} %` : `< ${wanted.below}`,
    of,
  ]
}
