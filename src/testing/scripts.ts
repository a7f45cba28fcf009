// The scripts of a fake sender: which result or error a message gets.
import type { MessageInput } from '../messages/message-input.ts'
import type { SendStatus } from '../messages/send-message.ts'

/** A result of `send`, without the id. What the real sender always returns with this status is filled in. */
export interface FakeResult {
  readonly status: SendStatus
  readonly sid?: string
  readonly errorCode?: number
  readonly nextRetryAt?: Date
  readonly reason?: string
}

interface ScriptRule {
  /** The recipient. Default: every recipient. */
  readonly to?: string
  /** How many messages it is used for. Default: unlimited. */
  readonly times?: number
}

/**
 * A result for `send`; an error, which `send`, `enqueue` and `enqueueMany` throw, and which records nothing; or a function that returns the
 * result of `send`, or undefined to leave the message to earlier scripts.
 */
export type Script =
  | (ScriptRule & { readonly result: FakeResult })
  | (ScriptRule & { readonly error: Error })
  | ((message: MessageInput) => FakeResult | undefined)

interface ActiveScript {
  readonly script: Script
  timesLeft: number
}

export class Scripts {
  /** The latest one first. */
  #active: ActiveScript[] = []

  add(script: Script): void {
    const timesLeft = typeof script === 'function' ? Infinity : (script.times ?? Infinity)
    this.#active.unshift({ script, timesLeft })
  }

  clear(): void {
    this.#active = []
  }

  /** @throws the error of the script */
  resultOf(message: MessageInput): FakeResult {
    for (const active of this.#active) {
      const { script } = active
      if (typeof script === 'function') {
        const result = script(message)
        if (result !== undefined) return result
      } else if (isFor(active, message)) {
        active.timesLeft -= 1
        if ('error' in script) throw script.error
        return script.result
      }
    }
    return { status: 'accepted' }
  }

  /** For enqueued messages, which have no scripted results. */
  throwErrorFor(message: MessageInput): void {
    for (const active of this.#active) {
      const { script } = active
      if (typeof script === 'function' || !('error' in script) || !isFor(active, message)) continue
      active.timesLeft -= 1
      throw script.error
    }
  }
}

function isFor({ script, timesLeft }: ActiveScript, { to }: MessageInput): boolean {
  return timesLeft > 0 && typeof script !== 'function' && (script.to === undefined || script.to === to)
}
