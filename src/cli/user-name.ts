// The person who runs a command.
import { userInfo } from 'node:os'

/** The account of the operating system, which can lack a name: a container may run under any user id. */
export function userName(): string {
  try {
    return userInfo().username
  } catch {
    return 'unknown'
  }
}
