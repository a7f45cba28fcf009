// The trials in a history: retries with a known result, by the code of the failure before them.
//
// A run is the part of a message in which the same code repeats. Its retries are compared by the time since the run began,
// because a handset that comes back stays reachable for all later retries.
import type { Code, History, Path } from './history.ts'
import { type Counts, poolViolators } from './isotonic.ts'

/** Retries at nearly the same time of their run, after the same retries before. */
export interface Trial {
  /** The mean time from the start of the run. */
  readonly elapsedSeconds: number
  readonly waitSeconds: number
  /** Pooled with the trials at other times if the share fell with the time. */
  readonly counts: Counts
}

/** Retries with the same place in a run, at whatever time. */
export interface PlaceTrial extends Trial {
  readonly shortestWaitSeconds: number
  readonly longestWaitSeconds: number
}

/** The trials of one place of a run, from its first retry on: an observed schedule. */
export type Schedule = readonly Trial[]

export interface CodeTrials {
  /** Every observed schedule with enough trials, and every beginning of one. */
  readonly schedules: readonly Schedule[]
  /** For rules with a time of day. */
  readonly byPlace: readonly PlaceTrial[]
  /** The mean time from a retry to the report of its failure. */
  readonly reportSeconds: number
  /** After the retry at this place of the run failed: how often its failure had each code. */
  readonly nextCodes: (place: number) => ReadonlyMap<Code, number>
}

/** Fewer trials say too little to count as known. */
export const MIN_TRIALS = 10

/** Retries within this factor of time are one trial. Jitter and the way of a report spread them. */
const SAME_TIME = 1.25

interface Step {
  readonly elapsedSeconds: number
  readonly waitSeconds: number
  readonly result: 'delivered' | 'failed' | 'open'
}

interface Run {
  readonly steps: readonly Step[]
  readonly messages: number
}

/** Indexed by code and by the retries before the run. */
export class Trials {
  readonly #runs = new Map<string, Run[]>()
  readonly #read = new Map<string, CodeTrials>()
  readonly #nextCodes = new Map<string, Map<Code, number>>()

  constructor({ paths }: History) {
    for (const path of paths) this.#addPath(path)
  }

  of(code: Code, retriesBefore: number): CodeTrials {
    const key = `${code} ${retriesBefore}`
    const known = this.#read.get(key) ?? this.#readRuns(code, retriesBefore, this.#runs.get(key) ?? [])
    this.#read.set(key, known)
    return known
  }

  #addPath(path: Path): void {
    const { codes, retries, messages } = path
    let start = 0
    for (const [i, code] of codes.entries()) {
      const nextCode = codes[i + 1]
      if (nextCode !== undefined) this.#countNext(placeKey(code, start, i - start), nextCode, messages)
      if (nextCode === code) continue
      const first = retries[start]
      if (first !== undefined) {
        const startedAt = first.elapsedSeconds - first.waitSeconds
        const steps = retries.slice(start, i + 1).map((retry, j) => ({
          elapsedSeconds: Math.max(retry.elapsedSeconds - startedAt, 1),
          waitSeconds: retry.waitSeconds,
          result: resultOf(path, start + j),
        }))
        const key = `${code} ${start}`
        const runs = this.#runs.get(key) ?? []
        this.#runs.set(key, runs)
        runs.push({ steps, messages })
      }
      start = i + 1
    }
  }

  #countNext(place: string, next: Code, messages: number): void {
    const counts = this.#nextCodes.get(place) ?? new Map<Code, number>()
    counts.set(next, (counts.get(next) ?? 0) + messages)
    this.#nextCodes.set(place, counts)
  }

  #readRuns(code: Code, start: number, runs: readonly Run[]): CodeTrials {
    const schedules: Schedule[] = []
    addSchedules(runs, [], schedules)
    return {
      schedules,
      byPlace: placesOf(runs),
      reportSeconds: meanReport(runs),
      nextCodes: (place) => this.#nextCodes.get(placeKey(code, start, place)) ?? new Map([[code, 1]]),
    }
  }
}

const placeKey = (code: Code, start: number, place: number): string => `${code} ${start} ${place}`

function resultOf({ codes, retries, end }: Path, retry: number): Step['result'] {
  if (retry + 1 < codes.length) return 'failed'
  return end === 'delivered' && retry === retries.length - 1 ? 'delivered' : 'open'
}

/** Splits the runs by the time of their next retry, and adds the schedule up to it. */
function addSchedules(runs: readonly Run[], before: Schedule, found: Schedule[]): void {
  const place = before.length
  const timeOf = ({ steps }: Run): number => steps[place]?.elapsedSeconds ?? 0
  const going = runs.filter(({ steps }) => steps.length > place).sort((a, b) => timeOf(a) - timeOf(b))
  const groups: Run[][] = []
  for (const run of going) {
    const group = groups.at(-1)
    const first = group?.[0]
    if (group === undefined || first === undefined || timeOf(run) > timeOf(first) * SAME_TIME)
      groups.push([run])
    else group.push(run)
  }
  // Pooled with many trials at another time, a few would seem to have their share.
  const known = groups.filter((group) => countsAt(group, place).trials >= MIN_TRIALS)
  const pooled = poolViolators(known.map((group) => countsAt(group, place)))
  for (const [i, group] of known.entries()) {
    const schedule = [...before, { ...meansAt(group, place), counts: pooled[i] ?? countsAt(group, place) }]
    found.push(schedule)
    addSchedules(group, schedule, found)
  }
}

function countsAt(runs: readonly Run[], place: number): Counts {
  let [successes, trials] = [0, 0]
  for (const { steps, messages } of runs) {
    const result = steps[place]?.result ?? 'open'
    if (result !== 'open') trials += messages
    if (result === 'delivered') successes += messages
  }
  return { successes, trials }
}

function meansAt(runs: readonly Run[], place: number): Omit<Trial, 'counts'> {
  let [elapsed, wait, messages] = [0, 0, 0]
  for (const run of runs) {
    const step = run.steps[place]
    if (step === undefined) continue
    elapsed += step.elapsedSeconds * run.messages
    wait += step.waitSeconds * run.messages
    messages += run.messages
  }
  return { elapsedSeconds: elapsed / messages, waitSeconds: wait / messages }
}

function placesOf(runs: readonly Run[]): PlaceTrial[] {
  const places = runs.reduce((most, { steps }) => Math.max(most, steps.length), 0)
  return Array.from({ length: places }, (_, place) => {
    const waits = runs.flatMap(({ steps }) => steps[place]?.waitSeconds ?? [])
    return {
      ...meansAt(runs, place),
      counts: countsAt(runs, place),
      shortestWaitSeconds: waits.reduce((one, other) => Math.min(one, other), Number.POSITIVE_INFINITY),
      longestWaitSeconds: waits.reduce((one, other) => Math.max(one, other), 0),
    }
  })
}

function meanReport(runs: readonly Run[]): number {
  let [seconds, reports] = [0, 0]
  for (const { steps, messages } of runs) {
    for (const [i, step] of steps.slice(1).entries()) {
      seconds += (step.elapsedSeconds - step.waitSeconds - (steps[i]?.elapsedSeconds ?? 0)) * messages
      reports += messages
    }
  }
  return reports === 0 ? 0 : Math.max(seconds / reports, 0)
}
