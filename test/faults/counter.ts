// A counter for each campaign, which a trigger of the app's changes with each message, and which the app holds for some
// seconds: only callbacks of that campaign may have to wait.
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { SimulatedCallback, Simulator } from '../../src/simulator/simulator.ts'
import type { TestDatabase } from '../support/database.ts'
import { CAMPAIGNS, refusedCampaigns } from './app-sql.ts'

/** Enough for one batch to have some of the campaign and some of others. */
const CALLED_BACK = 12
const SUBMITTED_WITHIN_MS = 1_500

export interface Hold {
  readonly campaign: number
  /** In real time. */
  readonly forMs: number
  /** Adds a message that will be called back. */
  enqueue(): void
}

/** @returns what callbacks of other campaigns had to suffer */
export async function holdCounterUnderCallbacks(
  { simulator, database }: { readonly simulator: Simulator; readonly database: TestDatabase },
  { campaign, forMs, enqueue }: Hold,
): Promise<string[]> {
  await simulator.idle()
  const { delayCallbacks, dropCallbacks } = simulator.chaos()
  const before = simulator.callbacks().length
  const wanted = simulator.messages().length + CALLED_BACK
  // They come while the counter is held.
  simulator.setChaos({ delayCallbacks: 1, dropCallbacks: 0 })
  for (let i = 0; i < CALLED_BACK; i += 1) enqueue()
  const givenUpMs = performance.now() + SUBMITTED_WITHIN_MS
  while (simulator.messages().length < wanted && performance.now() < givenUpMs) await sleep(10)
  await holdCounter(database, campaign, forMs)
  simulator.setChaos({ delayCallbacks, dropCallbacks })
  await simulator.idle()
  const blocked = [campaign, ...(await refusedCampaigns(database))]
  return simulator
    .callbacks()
    .slice(before)
    .filter((callback) => !blocked.includes(campaignOf(callback)) && !isTakenAtOnce(callback))
    .map(
      ({ url, tries, answer_status: status, error }) =>
        `${new URL(url).search}: answered ${status ?? error} after ${tries} tries, because another campaign was held`,
    )
}

function campaignOf({ url }: SimulatedCallback): number {
  return Number(new URL(url).searchParams.get('message')) % CAMPAIGNS
}

function isTakenAtOnce({ tries, answer_status: status }: SimulatedCallback): boolean {
  return tries === 1 && status === 204
}

async function holdCounter(database: TestDatabase, campaign: number, forMs: number): Promise<void> {
  await database.query('insert into virtual.counters values ($1)', [campaign])
  const app = new pg.Client({ connectionString: database.url })
  await app.connect()
  try {
    await app.query('begin')
    await app.query('select from virtual.counters where campaign = $1 for update', [campaign])
    await sleep(forMs)
    await app.query('commit')
  } finally {
    await app.end()
  }
  await database.query('delete from virtual.counters')
}
