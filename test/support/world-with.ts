// What tests of sender and worker share: worlds that end with their test, a fake Twilio in the simulator's place,
// and the rows and jobs as they stand in the database.
import { afterEach } from '@jest/globals'
import pg from 'pg'
import type { MessageInput } from '../../src/messages/message-input.ts'
import { type Answering, type FakeTwilio, startFakeTwilio } from './fake-twilio.ts'
import { startWorld, type World, type WorldOptions } from './world.ts'

const closing: (() => Promise<unknown>)[] = []

/** Ends it after the test, in reverse order. */
export function closeLater(close: () => Promise<unknown>): void {
  closing.push(close)
}

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

export async function newWorld(options: WorldOptions = {}): Promise<World> {
  const world = await startWorld(options)
  closeLater(() => world.stop())
  return world
}

/** A world whose processes talk to this server instead of the simulator. */
export async function newWorldWith(
  answer: Answering,
  env: Record<string, string> = {},
): Promise<{ world: World; twilio: FakeTwilio }> {
  const twilio = await startFakeTwilio(answer)
  closeLater(() => twilio.close())
  return { world: await newWorld({ env: { TWILIO_API_BASE_URL: twilio.url, ...env } }), twilio }
}

/** A client of the app's own, with its own transactions. */
export async function appClient({ database }: World): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.url })
  await client.connect()
  closeLater(() => client.end())
  return client
}

export function message(changes: Partial<MessageInput> = {}): MessageInput {
  return { userId: 7, to: '+12065550199', body: 'Your order has shipped', ...changes }
}

export interface Row {
  id: number
  final_status: string
  success: boolean
  retry_count: number
  next_retry_at: Date | null
  twilio_message_sid: string | null
  error_message: string | null
  sms_metadata: { attempts?: { number: number; status: string; sid?: string; postponements?: number }[] }
}

export function rowsOf({ database }: World): Promise<Row[]> {
  return database.query<Row>('select * from sms_usage_logs order by id')
}

export async function rowOf(world: World, id: number): Promise<Row> {
  const row = (await rowsOf(world)).find((each) => each.id === id)
  if (row === undefined) throw new Error(`there is no row ${id}`)
  return row
}

/** How many alarms of attempts there are, those that have rung included. */
export async function jobCount({ database }: World): Promise<number> {
  return (await database.query(`select 1 from sms_retry_pgboss.job where name = 'attempt'`)).length
}

/** How many connections the world's processes have. */
export async function connectionCount({ database }: World): Promise<number> {
  const connections = await database.query(
    `select 1 from pg_stat_activity where application_name = 'sms-retry' and datname = current_database()`,
  )
  return connections.length
}
