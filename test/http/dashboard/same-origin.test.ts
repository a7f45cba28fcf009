// Sec-Fetch-Site and Origin decide who may submit a form. The tests use node:http, because fetch does not let them set Host.
import { request } from 'node:http'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { createTestDatabase, type TestDatabase } from '../../support/database.ts'
import * as endpoint from '../endpoint.ts'
import { CREDENTIALS, formOf, get, SIGNED_IN } from './operator.ts'

const PUBLIC = 'https://sms.example.com'
const LAN = '10.0.0.5:3000'

let database: TestDatabase
let web: endpoint.Endpoint
let id: number

beforeAll(async () => {
  database = await createTestDatabase()
  web = await endpoint.startEndpoint(database.url, { ...CREDENTIALS, PUBLIC_BASE_URL: PUBLIC })
})

afterAll(async () => {
  await web.stop()
  await database.drop()
})

beforeEach(async () => {
  const row = await endpoint.insertSentRow(database)
  id = row.id
  const fields = endpoint.undelivered(endpoint.ACCOUNT_SID, row.sid)
  await endpoint.post(web, { path: endpoint.statusPath(id), fields })
  expect(await status()).toBe('retrying')
})

async function status(): Promise<unknown> {
  const [row] = await database.query('select final_status from sms_usage_logs where id = $1', [id])
  return row?.['final_status']
}

async function submit(headers: Readonly<Record<string, string>>): Promise<number | undefined> {
  const body = new URLSearchParams(formOf(await get(web, `/messages/${id}/cancel`))).toString()
  return new Promise((resolve, reject) => {
    const options = {
      method: 'POST',
      headers: {
        Host: LAN,
        Authorization: SIGNED_IN,
        'Content-Type': 'application/x-www-form-urlencoded',
        ...headers,
      },
    }
    const sent = request(`${web.url}/messages/${id}/cancel`, options, (response) => {
      response.resume().on('end', () => resolve(response.statusCode))
    })
    sent.on('error', reject).end(body)
  })
}

test.each<[what: string, headers: Readonly<Record<string, string>>]>([
  ['the same origin', { 'Sec-Fetch-Site': 'same-origin' }],
  ['the user directly', { 'Sec-Fetch-Site': 'none' }],
  ['plain http in the local network, where browsers omit Sec-Fetch-Site', { Origin: `http://${LAN}` }],
  ['an older browser at the public address', { Origin: PUBLIC, Host: 'sms.example.com' }],
  ['an older browser behind a proxy that changes Host', { Origin: PUBLIC }],
])('a form submitted by %s is accepted', async (_what, headers) => {
  expect(await submit(headers)).toBe(303)
  expect(await status()).toBe('canceled')
})

test.each<[what: string, headers: Readonly<Record<string, string>>]>([
  ['another site', { 'Sec-Fetch-Site': 'cross-site' }],
  ['another host of the same site', { 'Sec-Fetch-Site': 'same-site' }],
  ['another site that knows the public address', { 'Sec-Fetch-Site': 'cross-site', Origin: PUBLIC }],
  ['an unknown kind of site', { 'Sec-Fetch-Site': 'friendly-site' }],
  ['another origin', { Origin: 'https://evil.example' }],
  ['another port of the same host', { Origin: 'http://10.0.0.5:3001' }],
  ['http in place of the public https', { Origin: 'http://sms.example.com', Host: 'sms.example.com' }],
  ['a page that hides its origin', { Origin: 'null' }],
  ['an origin that is not a URL', { Origin: LAN }],
  ['a client that sends neither header', {}],
])('a form submitted by %s is refused', async (_what, headers) => {
  expect(await submit(headers)).toBe(403)
  expect(await status()).toBe('retrying')
})
