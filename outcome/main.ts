// node outcome/main.ts [--seed <n>] [--messages <n>] [--mix low|central|high] [--handsets central|slow|fast|stored]
//   [--looked-up <share>] [--policy <file>] [--json | --variants]
// Plays a month of messages with each policy, and prints how they compare; with --variants, how the criteria depend on the
// assumptions. docs/outcome.md explains the figures.
import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import { compare, usualPolicies } from './compare.ts'
import { HANDSETS, MIXES } from './mix.ts'
import { policyOfFile } from './policies.ts'
import { reportOf } from './report.ts'
import { variantsTable } from './variants.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    messages: { type: 'string', default: '100000' },
    mix: { type: 'string', default: 'central' },
    handsets: { type: 'string', default: 'central' },
    'looked-up': { type: 'string', default: '0' },
    policy: { type: 'string' },
    variants: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
})

const own =
  values.policy === undefined ? [] : [{ name: basename(values.policy), ...policyOfFile(values.policy) }]
const options = {
  mix: oneOf(MIXES, values.mix, '--mix'),
  handsets: oneOf(HANDSETS, values.handsets, '--handsets'),
  messages: numberBetween(1000, 1_000_000, values.messages, '--messages'),
  seed: numberBetween(0, 2 ** 32 - 1, values.seed, '--seed'),
  lookedUp: shareOf(values['looked-up'], '--looked-up'),
}
process.stdout.write(`${outputOf()}\n`)

function outputOf(): string {
  if (values.variants) return variantsTable(options)
  const comparison = compare(options, [...usualPolicies(options), ...own])
  return values.json ? JSON.stringify(comparison, null, 2) : reportOf(comparison)
}

function oneOf<T extends string>(words: readonly T[], value: string, flag: string): T {
  const found = words.find((word) => word === value)
  return found ?? refuse(`${flag} must be one of ${words.join(', ')}`)
}

function numberBetween(min: number, max: number, value: string, flag: string): number {
  const number = Number(value)
  if (/^\d+$/.test(value) && number >= min && number <= max) return number
  return refuse(`${flag} must be a whole number from ${min} to ${max}`)
}

function shareOf(value: string, flag: string): number {
  const share = Number(value)
  return value !== '' && share >= 0 && share <= 1 ? share : refuse(`${flag} must be a share from 0 to 1`)
}

function refuse(why: string): never {
  process.stderr.write(`${why}\n`)
  process.exit(2)
}
