// Holds docs/operations.md and the metrics together: each is in the table, no other is, and the text names none that there
// is not. test/deploy/alerts.test.ts holds the page and the alert rules together.
import { expect, test } from '@jest/globals'
import { readFile } from 'node:fs/promises'
import { Exposition } from '../../src/http/exposition.ts'
import { Instance } from '../../src/processes/instance.ts'
import { open } from '../db/original-table.ts'
import { parseConfig } from '../../src/config/config.ts'
import { POLICY } from '../delivery/build-message.ts'
import { UNRESTRICTED } from '../support/circumstances.ts'
import { createTestDatabase } from '../support/database.ts'
import { newMetrics } from '../support/metrics.ts'
import { silentLogger } from '../support/silent-logger.ts'

const page = await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8')

/** Names and types, as /metrics gives them. */
async function exposed(): Promise<Map<string, string>> {
  const own = await createTestDatabase()
  const database = open(own)
  const deps = {
    database,
    metrics: newMetrics(POLICY),
    logger: silentLogger,
    config: parseConfig({}, []),
    policy: POLICY,
    circumstances: UNRESTRICTED,
  }
  const instance = new Instance(deps, 'web')
  const text = await new Exposition(deps, instance).read()
  await instance.stop()
  await database.close()
  await own.drop()
  return new Map([...text.matchAll(/^# TYPE (\S+) (\w+)$/gm)].map(([, name = '', type = '']) => [name, type]))
}

test('the table has every metric with its type, and no other', async () => {
  const table = [...page.matchAll(/^\| `(sms_retry_\w+)` \| (\w+) \|/gm)].map(([, name, type]) => [
    name,
    type,
  ])
  expect(table.toSorted()).toEqual([...(await exposed())].toSorted())
})

test('every metric that the text names exists', async () => {
  const names = await exposed()
  const mentioned = [...page.matchAll(/sms_retry_\w+/g)].map(([name]) =>
    name.replace(/_(bucket|sum|count)$/, ''),
  )
  // The schema of the bookkeeping has a name like them.
  expect(new Set(mentioned.filter((name) => !names.has(name)))).toEqual(new Set())
})
