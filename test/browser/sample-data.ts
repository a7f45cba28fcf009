// Invented messages for pictures and browser tests: an ordinary day, and an outage on top of it.
import type { TestDatabase } from '../support/database.ts'

type Query = TestDatabase['query']

/** The metadata of an app's message, and its recipient. */
const APP_METADATA = `jsonb_build_object('order', 1000 + n, 'kind', (array['shipping', 'receipt', 'reminder'])[1 + n % 3],
         'shop', jsonb_build_object('city', 'Rome', 'branch', n % 7))`
const RECIPIENT = `'+1206555' || lpad((n * 37 % 10000)::text, 4, '0')`

const ISO_FUNCTION = `create or replace function iso(timestamp) returns text language sql as
  $$select to_char($1, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')$$`

/** One message in 14 needs one retry, one in 60 two; one in 150 fails permanently, more of them around noon. */
const DAY = `
  insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content, created_at,
                              final_status, success, retry_count, twilio_message_sid, error_message, processing_time_ms, sms_metadata)
  select 1 + n % 40, ${RECIPIENT}, 'outbound', 28, 'Your order 1042 has shipped.', at,
         case when fails_for_good then 'undelivered' else 'delivered' end, not fails_for_good, retries,
         'SM' || md5(n::text || retries), case when fails_for_good then '30006: The number is a landline or its carrier cannot be reached. Trying again would not help' end,
         120 + n % 90,
         ${APP_METADATA} || jsonb_build_object('callback_key', md5('key' || n), 'attempts', (
           select jsonb_agg(jsonb_build_object('number', k, 'sid', 'SM' || md5(n::text || k), 'status', last_status,
                    'segments', 1 + (n % 3 = 0)::int, 'price', case when n % 20 = 7 then 0.0083 * (1 + (n % 3 = 0)::int) end,
                    'price_unit', case when n % 20 = 7 then 'USD' end, 'error_code', case when k < retries then 30003 when fails_for_good then 30006 end, 'times',
                    jsonb_build_object('submitting', iso(at + d), 'accepted', iso(at + d + interval '0.2 s'), 'queued', iso(at + d + interval '0.4 s'),
                                       'sent', iso(at + d + interval '1.6 s'), last_status, iso(at + d + interval '7.3 s'))) order by k)
             from generate_series(0, retries) as k,
                  lateral (select (array['0 s', '307.3 s', '914.6 s'])[k + 1]::interval as d,
                                  case when k < retries or fails_for_good then 'undelivered' else 'delivered' end as last_status) as t))
    from (select n, now() at time zone 'UTC' - interval '24 h' * (1 - n / 4000.0) - interval '20 min' as at,
                 n % 150 = 7 or (n % 40 = 7 and n between 1800 and 2100) as fails_for_good,
                 case when n % 150 = 7 or (n % 40 = 7 and n between 1800 and 2100) then 0 when n % 60 = 9 then 2 when n % 14 = 3 then 1 else 0 end as retries
            from generate_series(1, 4000) as n) as message`

/** Twilio fails with 30001 since 40 minutes: most messages wait for a retry, some are in doubt or lost. */
const OUTAGE = `
  insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content, created_at,
                              final_status, success, retry_count, next_retry_at, twilio_message_sid, error_message, sms_metadata)
  select 1 + n % 40, ${RECIPIENT}, 'outbound', 28, 'Your order 1042 has shipped.', at, status, status in ('pending', 'submitting'),
         case status when 'retrying' then 1 else 0 end,
         case when status in ('retrying', 'pending') then at + interval '45 min' end,
         case when status in ('retrying', 'failed') then 'SM' || md5('outage' || n) end,
         case status when 'failed' then '30007: A carrier or Twilio filtered the message. Trying again would not help'
                     when 'retrying' then '30001: Queue overflow' end,
         ${APP_METADATA} || jsonb_build_object('callback_key', md5('outage' || n), 'attempts', case status
           when 'pending' then jsonb_build_array(jsonb_build_object('number', 0, 'status', 'pending', 'times', jsonb_build_object('pending', iso(at))))
           when 'submitting' then jsonb_build_array(jsonb_build_object('number', 0, 'status', 'submitting', 'times', jsonb_build_object('submitting', iso(at))))
           when 'failed' then jsonb_build_array(jsonb_build_object('number', 0, 'status', 'failed', 'sid', 'SM' || md5('outage' || n), 'error_code', 30007,
             'times', jsonb_build_object('submitting', iso(at), 'failed', iso(at + interval '3 s'))))
           else jsonb_build_array(
             jsonb_build_object('number', 0, 'status', 'failed', 'sid', 'SM' || md5('outage' || n), 'error_code', 30001,
               'times', jsonb_build_object('submitting', iso(at), 'failed', iso(at + interval '3 s'))),
             jsonb_build_object('number', 1, 'status', 'pending', 'times', jsonb_build_object('pending', iso(at + interval '3 s')))) end)
    from (select n, now() at time zone 'UTC' - interval '40 min' * n / 400.0 as at,
                 case when n % 25 = 0 then 'submitting' when n % 9 = 0 then 'failed' when n % 5 = 0 then 'pending' else 'retrying' end as status
            from generate_series(1, 400) as n) as message`

const HOLD = `update sms_retry.account_state
  set held_since = now() - interval '35 min', held_code = 30002, probes = 4, probe_at = now() + interval '3 min'`

const FAILED_OUTCOMES = `
  insert into sms_retry_pgboss.job (name, data, policy, source_name, source_retry_count, source_output)
  select 'outcome_failed',
         jsonb_build_object('id', gen_random_uuid(), 'message', n, 'type', 'message.failed', 'errorCode', 30006,
                            'at', '2026-11-01T12:00:00.000Z', 'corrects', null),
         'standard', 'outcome', 10, '{"message": "webhook: answered 500"}'
    from generate_series(1, 3) as n`

export async function addDay(query: Query): Promise<void> {
  await query(ISO_FUNCTION)
  await query(DAY)
}

export async function addOutage(query: Query): Promise<void> {
  for (const statement of [ISO_FUNCTION, OUTAGE, HOLD, FAILED_OUTCOMES]) await query(statement)
}
