// A primary and its standbys, and the address that the application knows. A failover kills the primary, promotes the
// standby that has received most, has the others follow it, and repoints the address.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ownerOf, reachableBinaries } from '../../src/demo/embedded-postgres.ts'
import { dataFolder, TEMPLATE_DATABASE } from '../support/test-server.ts'
import { waitFor } from '../support/wait-for.ts'
import { PostgresNode } from './postgres-node.ts'
import { SwitchableAddress } from './switchable-address.ts'

/**
 * `synchronous`: a commit is answered once one of two standbys has it (`ANY 1`), so that one of them may be away.
 * `asynchronous`: one standby, and nobody waits for it.
 */
export type Replication = 'synchronous' | 'asynchronous'

interface Standby {
  readonly node: PostgresNode
  /** The standby's way to its primary, which can be cut. */
  readonly link: SwitchableAddress
}

const SYNCHRONOUS = `synchronous_standby_names = 'ANY 1 (*)'`

export const DATABASE = 'app'

export class Cluster {
  readonly replication: Replication
  /** Where the application finds the primary. */
  readonly address: SwitchableAddress
  readonly #directory: string
  #primary: PostgresNode
  #standbys: Standby[] = []

  private constructor(
    replication: Replication,
    directory: string,
    primary: PostgresNode,
    address: SwitchableAddress,
  ) {
    this.replication = replication
    this.#directory = directory
    this.#primary = primary
    this.address = address
  }

  /** @param prepare is given the URL of a migrated database on the first primary */
  static async start(replication: Replication, prepare: (url: string) => Promise<void>): Promise<Cluster> {
    const directory = await mkdtemp(join(tmpdir(), 'sms-retry-cluster-'))
    const binaries = await reachableBinaries(directory, await ownerOf(directory))
    const primary = await PostgresNode.primary(binaries, dataFolder())
    const cluster = new Cluster(replication, directory, primary, await SwitchableAddress.listen(primary.port))
    try {
      await primary.query('postgres', `create database ${DATABASE} template ${TEMPLATE_DATABASE}`)
      await prepare(primary.url(DATABASE))
      await cluster.completeStandbys()
      if (replication === 'synchronous') {
        await primary.query('postgres', `alter system set ${SYNCHRONOUS}`)
        await primary.query('postgres', 'select pg_reload_conf()')
        await cluster.#untilStreaming()
      }
      return cluster
    } catch (error) {
      await cluster.close()
      throw error
    }
  }

  get primary(): PostgresNode {
    return this.#primary
  }

  get standbys(): PostgresNode[] {
    return this.#standbys.map(({ node }) => node)
  }

  /** The application's DATABASE_URL: one host, whatever server is behind it. */
  get url(): string {
    return this.#primary.url(DATABASE, this.address.port)
  }

  /** Nothing that the primary writes from now on reaches a standby (or only the last of them). */
  cutReplication(which: 'all' | 'all but one' = 'all'): void {
    const standbys = which === 'all' ? this.#standbys : this.#standbys.slice(0, -1)
    for (const { link } of standbys) link.silence()
  }

  /** @param how connections to a process that was killed are reset; of a machine that died nobody hears anything */
  async killPrimary(how: 'reset' | 'silence'): Promise<PostgresNode> {
    const killed = this.#primary
    if (how === 'silence') this.address.silence()
    await killed.kill()
    if (how === 'reset') this.address.cut()
    return killed
  }

  /** Makes the standby that has received most the primary, and has the others follow it. */
  async promote(): Promise<PostgresNode> {
    const [first, ...others] = await this.#byReceived()
    if (first === undefined) throw new Error('There is no standby to promote')
    await first.node.query('postgres', 'select pg_promote(true, 60)')
    await waitFor('the promotion', async () => {
      const [row] = await first.node.query<{ ends: boolean }>(
        'postgres',
        'select not pg_is_in_recovery() as "ends"',
      )
      return row?.ends
    })
    await first.link.close()
    this.#primary = first.node
    this.#standbys = others
    for (const { link } of others) {
      link.cut()
      link.point(first.node.port)
    }
    return first.node
  }

  /** What the application connects to from now on is the new primary. */
  repoint(): void {
    this.address.point(this.#primary.port)
  }

  /** Makes the standbys that are missing, and waits until all of them stream. */
  async completeStandbys(): Promise<void> {
    const wanted = this.replication === 'synchronous' ? 2 : 1
    const settings = this.replication === 'synchronous' ? [SYNCHRONOUS] : []
    while (this.#standbys.length < wanted) {
      const link = await SwitchableAddress.listen(this.#primary.port)
      const node = await PostgresNode.standbyOf(this.#primary, link.port, settings)
      this.#standbys.push({ node, link })
    }
    await this.#untilStreaming()
  }

  async #untilStreaming(): Promise<void> {
    await waitFor('the standbys to stream', async () => {
      const rows = await this.#primary.query<{ streams: boolean }>(
        'postgres',
        `select state = 'streaming'
                and (sync_state <> 'async' or current_setting('synchronous_standby_names') = '') as "streams"
           from pg_stat_replication`,
      )
      return rows.length === this.#standbys.length && rows.every(({ streams }) => streams)
    })
  }

  async #byReceived(): Promise<Standby[]> {
    const received = await Promise.all(
      this.#standbys.map(async (standby) => {
        const [row] = await standby.node.query<{ bytes: string }>(
          'postgres',
          `select (greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0')::text as "bytes"`,
        )
        return { standby, bytes: BigInt(row?.bytes ?? 0) }
      }),
    )
    return received.toSorted((a, b) => (a.bytes < b.bytes ? 1 : -1)).map(({ standby }) => standby)
  }

  async close(): Promise<void> {
    await this.address.close()
    for (const { node, link } of this.#standbys) {
      await node.remove()
      await link.close()
    }
    await this.#primary.remove()
    await rm(this.#directory, { recursive: true, force: true })
  }
}
