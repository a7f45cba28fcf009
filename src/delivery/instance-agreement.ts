// Whether the running processes agree on their version and on the settings that all of them must share.

/** The settings on which all processes must agree. A process of an older version leaves out those that it does not report. */
export interface SharedSettings {
  /** Whether it records outcomes. */
  readonly outcomeEvents?: boolean
  /** A fingerprint of the retry policy in force. */
  readonly policy?: string
  /** The Twilio account, masked. */
  readonly account?: string
  /** The send window with its time zones. */
  readonly sendWindow?: string
}

export interface InstanceFacts {
  readonly role: string
  readonly host: string
  readonly pid: number
  readonly version: string
  readonly settings: SharedSettings
}

/** Such as `worker app-7:4242`. */
export function nameOfInstance({ role, host, pid }: Pick<InstanceFacts, 'role' | 'host' | 'pid'>): string {
  return `${role} ${host}:${pid}`
}

/** Those that do not record outcomes. A process of a version without this setting records none. */
export function withoutOutcomes<T extends Pick<InstanceFacts, 'settings'>>(instances: readonly T[]): T[] {
  return instances.filter(({ settings }) => settings.outcomeEvents !== true)
}

/** The processes by their value of a setting, the most frequent value first. Empty if all that report it agree. */
export function differingBy<T extends Pick<InstanceFacts, 'settings'>>(
  instances: readonly T[],
  setting: Exclude<keyof SharedSettings, 'outcomeEvents'>,
): (readonly [value: string, instances: readonly T[]])[] {
  const groups = Map.groupBy(instances, ({ settings }) => settings[setting])
  const known = [...groups].flatMap(([value, of]) => (value === undefined ? [] : [[value, of] as const]))
  return known.length < 2 ? [] : known.toSorted(([, one], [, other]) => other.length - one.length)
}

/** How many processes run each version, the most frequent first. */
export function versionsOf(
  instances: readonly Pick<InstanceFacts, 'version'>[],
): (readonly [version: string, instances: number])[] {
  return [...Map.groupBy(instances, ({ version }) => version)]
    .map(([version, of]) => [version, of.length] as const)
    .toSorted(([, one], [, other]) => other - one)
}
