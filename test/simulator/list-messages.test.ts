// Messages.json as the real twilio package reads it: pages, filters, order.
import { describe, expect, test } from '@jest/globals'
import { type Client, FROM, postForm, rejectionOf, simulate, TO } from './with-simulator.ts'

async function createMany(client: Client, count: number, to = TO): Promise<string[]> {
  const bodies: string[] = []
  for (let index = 0; index < count; index += 1) {
    const body = `${to} ${index}`
    await client.messages.create({ to, from: FROM, body })
    bodies.push(body)
  }
  return bodies
}

const bodiesOf = (messages: { body: string }[]) => messages.map(({ body }) => body)

describe('paging', () => {
  test('list() reads all pages, newest first', async () => {
    const { client } = await simulate()
    const bodies = await createMany(client, 7)
    expect(bodiesOf(await client.messages.list({ pageSize: 3 }))).toEqual(bodies.toReversed())
  })

  test('list() accepts a limit above the maximum page size', async () => {
    const { client } = await simulate()
    const bodies = await createMany(client, 3)
    expect(bodiesOf(await client.messages.list({ limit: 5000 }))).toEqual(bodies.toReversed())
  })

  test('page() reads to the last page and back', async () => {
    const { client } = await simulate()
    const bodies = (await createMany(client, 5)).reverse()
    const first = await client.messages.page({ pageSize: 2 })
    const second = await first.nextPage()
    const third = await second?.nextPage()
    expect(bodiesOf(first.instances)).toEqual(bodies.slice(0, 2))
    expect(bodiesOf(second?.instances ?? [])).toEqual(bodies.slice(2, 4))
    expect(bodiesOf(third?.instances ?? [])).toEqual(bodies.slice(4))
    expect(third?.nextPageUrl).toBeUndefined()
    expect(first.previousPageUrl).toBeUndefined()
    const back = await third?.previousPage()
    expect(bodiesOf(back?.instances ?? [])).toEqual(bodies.slice(2, 4))
    expect(bodiesOf((await back?.previousPage())?.instances ?? [])).toEqual(bodies.slice(0, 2))
  })

  test('new messages neither repeat nor hide others', async () => {
    const { client } = await simulate()
    const bodies = (await createMany(client, 4)).reverse()
    const first = await client.messages.page({ pageSize: 2 })
    await createMany(client, 3, '+14155550199')
    expect(bodiesOf((await first.nextPage())?.instances ?? [])).toEqual(bodies.slice(2))
  })

  test('a page has its position, and keeps the filters in its links', async () => {
    const { simulator, client } = await simulate()
    await createMany(client, 5)
    const { uri, body } = await getList(simulator, `To=${encodeURIComponent(TO)}&PageSize=2&Page=1`)
    const path = uri.split('?')[0]
    const sids = body.messages.map(({ sid }) => sid)
    expect(body).toMatchObject({
      page: 1,
      page_size: 2,
      start: 2,
      end: 3,
      uri: `${path}?To=%2B14155550100&PageSize=2&Page=1`,
      first_page_uri: `${path}?To=%2B14155550100&PageSize=2&Page=0`,
      next_page_uri: `${path}?To=%2B14155550100&PageSize=2&Page=2&PageToken=PA${sids[1]}`,
      previous_page_uri: `${path}?To=%2B14155550100&PageSize=2&Page=0&PageToken=PB${sids[0]}`,
    })
  })

  test('an empty list is one empty page of 50', async () => {
    const { simulator } = await simulate()
    const { body } = await getList(simulator, '')
    expect(body).toMatchObject({ messages: [], page: 0, page_size: 50, start: 0, end: 0 })
    expect([body.next_page_uri, body.previous_page_uri]).toEqual([null, null])
  })

  test.each([
    'PageSize=0',
    'PageSize=many',
    'Page=-1',
    'PageToken=PASMnone',
    'DateSent=yesterday',
  ])('the query %s is refused', async (query) => {
    const { simulator } = await simulate()
    const { status, body } = await getList(simulator, query)
    expect(status).toBe(400)
    expect(body).toMatchObject({ code: 20422, status: 400 })
  })
})

describe('filters', () => {
  test('by To and From work across pages', async () => {
    const { client } = await simulate()
    const wanted = await createMany(client, 5, '+14155550111')
    await createMany(client, 3, '+14155550122')
    expect(bodiesOf(await client.messages.list({ to: '+14155550111', pageSize: 2 }))).toEqual(
      wanted.reverse(),
    )
    expect(await client.messages.list({ from: FROM, to: '+14155550122' })).toHaveLength(3)
    expect(await client.messages.list({ from: '+15005550009' })).toEqual([])
  })

  test('by DateSent are inclusive, to the second', async () => {
    const { simulator, client } = await simulate()
    const { sid } = await client.messages.create({ to: TO, from: FROM, body: 'Hello' })
    await simulator.idle()
    const { dateSent } = await client.messages(sid).fetch()
    const near = (seconds: number) => new Date(dateSent.getTime() + seconds * 1000)
    const counts = async (filter: Parameters<typeof client.messages.list>[0]) =>
      (await client.messages.list(filter)).length
    expect(await counts({ dateSentAfter: dateSent })).toBe(1)
    expect(await counts({ dateSentAfter: near(1) })).toBe(0)
    expect(await counts({ dateSentBefore: dateSent })).toBe(1)
    expect(await counts({ dateSentBefore: near(-1) })).toBe(0)
    expect(await counts({ dateSentAfter: near(-1), dateSentBefore: near(1) })).toBe(1)
    expect(await counts({ dateSent })).toBe(1)
    expect(await counts({ dateSent: near(86_400) })).toBe(0)
  })

  test('by DateSent omit messages not sent yet', async () => {
    const { client } = await simulate({ callbackDelayMs: 60_000 })
    await client.messages.create({ to: TO, from: FROM, body: 'Hello' })
    expect(await client.messages.list({ dateSentAfter: new Date(0) })).toEqual([])
    expect(await client.messages.list({ to: TO })).toHaveLength(1)
  })
})

describe('refused POSTs', () => {
  const refused = '+15552161001'

  test.each([
    false,
    true,
  ])('are listed and fetched only on request (listRefused: %s)', async (listRefused) => {
    const { simulator, client } = await simulate({ listRefused })
    expect(
      await rejectionOf(client.messages.create({ to: refused, from: FROM, body: 'Hello' })),
    ).toMatchObject({
      code: 21610,
    })
    const listed = await client.messages.list({ to: refused })
    expect(listed.map(({ status, errorCode }) => ({ status, errorCode }))).toEqual(
      listRefused ? [{ status: 'failed', errorCode: 21610 }] : [],
    )
    const sid = simulator.messages()[0]?.sid ?? ''
    const fetched = client.messages(sid).fetch()
    if (listRefused) expect((await fetched).status).toBe('failed')
    else expect(await rejectionOf(fetched)).toMatchObject({ status: 404 })
  })

  test('that were not processed are never listed', async () => {
    const { simulator, client } = await simulate({ listRefused: true, chaos: { serverError: 1 } })
    expect((await postForm(simulator, { To: TO, From: FROM, Body: 'Hello' })).status).toBe(500)
    expect(await client.messages.list()).toEqual([])
  })
})

interface ListBody {
  messages: { sid: string }[]
  next_page_uri: string | null
  previous_page_uri: string | null
}

async function getList(
  { url, accountSid, authToken }: { url: string; accountSid: string; authToken: string },
  query: string,
) {
  const uri = `/2010-04-01/Accounts/${accountSid}/Messages.json?${query}`
  const credentials = Buffer.from(`${accountSid}:${authToken}`).toString('base64')
  const response = await fetch(url + uri, { headers: { Authorization: `Basic ${credentials}` } })
  return { uri, status: response.status, body: (await response.json()) as ListBody }
}
