// Does the role of DATABASE_URL have the privileges that sender, web process and worker need?
import { readHiddenRows, readMissingRights } from '../db/privileges.ts'
import type { Db } from '../postgres/pool.ts'
import { failed, type Finding } from './finding.ts'

export async function privilegeFaults(database: Db): Promise<Finding[]> {
  const missing = (await readMissingRights(database)).map(({ role, privilege, on }) =>
    failed(
      `The role ${role} has not been granted ${privilege} on ${on.join(', ')}`,
      `Run sql/roles/least-privilege.sql for ${role}, and again after each update; or grant the privilege yourself.`,
    ),
  )
  const hidden = (await readHiddenRows(database)).map(({ role, privilege, on }) =>
    failed(
      `Row level security hides rows of ${on.join(', ')} from the role ${role} (${privilege}): messages cannot be written, or are never retried`,
      `Create a policy that gives ${role} all rows (for all using (true)), or give the role the attribute bypassrls.`,
    ),
  )
  return [...missing, ...hidden]
}
