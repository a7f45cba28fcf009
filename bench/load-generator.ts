// The process that plays Twilio: signs its callbacks when it is told their messages, sends them when it is told where.
// A process of its own, so that its work is in nobody's figures. Started by load.ts.
import { setInterval } from 'node:timers'
import autocannon from 'autocannon'
import { CONNECTIONS, type LoadOrder, type LoadResult, TIMEOUT_SECONDS } from './load.ts'
import { signedRequest } from './signed-callback.ts'

let requests: Buffer[] = []

process.on('message', (order: LoadOrder) => {
  if (order.kind === 'sign') {
    requests = order.callbacks.map(signedRequest)
    process.send?.({ kind: 'signed' })
    return
  }
  send(order).then(
    (result) => process.send?.({ kind: 'sent', result }),
    (error: Error) => process.send?.({ kind: 'failed', why: error.message }),
  )
})
// Whoever started us has ended.
process.on('disconnect', () => process.exit(0))

/**
 * What autocannon's client has besides its typed methods. Taken over because its own ways cost more and mean less: it
 * would build each request while the clock runs, and send a second's worth of a fixed rate in one burst.
 */
interface RawClient {
  _doRequest(): void
  getRequestBuffer(): Buffer
}

/** Hands the requests out, each once: to whichever connection is free, at once or as the rate allows. */
class Dispenser {
  #next: number
  readonly #end: number
  readonly #perSecond: number | null
  readonly #startedMs = performance.now()
  readonly #free: { client: autocannon.Client; request: () => void }[] = []
  /** Since when each request that is due has waited for a free connection. */
  readonly #dueMs: number[] = []
  #released = 0
  readonly #waitedMs = new WeakMap<autocannon.Client, number>()

  constructor({ from, amount, perSecond }: Extract<LoadOrder, { kind: 'send' }>) {
    this.#next = from
    this.#end = from + amount
    this.#perSecond = perSecond
  }

  takeOver(client: autocannon.Client): void {
    const raw = client as unknown as RawClient
    const request = raw._doRequest.bind(client)
    raw.getRequestBuffer = () => this.#take()
    raw._doRequest =
      this.#perSecond === null
        ? () => {
            if (this.#next < this.#end) request()
          }
        : () => {
            this.#free.push({ client, request })
            this.#match()
          }
  }

  release(): void {
    if (this.#perSecond === null) return
    const nowMs = performance.now()
    const due = Math.floor(((nowMs - this.#startedMs) / 1000) * this.#perSecond)
    for (; this.#released < due; this.#released += 1) this.#dueMs.push(nowMs)
    this.#match()
  }

  /** How long the client's request had waited for a connection: a slow endpoint must not slow its load down. */
  waitedMs(client: autocannon.Client): number {
    return this.#waitedMs.get(client) ?? 0
  }

  #match(): void {
    while (this.#dueMs.length > 0 && this.#free.length > 0 && this.#next < this.#end) {
      const dueMs = this.#dueMs.shift() ?? 0
      const free = this.#free.shift()
      if (free === undefined) return
      this.#waitedMs.set(free.client, performance.now() - dueMs)
      free.request()
    }
  }

  #take(): Buffer {
    const request = requests[this.#next]
    if (request === undefined) throw new Error(`request ${this.#next} was never signed`)
    this.#next += 1
    return request
  }
}

async function send(order: Extract<LoadOrder, { kind: 'send' }>): Promise<LoadResult> {
  const { urls, amount, uncounted } = order
  const latenciesMs = new Float64Array(amount)
  let answered = 0
  let refused = 0
  const startedMs = performance.now()
  let endedMs = startedMs
  const dispenser = new Dispenser(order)
  const clock = setInterval(() => dispenser.release(), 1)
  try {
    const { errors } = await new Promise<autocannon.Result>((resolve, reject) => {
      const instance = autocannon(
        {
          url: [...urls] as unknown as string,
          connections: CONNECTIONS,
          duration: 3600,
          sampleInt: 50,
          timeout: TIMEOUT_SECONDS,
          bailout: 1,
          setupClient: (client) => dispenser.takeOver(client),
        },
        (error: unknown, result) => (error ? reject(error) : resolve(result)),
      )
      instance.on('response', (client, status, _bytes, tookMs) => {
        if (status < 200 || status > 299) refused += 1
        latenciesMs[answered] = tookMs + dispenser.waitedMs(client)
        answered += 1
        if (answered < amount) return
        endedMs = performance.now()
        // autocannon's type lacks it: `Instance.stop` is documented.
        ;(instance as unknown as { stop(): void }).stop()
      })
    })
    if (errors > 0 || refused > 0 || answered !== amount) {
      throw new Error(
        `of ${amount} callbacks, ${answered} were answered, ${refused} not with 2xx; ${errors} errors`,
      )
    }
  } finally {
    clearInterval(clock)
  }
  const sortedMs = latenciesMs.slice(uncounted).sort()
  const percentile = (share: number): number =>
    sortedMs[Math.floor((sortedMs.length - 1) * share)] ?? Number.NaN
  return { seconds: (endedMs - startedMs) / 1000, p50Ms: percentile(0.5), p99Ms: percentile(0.99) }
}
