// The column `user_id`: its type belongs to the app. `migrate` creates an `integer not null`.
import type { Db } from '../postgres/pool.ts'
import { readColumns } from './inspect.ts'

export type UserIdType = 'integer' | 'bigint' | 'uuid' | 'text'

export interface UserIdColumn {
  readonly type: UserIdType
  readonly isNullable: boolean
  /** The maximum length of a `varchar(n)`. */
  readonly maxLength: number | null
}

/** The types that sms-retry supports, as PostgreSQL names them. */
const TYPES: Readonly<Record<string, UserIdType>> = {
  integer: 'integer',
  bigint: 'bigint',
  uuid: 'uuid',
  text: 'text',
  'character varying': 'text',
}
export const USER_ID_TYPES = Object.keys(TYPES)

/** A column of another type, such as `smallint`, takes whole numbers if PostgreSQL converts them. */
export async function readUserIdColumn(db: Db): Promise<UserIdColumn> {
  const column = (await readColumns(db)).find(({ name }) => name === 'user_id')
  const type = TYPES[column?.type ?? ''] ?? 'integer'
  return {
    type,
    isNullable: column?.isNotNull === false,
    maxLength: type === 'text' ? (column?.length ?? null) : null,
  }
}
