// Circumstances without a send window and an allow-list, as with an empty configuration, and the table as it is created.
import type { UserIdColumn } from '../../src/db/user-id-column.ts'
import type { Circumstances } from '../../src/delivery/decision.ts'

export const UNRESTRICTED: Circumstances = { sendWindow: null, zonesOf: () => [], isAllowed: () => true }

/** The column `user_id` as `migrate` creates it. */
export const USER_ID_COLUMN: UserIdColumn = { type: 'integer', isNullable: false, maxLength: null }
