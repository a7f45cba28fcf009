// A program: the requests of so many retries, as many at once as the worker makes, and nothing else. No worker that
// uses Twilio's package can be faster.
import { createBareRequest, REQUESTS_AT_ONCE } from './bare-request.ts'

/** Make so many requests. */
export type LimitRequest = { readonly requests: number }
export type LimitReply = { readonly elapsedMs: number }

const [twilioUrl = '', publicBaseUrl = ''] = process.argv.slice(2)
const request = createBareRequest(twilioUrl, publicBaseUrl)
let lastMessage = 0

async function run(requests: number): Promise<void> {
  const startedMs = performance.now()
  const last = lastMessage + requests
  const makeRequests = async (): Promise<void> => {
    while (lastMessage < last) {
      lastMessage += 1
      await request(lastMessage, 1)
    }
  }
  await Promise.all(Array.from({ length: REQUESTS_AT_ONCE }, makeRequests))
  process.send?.({ elapsedMs: performance.now() - startedMs } satisfies LimitReply)
}

process.on('message', ({ requests }: LimitRequest) => void run(requests))
process.on('disconnect', () => process.exit())
