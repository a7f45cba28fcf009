// What the tests of reconciling share: a world in which time can pass at once, and processes of their own in it.
import { startQueue } from '../../src/jobs/queue.ts'
import type { Reconciled } from '../../src/messages/reconcile.ts'
import { type AttemptDeps, AttemptRunner } from '../../src/messages/run-attempts.ts'
import type { ChaosChange } from '../../src/simulator/chaos.ts'
import type { SimulatorOptions } from '../../src/simulator/simulator.ts'
import { recordingOf } from '../../src/processes/runtime.ts'
import { createTwilioClient } from '../../src/twilio/client.ts'
import type { World } from './world.ts'
import { closeLater, message, newWorld } from './world-with.ts'

export const NOTHING: Reconciled = {
  looked: 0,
  rungAgain: 0,
  asked: 0,
  answered: 0,
  absent: 0,
  undecided: 0,
  failed: 0,
  leftOut: 0,
}

export interface TimedWorld extends World {
  /** Lets this time pass for the rows and for the simulator. */
  pass(seconds: number): Promise<void>
}

/** Unscaled, so that nothing is overdue by itself; no callback arrives unless a test says so. */
export async function newTimedWorld(
  options: SimulatorOptions = {},
  env: Record<string, string> = {},
): Promise<TimedWorld> {
  let passedMs = 0
  const world = await newWorld({
    env: { RETRY_DELAY_SCALE: '1', ...env },
    simulator: {
      hangMs: 10,
      now: () => Date.now() + passedMs,
      ...options,
      chaos: { dropCallbacks: 1, ...options.chaos },
    },
  })
  return {
    ...world,
    async pass(seconds) {
      passedMs += seconds * 1000
      await passForRows(world, seconds)
    },
  }
}

const EARLIER = (text: string): string =>
  `to_char((${text}::timestamptz - make_interval(secs => $1)) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`

/** Lets this time pass for the rows alone. */
export async function passForRows({ database }: World, seconds: number): Promise<void> {
  await database.query(PASS, [seconds])
}

/** Every time of a row that decisions depend on is so many seconds earlier; deadlines stay. */
const PASS = `
  update sms_usage_logs
     set created_at = created_at - make_interval(secs => $1),
         next_retry_at = next_retry_at - make_interval(secs => $1),
         sms_metadata = sms_metadata || jsonb_strip_nulls(jsonb_build_object(
           'reconcile_at', ${EARLIER("(sms_metadata ->> 'reconcile_at')")},
           'send_after', ${EARLIER("(sms_metadata ->> 'send_after')")},
           'attempts', (
             select jsonb_agg(jsonb_set(attempt, '{times}', (
                      select jsonb_object_agg(key, ${EARLIER('value')}) from jsonb_each_text(attempt -> 'times')))
                    order by attempt -> 'number')
               from jsonb_array_elements(sms_metadata -> 'attempts') attempt)))`

/** A process of its own, as far as reconciling is concerned. */
export async function newProcess(world: World): Promise<AttemptDeps> {
  const runtime = world.openRuntime()
  const { config, database, logger } = runtime
  const queue = await startQueue(database, 'schedule', logger)
  closeLater(async () => {
    await queue.stop(1_000)
    await database.close()
  })
  const twilio = createTwilioClient(config.twilio, config.publicBaseUrl)
  return { ...recordingOf(runtime, queue), twilio }
}

/** The process, and what it asks Twilio for: numbers and sids. */
export function counting(deps: AttemptDeps): { deps: AttemptDeps; asked: string[] } {
  const asked: string[] = []
  const { twilio } = deps
  return {
    asked,
    deps: {
      ...deps,
      twilio: {
        ...twilio,
        fetch: (sid) => {
          asked.push(sid)
          return twilio.fetch(sid)
        },
        list: (to, maxAgeSeconds, signal) => {
          asked.push(to)
          return twilio.list(to, maxAgeSeconds, signal)
        },
      },
    },
  }
}

/** Sends while the simulator has these faults, and returns the row's id. */
export async function sendWith(
  world: World,
  chaos: ChaosChange,
  changes: Parameters<typeof message>[0] = {},
): Promise<number> {
  world.simulator.setChaos(chaos)
  const { id } = await world.sender.send(message(changes))
  for (const name of Object.keys(chaos)) world.simulator.setChaos({ [name]: 0 })
  return id
}

export const jobsOf = ({ database }: World): Promise<{ state: string; attempt: number; due: boolean }[]> =>
  database.query(
    `select state, (data ->> 'attempt')::integer as "attempt", start_after <= now() as "due"
       from sms_retry_pgboss.job where name = 'attempt' order by created_on`,
  )

export async function runDue(world: World, deps: AttemptDeps, id: number, attempt: number): Promise<void> {
  const runner = new AttemptRunner(deps, 10, null)
  await runner.run([{ message: id, attempt }])
  await runner.stop()
  await world.simulator.idle()
}
