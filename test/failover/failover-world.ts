// A cluster, the simulator, and an application whose database fails over: web, worker and sender know one address.
import pg from 'pg'
import { freePort } from '../../src/demo/embedded-postgres.ts'
import { openRuntime, type Runtime } from '../../src/processes/runtime.ts'
import { openSender, type Sender } from '../../src/processes/sender.ts'
import { simulatedEnvironment } from '../../src/simulator/environment.ts'
import { type SimulatedCallback, type Simulator, startSimulator } from '../../src/simulator/simulator.ts'
import { type RunningWeb, startWeb } from '../../src/http/web.ts'
import { type RunningWorker, runWorker } from '../../src/processes/worker.ts'
import { postSigned } from '../support/callbacks.ts'
import { capturingLogger, type LogLine } from '../support/world.ts'
import { Callers } from './callers.ts'
import { Cluster, DATABASE, type Replication } from './cluster.ts'
import type { PostgresNode } from './postgres-node.ts'

/** In one round between two failovers. */
const MAX_REPEATED = 2_000

export interface Row {
  readonly id: number
  readonly body: string
  readonly status: string
  readonly success: boolean
  readonly retryCount: number
  /** When its latest attempt was claimed. */
  readonly claimedAt: string | null
  readonly attempts: readonly {
    readonly number: number
    readonly status: string
    readonly sid?: string
    readonly error_code?: number
  }[]
}

export class FailoverWorld {
  readonly cluster: Cluster
  readonly simulator: Simulator
  readonly sender: Sender
  readonly callers: Callers
  readonly log: LogLine[]
  readonly #web: RunningWeb
  readonly #worker: RunningWorker

  private constructor(
    cluster: Cluster,
    simulator: Simulator,
    sender: Sender,
    web: RunningWeb,
    worker: RunningWorker,
    log: LogLine[],
  ) {
    this.cluster = cluster
    this.simulator = simulator
    this.sender = sender
    this.callers = new Callers(sender, cluster.url)
    this.log = log
    this.#web = web
    this.#worker = worker
  }

  static async start(replication: Replication, delayScale: number): Promise<FailoverWorld> {
    const cluster = await Cluster.start(replication, prepare)
    const simulator = await startSimulator({ callbackDelayMs: 30, slowMs: 300, chaos: { slow: 0.2 } })
    const log: LogLine[] = []
    const env = simulatedEnvironment(simulator, {
      databaseUrl: cluster.url,
      port: await freePort(),
      delayScale,
    })
    const open = (): Runtime => openRuntime({ logger: capturingLogger(log) }, env, ['DATABASE_URL', 'sender'])
    const web = await startWeb(open())
    const worker = await runWorker(open())
    return new FailoverWorld(cluster, simulator, await openSender(open()), web, worker, log)
  }

  rowsOn(node: PostgresNode): Promise<Row[]> {
    return node.query<Row>(
      DATABASE,
      `select id, message_content as "body", final_status as "status", success, retry_count as "retryCount",
              sms_metadata -> 'attempts' as "attempts",
              sms_metadata -> 'attempts' -> -1 -> 'times' ->> 'submitting' as "claimedAt"
         from sms_usage_logs order by id`,
    )
  }

  /**
   * Twilio sends callbacks once more, one after the other: those that are wanted, again and again.
   *
   * @returns ends it; resolves with how many were sent
   */
  repeatCallbacks(isWanted: (sid: string) => boolean): { stop(): Promise<number> } {
    let isStopped = false
    const repeat = async (): Promise<number> => {
      let sent = 0
      while (sent < MAX_REPEATED && !isStopped) {
        const callbacks = this.simulator.callbacks().filter(({ message_sid }) => isWanted(message_sid))
        if (callbacks.length === 0) break
        for (const callback of callbacks) {
          if (isStopped) break
          await this.#repeat(callback)
          sent += 1
        }
      }
      return sent
    }
    const repeating = repeat()
    return {
      stop: () => {
        isStopped = true
        return repeating
      },
    }
  }

  async repeatEachCallback(): Promise<void> {
    for (const callback of this.simulator.callbacks()) await this.#repeat(callback)
  }

  async #repeat({ url, fields }: SimulatedCallback): Promise<void> {
    const answer = postSigned(this.simulator.authToken, url.split('#')[0] ?? '', fields)
    await answer.then(
      (response) => response.arrayBuffer(),
      () => undefined,
    )
  }

  async stop(): Promise<void> {
    await this.#worker.stop()
    await this.sender.close()
    await this.simulator.close()
    await this.#web.stop()
    await this.cluster.close()
  }
}

async function prepare(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query('create table orders (number integer primary key, message integer not null)')
  await client.end()
}
