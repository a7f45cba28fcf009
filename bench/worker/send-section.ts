// What sender.send() adds to the request that it makes: two transactions, before and after.
import { fileURLToPath } from 'node:url'
import { silentLogger } from '../../test/support/silent-logger.ts'
import type { Figures, Section } from '../section.ts'
import { ACCOUNT } from './account.ts'
import { createBareRequest } from './bare-request.ts'
import { medianOf, percentile, sharing } from './figures.ts'
import { openRetryTable } from './retry-table.ts'
import { startInstantTwilio } from './start-instant-twilio.ts'

type Product = typeof import('../../src/index.ts')

/** What is measured is the build, as users have it. */
const BUILD = fileURLToPath(new URL('../../dist/index.js', import.meta.url))

const SENDS = 500
const WARM_UP = 300

export const send: Section = {
  name: 'send',
  rounds: (isQuick) => (isQuick ? 1 : 7),
  async open(context) {
    await using stack = new AsyncDisposableStack()
    const twilio = stack.use(await startInstantTwilio())
    const table = stack.use(await openRetryTable(context, 'send'))
    const { createSender } = (await import(BUILD)) as Product
    const sender = await createSender({
      databaseUrl: table.url,
      publicBaseUrl: 'http://127.0.0.1:9/send',
      logger: silentLogger,
      twilio: {
        accountSid: ACCOUNT.TWILIO_ACCOUNT_SID,
        authToken: ACCOUNT.TWILIO_AUTH_TOKEN,
        from: ACCOUNT.TWILIO_FROM_NUMBER,
        apiBaseUrl: twilio.url,
      },
    })
    stack.defer(() => sender.close())
    const request = createBareRequest(twilio.url, 'http://127.0.0.1:9/request')
    let requests = 0
    const requestAlone = (): Promise<unknown> => {
      requests += 1
      return request(requests, 0)
    }
    const sendOne = async (): Promise<void> => {
      const message = { userId: 1, to: '+12065550199', body: 'Your order has shipped' }
      const { status } = await sender.send(message)
      if (status !== 'accepted') throw new Error(`A message was not accepted: ${status}`)
    }
    const roundOf = (act: () => Promise<unknown>) => async (): Promise<Figures> => {
      await table.settle()
      const figures = await timesOf(act, SENDS)
      await twilio.take()
      return figures
    }
    for (const act of [requestAlone, sendOne]) await timesOf(act, WARM_UP)
    await twilio.take()
    return sharing(stack, [
      { name: 'request alone', round: roundOf(requestAlone) },
      { name: 'sms-retry', round: roundOf(sendOne) },
    ])
  },
  judge(medians) {
    const p50 = (name: string): number => medianOf(medians, name, 'p50 ms')
    return [{ what: 'p50 ms that send adds', value: p50('sms-retry') - p50('request alone'), most: 3 }]
  },
}

/** One at a time. */
async function timesOf(act: () => Promise<unknown>, times: number): Promise<Figures> {
  const tookMs: number[] = []
  for (let i = 0; i < times; i += 1) {
    const startedMs = performance.now()
    await act()
    tookMs.push(performance.now() - startedMs)
  }
  return { 'p50 ms': percentile(tookMs, 0.5), 'p99 ms': percentile(tookMs, 0.99) }
}
