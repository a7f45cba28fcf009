// The policies that are compared.
import { readFileSync } from 'node:fs'
import { ERROR_CODES } from '../src/delivery/error-codes.ts'
import type { RetryPolicyOverrides } from '../src/delivery/policy-overrides.ts'
import { createRetryPolicy, type RetryPolicy } from '../src/delivery/retry-policy.ts'
import type { Rule } from '../src/delivery/retry-rule.ts'

export interface NamedPolicy {
  readonly name: string
  readonly policy: RetryPolicy
  /** False for an app without retries. */
  readonly retries: boolean
  /** The rules by which an advised policy differs from the default table. */
  readonly changes?: readonly { readonly code: number; readonly to: Rule }[]
}

type Override = NonNullable<RetryPolicyOverrides['default']>

/** The specification knows ten codes by name. Every other code gets two retries, also those of dead numbers. */
const SPECIFICATION: Readonly<Record<number, Override>> = {
  30001: { retries: 3, baseDelaySeconds: 60 },
  30002: { retries: 3, baseDelaySeconds: 120 },
  30003: { retries: 2, baseDelaySeconds: 300 },
  30004: { retries: 2, baseDelaySeconds: 180 },
  21211: 'stop',
  21214: 'stop',
  21610: 'stop',
  30006: 'stop',
  30007: 'stop',
  30008: 'stop',
}
const OTHER_CODES: Override = { retries: 2, baseDelaySeconds: 120 }

export function specificationPolicy(): RetryPolicy {
  const codes = Object.keys(ERROR_CODES).map((code) => [code, SPECIFICATION[Number(code)] ?? OTHER_CODES])
  return createRetryPolicy({ default: OTHER_CODES, codes: Object.fromEntries(codes) })
}

const PATIENT_FILE = new URL('../examples/policies/messages-that-can-wait.json', import.meta.url)

/** @throws ConfigError if the file breaks a rule of policy files */
export function policyOfFile(path: string | URL): Omit<NamedPolicy, 'name'> {
  return { policy: createRetryPolicy(JSON.parse(readFileSync(path, 'utf8'))), retries: true }
}

/** The default table, and the two that it replaces. */
export function tables(): readonly NamedPolicy[] {
  const ours = createRetryPolicy()
  return [
    { name: 'none', policy: ours, retries: false },
    { name: 'specification', policy: specificationPolicy(), retries: true },
    { name: 'ours', policy: ours, retries: true },
  ]
}

/** The example file for messages that are still useful after a day. */
export const patientPolicy = (): NamedPolicy => ({ name: 'can wait', ...policyOfFile(PATIENT_FILE) })
