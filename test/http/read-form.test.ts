// Reading the form of a callback from a stream: what is kept of a body that is too large.
import { expect, test } from '@jest/globals'
import { PassThrough, Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { readForm } from '../../src/http/read-form.ts'

const FORM = 'application/x-www-form-urlencoded'
const headersOf =
  (headers: Readonly<Record<string, string>>) =>
  (name: string): string | undefined =>
    ({ 'content-type': FORM, 'transfer-encoding': 'chunked', ...headers })[name]

test('a body that is too large is refused at the limit, and the rest of it is not collected', async () => {
  let read = 0
  const body = Readable.from(
    (function* chunks() {
      for (; read < 10_000_000; read += 10_000) yield Buffer.alloc(10_000, 'a')
    })(),
    { objectMode: false },
  )
  let listenersAtRefusal: number | undefined
  const discard = async (unread: Readable): Promise<void> => {
    listenersAtRefusal = unread.listenerCount('data')
    unread.destroy()
  }
  const form = await readForm({ header: headersOf({}), body: { unread: body }, discard })
  expect(form).toMatchObject({ refusal: 'too_large' })
  expect(listenersAtRefusal).toBe(0)
  expect(read).toBeLessThan(200_000)
})

test('a compressed body that becomes too large is refused before it is inflated to its end', async () => {
  const bomb = gzipSync(Buffer.alloc(100_000_000))
  const body = new PassThrough()
  body.end(bomb)
  const heapBefore = process.memoryUsage().arrayBuffers
  const discarded: Readable[] = []
  const form = await readForm({
    header: headersOf({ 'content-encoding': 'gzip' }),
    body: { unread: body },
    discard: async (unread) => void discarded.push(unread),
  })
  expect(form).toMatchObject({ refusal: 'too_large' })
  expect(discarded).toEqual([body])
  expect(process.memoryUsage().arrayBuffers - heapBefore).toBeLessThan(10_000_000)
})
