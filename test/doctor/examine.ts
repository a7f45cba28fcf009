// What the tests of `doctor` share: a world that is well, and what is found in it once something is changed.
import { examineAll, type NamedFinding } from '../../src/doctor/doctor.ts'

type Name = NamedFinding['name']

/** Short, so that an endpoint that hangs is found soon; long enough for one that answers. */
const ENDPOINT_TIMEOUT_MS = 5_000

export async function examine(
  env: Record<string, string>,
  endpointTimeoutMs = ENDPOINT_TIMEOUT_MS,
): Promise<NamedFinding[]> {
  const found: NamedFinding[] = []
  for await (const finding of examineAll(env, { endpointTimeoutMs })) found.push(finding)
  return found
}

/** The findings of one check. */
export function of(found: readonly NamedFinding[], name: Name): NamedFinding[] {
  return found.filter((finding) => finding.name === name)
}

/** The names of the checks with this result, each once. */
export function named(found: readonly NamedFinding[], result: NamedFinding['result']): Name[] {
  return [...new Set(found.filter((finding) => finding.result === result).map(({ name }) => name))]
}
