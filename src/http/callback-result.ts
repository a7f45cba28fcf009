// The result code in the header of each answer to a callback, for programs such as `sms-retry doctor`. It reveals no more
// than the status and the text of the answer: `accepted` also covers unknown messages.

export const CALLBACK_RESULT_HEADER = 'Sms-Retry-Result'

/**
 * The HTTP status of each refusal. All codes except `body_already_read` are also labels of the metric
 * `sms_retry_callbacks_total`.
 */
export const REFUSAL_STATUS = {
  /** Another body parser has consumed the form, so the signature cannot be checked. */
  body_already_read: 403,
  /** 429 while too many forged callbacks arrive. */
  bad_signature: 403,
  other_account: 403,
  unreadable: 400,
  too_large: 413,
  wrong_type: 415,
  /** Too many callbacks wait to be recorded. */
  overloaded: 503,
  /** The database failed, or its schema is not up to date. */
  not_recorded: 503,
  failed: 500,
} as const

export type Refusal = keyof typeof REFUSAL_STATUS
/** `accepted` is answered 204. */
export type CallbackResultCode = 'accepted' | Refusal

export function isCallbackResultCode(text: string | null): text is CallbackResultCode {
  return text === 'accepted' || (text !== null && Object.hasOwn(REFUSAL_STATUS, text))
}
