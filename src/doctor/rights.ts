// May the role of DATABASE_URL do what sender, web process and worker do to the tables?
import { readHiddenRows, readMissingRights } from '../db/privileges.ts'
import type { Db } from '../postgres/pool.ts'
import { failed, type Finding } from './finding.ts'

export async function faultsOfRights(database: Db): Promise<Finding[]> {
  const missing = (await readMissingRights(database)).map(({ role, privilege, on }) =>
    failed(
      `The role ${role} has not been granted ${privilege} on ${on.join(', ')}`,
      `Run sql/roles/least-privilege.sql for ${role}, once more after an update; or grant it by hand.`,
    ),
  )
  const hidden = (await readHiddenRows(database)).map(({ role, privilege, on }) =>
    failed(
      `Row level security keeps rows of ${on.join(', ')} from the role ${role} (${privilege}): messages cannot be written, or are not seen and never tried again`,
      `Create a policy that lets ${role} at every row: for all using (true); or give it bypassrls.`,
    ),
  )
  return [...missing, ...hidden]
}
