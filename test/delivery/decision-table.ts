// The expected decisions as data: each kind of event for a message in every status. decide.test.ts runs them.
import type { Event, Message } from '../../src/delivery/message.ts'
import type { DeliveryStatus } from '../../src/delivery/status.ts'
import {
  accepted,
  adopt,
  buildAttempt,
  buildMessage,
  callback,
  cancel,
  fetched,
  notProcessed,
  notSent,
  rejected,
  retry,
  secondsFromNow,
  sidOf,
  unknownOutcome,
} from './build-message.ts'

/** A message in each status, after the shortest history that leads to it. */
export const MESSAGES: Record<DeliveryStatus, Message> = {
  // A row of the app: only its sid is known.
  unknown: buildMessage('unknown', [], { sid: sidOf(0) }),
  pending: buildMessage('pending', [buildAttempt(0, 'pending')]),
  submitting: buildMessage('submitting', [buildAttempt(0, 'submitting')]),
  accepted: buildMessage('accepted', [buildAttempt(0, 'accepted')]),
  scheduled: buildMessage('scheduled', [buildAttempt(0, 'scheduled')]),
  queued: buildMessage('queued', [buildAttempt(0, 'queued')]),
  sending: buildMessage('sending', [buildAttempt(0, 'sending')]),
  sent: buildMessage('sent', [buildAttempt(0, 'sent')]),
  undelivered: buildMessage('undelivered', [buildAttempt(0, 'undelivered', { errorCode: 30007 })]),
  failed: buildMessage('failed', [buildAttempt(0, 'failed', { errorCode: 21610, sid: null })]),
  canceled: buildMessage('canceled', [buildAttempt(0, 'canceled')]),
  delivered: buildMessage('delivered', [buildAttempt(0, 'delivered')]),
  read: buildMessage('read', [buildAttempt(0, 'read')]),
  retrying: buildMessage('retrying', [
    buildAttempt(0, 'undelivered', { errorCode: 30003 }),
    buildAttempt(1, 'pending'),
  ]),
  expired: buildMessage('expired', [buildAttempt(0, 'undelivered', { errorCode: 30003 })], {
    deadline: secondsFromNow(-10),
  }),
}
export const STATUSES = Object.keys(MESSAGES) as DeliveryStatus[]

/** The decision, the resulting status (or "stays"), and the statuses before. All events are for attempt 0. */
type Row = readonly [decided: string, before: string]

const UNFINISHED = 'unknown submitting accepted scheduled queued sending sent'
const DONE = 'canceled delivered read'
const NOT_IN_DOUBT = `unknown accepted scheduled queued sending sent pending retrying ${DONE} undelivered failed expired`

export const DECISION_TABLE: readonly (readonly [Event | 'the latest attempt is due', readonly Row[]])[] = [
  [
    'the latest attempt is due',
    [
      ['submit submitting', 'pending retrying'],
      ['ignore', `${UNFINISHED} ${DONE} undelivered failed expired`],
    ],
  ],
  [
    accepted(),
    [
      ['record queued', 'unknown submitting accepted scheduled'],
      // The request with the unknown outcome has reached Twilio after all, so the job is no longer needed.
      ['unschedule queued', 'pending'],
      ['record stays', `queued sending sent ${DONE} undelivered failed retrying expired`],
    ],
  ],
  [
    rejected(21610),
    [
      ['record failed', `${UNFINISHED} undelivered expired`],
      ['unschedule failed', 'pending retrying'],
      ['record stays', `${DONE} failed`],
    ],
  ],
  [
    rejected(21611),
    [
      // The attempt that waits to be made again has failed, so the next number follows.
      ['schedule retrying', `${UNFINISHED} pending`],
      ['record stays', `${DONE} undelivered failed retrying expired`],
    ],
  ],
  ...[notProcessed(), notProcessed(40)].map((event) => {
    const everyOther = `${UNFINISHED.replace('submitting ', '')} pending ${DONE}`
    const rows: Row[] = [
      ['schedule pending', 'submitting'],
      ['record stays', `${everyOther} undelivered failed retrying expired`],
    ]
    return [event, rows] as const
  }),
  [unknownOutcome(), [['record stays', STATUSES.join(' ')]]],
  [
    callback('accepted'),
    [
      ['record accepted', 'submitting'],
      ['unschedule accepted', 'pending'],
      ['record stays', `unknown scheduled queued sending sent ${DONE} undelivered failed retrying expired`],
      ['ignore', 'accepted'],
    ],
  ],
  [
    callback('scheduled'),
    [
      ['record scheduled', 'unknown submitting accepted'],
      ['unschedule scheduled', 'pending'],
      ['record stays', `queued sending sent ${DONE} undelivered failed retrying expired`],
      ['ignore', 'scheduled'],
    ],
  ],
  [
    callback('queued'),
    [
      ['record queued', 'unknown submitting accepted scheduled'],
      ['unschedule queued', 'pending'],
      ['record stays', `sending sent ${DONE} undelivered failed retrying expired`],
      ['ignore', 'queued'],
    ],
  ],
  [
    callback('sending'),
    [
      ['record sending', 'unknown submitting accepted scheduled queued'],
      ['unschedule sending', 'pending'],
      ['record stays', `sent ${DONE} undelivered failed retrying expired`],
      ['ignore', 'sending'],
    ],
  ],
  [
    callback('sent'),
    [
      ['record sent', 'unknown submitting accepted scheduled queued sending'],
      ['unschedule sent', 'pending'],
      ['record stays', `${DONE} undelivered failed retrying expired`],
      ['ignore', 'sent'],
    ],
  ],
  // A fetched status is recorded even if it is not new.
  [
    fetched('sent'),
    [
      ['record sent', 'unknown submitting accepted scheduled queued sending'],
      ['unschedule sent', 'pending'],
      ['record stays', `sent ${DONE} undelivered failed retrying expired`],
    ],
  ],
  [{ kind: 'missing' }, [['record stays', STATUSES.join(' ')]]],
  [
    callback('delivered'),
    [
      ['record delivered', `${UNFINISHED} canceled undelivered failed expired`],
      ['unschedule delivered', 'pending retrying'],
      ['record stays', 'read'],
      ['ignore', 'delivered'],
    ],
  ],
  [
    callback('read'),
    [
      ['record read', `${UNFINISHED} canceled delivered undelivered failed expired`],
      ['unschedule read', 'pending retrying'],
      ['ignore', 'read'],
    ],
  ],
  [
    callback('canceled'),
    [
      ['record canceled', `${UNFINISHED} undelivered failed expired`],
      ['unschedule canceled', 'pending retrying'],
      ['record stays', 'delivered read'],
      ['ignore', 'canceled'],
    ],
  ],
  // A failure that is retried.
  ...[callback('undelivered', 30003), callback('undelivered')].map((event) => {
    const rows: Row[] = [
      ['schedule retrying', `${UNFINISHED} pending`],
      ['record stays', `${DONE} failed`],
      ['ignore', 'undelivered retrying expired'],
    ]
    return [event, rows] as const
  }),
  [
    callback('failed', 30001),
    [
      ['schedule retrying', `${UNFINISHED} pending`],
      ['record stays', `${DONE} undelivered failed retrying expired`],
    ],
  ],
  // A failure that is never retried.
  [
    callback('undelivered', 30007),
    [
      ['record undelivered', `${UNFINISHED} expired`],
      ['unschedule undelivered', 'pending retrying'],
      ['record stays', `${DONE} failed`],
      ['ignore', 'undelivered'],
    ],
  ],
  [
    callback('failed', 21610),
    [
      ['record failed', `${UNFINISHED} undelivered expired`],
      ['unschedule failed', 'pending retrying'],
      ['record stays', `${DONE} failed`],
    ],
  ],
  [
    cancel,
    [
      ['unschedule canceled', 'pending retrying'],
      ['ignore', `${UNFINISHED} ${DONE} undelivered failed expired`],
    ],
  ],
  [
    retry(),
    [
      ['schedule retrying', 'canceled'],
      // A worker is about to make it; Twilio may have it; the policy never retries these codes; it is too late.
      ['ignore', `pending retrying ${UNFINISHED} delivered read undelivered failed expired`],
    ],
  ],
  [
    retry({ force: true }),
    [
      ['schedule retrying', 'canceled undelivered failed'],
      ['ignore', `pending retrying ${UNFINISHED} delivered read expired`],
    ],
  ],
  // Only an attempt in doubt can be settled by a person.
  [
    adopt(),
    [
      ['record sent', 'submitting'],
      ['ignore', NOT_IN_DOUBT],
    ],
  ],
  [
    adopt({ status: 'undelivered', errorCode: 30003 }),
    [
      ['schedule retrying', 'submitting'],
      ['ignore', NOT_IN_DOUBT],
    ],
  ],
  [
    notSent(),
    [
      ['schedule pending', 'submitting'],
      ['ignore', NOT_IN_DOUBT],
    ],
  ],
]
