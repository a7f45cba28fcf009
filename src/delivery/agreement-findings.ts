// Do all processes have the same version and the same settings?
import { duration } from '../shared/figures.ts'
import { type Finding, type HealthFigures, LIVE_SECONDS, type ObservedInstance } from './health-finding.ts'
import { differingBy, nameOfInstance, versionsOf, withoutOutcomes } from './instance-agreement.ts'
import { secondsBetween } from './seconds.ts'

/** Longer than a rolling deploy. Until then, old and new processes run side by side. */
const DEPLOY_SECONDS = 600

/** More are only counted, so that a sentence stays readable. */
const MAX_NAMED = 5

export function agreementFindings({ now, instances }: HealthFigures): Finding[] {
  const settled = instances.filter(
    ({ startedAt, seenAt }) =>
      secondsBetween(seenAt, now) < LIVE_SECONDS && secondsBetween(startedAt, now) >= DEPLOY_SECONDS,
  )
  // Versions may differ in their default rules, and versions_differ reports them already.
  const byVersion = [...Map.groupBy(settled, ({ version }) => version).values()]
  return [
    ...versionFindings(settled, now),
    ...outcomeSettingFindings(settled),
    ...byVersion.flatMap((same) => settingFindings(same, 'policy')),
    ...settingFindings(settled, 'account'),
    ...settingFindings(settled, 'sendWindow'),
  ]
}

function versionFindings(settled: readonly ObservedInstance[], now: Date): Finding[] {
  const versions = versionsOf(settled)
  if (versions.length < 2) return []
  const list = versions.map(([version, instances]) => `${version} (${instances})`).join(', ')
  const latest = Math.max(...settled.map(({ startedAt }) => startedAt.getTime()))
  return [
    {
      name: 'versions_differ',
      severity: 'warning',
      sentence: `Processes of ${versions.length} versions run: ${list}, the latest started ${duration(secondsBetween(new Date(latest), now))} ago`,
      advice:
        'Finish the deploy: restart the processes of the older version. Apps that send have a version of their own.',
      path: '/queue',
    },
  ]
}

function outcomeSettingFindings(settled: readonly ObservedInstance[]): Finding[] {
  const off = withoutOutcomes(settled)
  if (off.length === 0 || off.length === settled.length) return []
  return [
    settingsDiffer(
      `OUTCOME_EVENTS is true, but not in ${listNames(off)}: the app is not told of the outcomes that they decide`,
      'Set OUTCOME_EVENTS=true in every process, and restart those that lack it.',
    ),
  ]
}

type ComparedSetting = Parameters<typeof differingBy>[1]

const SETTINGS: Readonly<Record<ComparedSetting, { readonly names: string; readonly effect: string }>> = {
  policy: {
    names: 'The retry policy (RETRY_POLICY_FILE, retryPolicy, RETRY_DELAY_SCALE)',
    effect: 'the process that records a failure decides on its retry',
  },
  account: {
    names: 'TWILIO_ACCOUNT_SID',
    effect: 'web processes refuse the status callbacks of another account',
  },
  sendWindow: {
    names: 'The send window (SEND_WINDOW, SEND_WINDOW_TIME_ZONE, SEND_WINDOW_FALLBACK_TIME_ZONE)',
    effect: 'some processes send at hours that others do not allow',
  },
}

function settingFindings(instances: readonly ObservedInstance[], setting: ComparedSetting): Finding[] {
  const groups = differingBy(instances, setting)
  if (groups.length === 0) return []
  const { names, effect } = SETTINGS[setting]
  const list = groups.map(([value, of]) => `${value} in ${listNames(of)}`).join('; ')
  return [
    settingsDiffer(
      `${names} differs between processes, so ${effect}: ${list}`,
      'Give every process the same setting, also the senders inside apps, and restart those that you changed.',
    ),
  ]
}

function settingsDiffer(sentence: string, advice: string): Finding {
  return { name: 'settings_differ', severity: 'warning', sentence, advice, path: '/queue' }
}

function listNames(instances: readonly ObservedInstance[]): string {
  const named = instances.slice(0, MAX_NAMED).map(nameOfInstance)
  const others = instances.length - named.length
  return [...named, ...(others > 0 ? [`${others} more`] : [])].join(', ')
}
