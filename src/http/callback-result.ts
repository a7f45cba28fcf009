// The result code in the header of each answer to a callback, for programs such as `sms-retry doctor`. It reveals no more
// than the status and the text of the answer: `accepted` also covers unknown messages.

export const CALLBACK_RESULT_HEADER = 'Sms-Retry-Result'

/** All except `accepted` and `body_already_read` are also labels of the metric `sms_retry_callbacks_total`. */
export const CALLBACK_RESULT_CODES = [
  /** 204. */
  'accepted',
  /** 403: another body parser has consumed the form, so the signature cannot be checked. */
  'body_already_read',
  /** 403, or 429 while too many forged callbacks arrive. */
  'bad_signature',
  /** 403. */
  'other_account',
  /** 400. */
  'unreadable',
  /** 413. */
  'too_large',
  /** 415. */
  'wrong_type',
  /** 503: too many callbacks wait to be recorded. */
  'overloaded',
  /** 503: the database failed, or its schema is not up to date. */
  'not_recorded',
  /** 500. */
  'failed',
] as const

export type CallbackResultCode = (typeof CALLBACK_RESULT_CODES)[number]
