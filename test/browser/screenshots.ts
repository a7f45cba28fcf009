// node test/browser/screenshots.ts: creates the pictures in docs/images from a day of invented messages.
import { fileURLToPath } from 'node:url'
import { startEmbeddedPostgres } from '../../src/demo/embedded-postgres.ts'
import { migrate } from '../../src/processes/migrate.ts'
import { openRuntime } from '../../src/processes/runtime.ts'
import { startWeb } from '../../src/http/web.ts'
import pg from 'pg'
import { silentLogger } from '../support/silent-logger.ts'
import { launchBrowser } from './browser.ts'

/** One message in 14 needs one retry, one in 60 two; one in 150 fails permanently, more of them around noon. */
const A_DAY = `
  insert into sms_usage_logs (user_id, phone_number, message_direction, message_length, message_content, created_at,
                              final_status, success, retry_count, twilio_message_sid, error_message, processing_time_ms, sms_metadata)
  select 1 + n % 40, '+1206555' || lpad((n * 37 % 10000)::text, 4, '0'), 'outbound', 28, 'Your order 1042 has shipped.', at,
         case when fails_for_good then 'undelivered' else 'delivered' end, not fails_for_good, retries,
         'SM' || md5(n::text || retries), case when fails_for_good then '30006: The number is a landline or its carrier cannot be reached. Trying again would not help' end,
         120 + n % 90,
         jsonb_build_object('attempts', (
           select jsonb_agg(jsonb_build_object('number', k, 'sid', 'SM' || md5(n::text || k), 'status', last_status,
                    'error_code', case when k < retries then 30003 when fails_for_good then 30006 end, 'times',
                    jsonb_build_object('submitting', iso(at + d), 'accepted', iso(at + d + interval '0.2 s'), 'queued', iso(at + d + interval '0.4 s'),
                                       'sent', iso(at + d + interval '1.6 s'), last_status, iso(at + d + interval '7.3 s'))) order by k)
             from generate_series(0, retries) as k,
                  lateral (select (array['0 s', '307.3 s', '914.6 s'])[k + 1]::interval as d,
                                  case when k < retries or fails_for_good then 'undelivered' else 'delivered' end as last_status) as t))
    from (select n, now() at time zone 'UTC' - interval '24 h' * (1 - n / 4000.0) - interval '20 min' as at,
                 n % 150 = 7 or (n % 40 = 7 and n between 1800 and 2100) as fails_for_good,
                 case when n % 150 = 7 or (n % 40 = 7 and n between 1800 and 2100) then 0 when n % 60 = 9 then 2 when n % 14 = 3 then 1 else 0 end as retries
            from generate_series(1, 4000) as n) as message`

const server = await startEmbeddedPostgres()
try {
  await server.createDatabase('screenshots')
  const url = server.url('screenshots')
  await migrate({ url, ssl: null, poolMax: 2 }, silentLogger)
  const client = new pg.Client(url)
  await client.connect()
  await client.query(`create function iso(timestamp) returns text language sql as
    $$select to_char($1, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')$$`)
  await client.query(A_DAY).finally(() => client.end())
  const env = { DATABASE_URL: url, PORT: '0', HOST: '127.0.0.1' }
  const web = await startWeb(openRuntime({ logger: silentLogger }, env, ['DATABASE_URL']), { isOpen: true })
  const browser = await launchBrowser()
  try {
    const page = await browser.newPage({ viewport: { width: 1080, height: 800 } })
    const shoot = async (path: string, name: string): Promise<void> => {
      await page.goto(web.url + path)
      const file = fileURLToPath(new URL(`../../docs/images/${name}.png`, import.meta.url))
      await page.screenshot({ path: file, fullPage: true })
    }
    await shoot('/?span=24h', 'overview')
    await shoot('/messages/3909', 'timeline')
    await shoot('/error-codes', 'error-codes')
  } finally {
    await browser.close()
    await web.stop()
  }
} finally {
  await server.stop()
}
