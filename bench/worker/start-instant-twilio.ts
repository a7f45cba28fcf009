// The benchmark's side of instant-twilio.ts.
import { forkProgram } from './children.ts'
import type { InstantTwilioReply, InstantTwilioRequest } from './instant-twilio.ts'

export interface InstantTwilio extends AsyncDisposable {
  readonly url: string
  /** Resolves once so many attempts have arrived since the last `take`. */
  untilArrived(attempts: number): Promise<void>
  /**
   * When each message's attempt arrived since the last call, in milliseconds of the clock.
   *
   * @throws if an attempt was submitted twice
   */
  take(): Promise<ReadonlyMap<number, number>>
}

/** No round takes this long, unless something is broken. */
const GIVEN_UP_MS = 120_000

export async function startInstantTwilio(): Promise<InstantTwilio> {
  const file = new URL('./instant-twilio.ts', import.meta.url)
  const program = forkProgram<InstantTwilioRequest, InstantTwilioReply>(file)
  const listening = await program.next(GIVEN_UP_MS)
  if (listening.kind !== 'listening') throw new Error('instant-twilio.ts says something else')
  const ask = (request: InstantTwilioRequest): Promise<InstantTwilioReply> => {
    const answer = program.next(GIVEN_UP_MS)
    program.tell(request)
    return answer
  }
  return {
    url: listening.url,
    async untilArrived(attempts) {
      await ask({ untilArrived: attempts })
    },
    async take() {
      const taken = await ask('take')
      if (taken.kind !== 'taken') throw new Error('instant-twilio.ts says something else')
      const [first] = taken.twice
      if (first !== undefined) throw new Error(`${taken.twice.length} attempts came twice, such as ${first}`)
      return new Map(taken.arrivals)
    },
    [Symbol.asyncDispose]: () => program.stop(),
  }
}
