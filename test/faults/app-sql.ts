// What an app does to its own table, in SQL of its own: rows that go and whose ids come again, triggers that keep changes
// out of a row, a counter that a trigger changes and that somebody holds.
import type { TestDatabase } from '../support/database.ts'

/** How a trigger keeps a change out of a row. */
export const REFUSALS = ['return null', 'return old', 'raise'] as const
export type Refusal = (typeof REFUSALS)[number]

/** A message belongs to the campaign that its id leaves as the remainder. */
export const CAMPAIGNS = 4

const TRIGGERS = `
  create table virtual.freed_ids (id bigint primary key);
  create table virtual.refusals (campaign integer, how text);
  create table virtual.counters (campaign integer primary key, changes integer not null default 0);

  create function virtual.take_freed_id() returns trigger language plpgsql as $$
  declare freed bigint;
  begin
    delete from virtual.freed_ids
     where id = (select id from virtual.freed_ids order by id limit 1 for update skip locked)
    returning id into freed;
    new.id := coalesce(freed, new.id);
    return new;
  end $$;
  create trigger take_freed_id before insert on public.sms_usage_logs
    for each row execute function virtual.take_freed_id();

  create function virtual.disturb_update() returns trigger language plpgsql as $$
  declare refusal text;
  begin
    select how into refusal from virtual.refusals where campaign = new.id % ${CAMPAIGNS} limit 1;
    case coalesce(refusal, '')
      when 'return null' then return null;
      when 'return old' then return old;
      when 'raise' then raise check_violation using message = 'The app refuses this row';
      else null;
    end case;
    update virtual.counters set changes = changes + 1 where campaign = new.id % ${CAMPAIGNS};
    return new;
  end $$;
  create trigger disturb_update before update on public.sms_usage_logs
    for each row execute function virtual.disturb_update();`

/** They do nothing until one of the functions below asks for it. */
export async function installAppTriggers(database: TestDatabase): Promise<void> {
  await database.query(TRIGGERS)
}

/**
 * Deletes messages that are over; the next new ones get their ids. Not one whose text is that of a message that is not
 * over: Twilio's list does not say whose such an entry is.
 *
 * @param leastHash from 0 (all of them) to 9: which ones, the seed says
 * @returns their rows
 */
export function deleteFinal<Row extends object>(
  database: TestDatabase,
  final: readonly string[],
  columns: string,
  leastHash: number,
): Promise<Row[]> {
  return database.query<Row>(
    `with gone as (
       delete from sms_usage_logs as m
        where final_status = any($1) and abs(hashtext(message_content)) % 10 >= $2
          and not exists (select from sms_usage_logs as other
                           where other.message_content = m.message_content and other.final_status <> all($1))
       returning *),
     freed as (insert into virtual.freed_ids select id from gone)
     select ${columns} from gone`,
    [final, leastHash],
  )
}

export async function refuseChanges(database: TestDatabase, campaign: number, how: Refusal): Promise<void> {
  await database.query('insert into virtual.refusals values ($1, $2)', [campaign, how])
}

/** @param campaign null for all */
export async function allowChanges(database: TestDatabase, campaign: number | null): Promise<void> {
  await database.query('delete from virtual.refusals where campaign = coalesce($1, campaign)', [campaign])
}

export async function refusedCampaigns(database: TestDatabase): Promise<readonly number[]> {
  const rows = await database.query<{ campaign: number }>('select campaign from virtual.refusals')
  return rows.map(({ campaign }) => campaign)
}
