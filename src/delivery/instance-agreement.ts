// Whether the running processes agree on their version and on the settings that all of them must share.

export interface InstanceFacts {
  readonly role: string
  readonly host: string
  readonly pid: number
  readonly version: string
  readonly settings: { readonly outcomeEvents?: boolean }
}

/** Such as `worker app-7:4242`. */
export function nameOfInstance({ role, host, pid }: Pick<InstanceFacts, 'role' | 'host' | 'pid'>): string {
  return `${role} ${host}:${pid}`
}

/** Those that do not record outcomes. A process of a version without this setting records none. */
export function withoutOutcomes<T extends Pick<InstanceFacts, 'settings'>>(instances: readonly T[]): T[] {
  return instances.filter(({ settings }) => settings.outcomeEvents !== true)
}

/** How many processes run each version, the most frequent first. */
export function versionsOf(
  instances: readonly Pick<InstanceFacts, 'version'>[],
): (readonly [version: string, instances: number])[] {
  return [...Map.groupBy(instances, ({ version }) => version)]
    .map(([version, of]) => [version, of.length] as const)
    .toSorted(([, one], [, other]) => other - one)
}
