// Runs `doctor` for its tests, and selects findings.
import { examineAll, type NamedFinding } from '../../src/doctor/doctor.ts'

type Name = NamedFinding['name']

/** Shorter than the default: some tests have an endpoint that never answers. */
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
