// The rows of the page of error codes and their order, and the reasons of losses on the overview.
import { describe, expect, test } from '@jest/globals'
import type { CodeFigures } from '../../../src/db/failed-attempts.ts'
import type { Lost, LostGroup } from '../../../src/db/lost.ts'
import { CODE_SORTS, codeRows, sortCodes } from '../../../src/http/dashboard/code-sorting.ts'
import { lossesOf, lossesOfPart } from '../../../src/http/dashboard/loss-reasons.ts'

const figures = (code: number | null, messages: number, recovered: number, retries: number): CodeFigures => ({
  ...{ code, messages, recovered, retries },
  attempts: messages,
  segments: retries * 2,
  segmentsUnknown: 0,
})
const group = (code: number | null, part: number, messages: number, isExpired = false): LostGroup => ({
  ...{ code, part, messages, isExpired },
})
const lost = (...groups: LostGroup[]): Lost => ({ groups, isComplete: true })

const ROWS = codeRows(
  [figures(30003, 60, 40, 80), figures(30007, 20, 0, 0), figures(null, 2, 2, 3)],
  lost(group(30003, 1, 10), group(30003, 2, 7), group(30007, 2, 18), group(null, 1, 5, true)),
  lost(group(30003, 0, 30), group(30006, 0, 4)),
)

describe('the rows of error codes', () => {
  test('have each code that failed or lost messages now or before', () => {
    expect(ROWS.map(({ code, lost: now, change }) => [code, now, change])).toEqual([
      [30003, 17, -13],
      [30007, 18, 18],
      [null, 0, 0],
      [30006, 0, -4],
    ])
  })

  test('have no change if not all lost messages were read', () => {
    const part = { ...lost(group(30003, 1, 10)), isComplete: false }
    for (const rows of [codeRows([], part, lost()), codeRows([], lost(), part)])
      expect(rows.map(({ change }) => change)).toEqual([null])
  })

  test('do not count messages that expired before any failure as failures without a code', () => {
    expect(ROWS.find(({ code }) => code === null)?.lost).toBe(0)
  })

  test('have the lost messages of each part', () => {
    expect([...(ROWS[0]?.lostByPart ?? [])]).toEqual([
      [1, 10],
      [2, 7],
    ])
  })

  test.each([
    ['lost', [30007, 30003, null, 30006]],
    ['change', [30007, null, 30006, 30003]],
    ['messages', [30003, 30007, null, 30006]],
    ['recovered', [30003, null, 30007, 30006]],
    ['retries', [30003, null, 30007, 30006]],
    ['segments', [30003, null, 30007, 30006]],
    ['cost', [30003, null, 30007, 30006]],
  ] as const)('are sorted by %s, the largest first', (sort, codes) => {
    expect(CODE_SORTS).toContain(sort)
    expect(sortCodes(ROWS, sort).map(({ code }) => code)).toEqual(codes)
  })

  test('that are equal are ordered by their code, whatever their order was', () => {
    const equal = codeRows([figures(3, 1, 0, 0), figures(1, 1, 0, 0), figures(2, 1, 0, 0)], lost(), lost())
    for (const sort of CODE_SORTS) {
      expect(sortCodes(equal, sort).map(({ code }) => code)).toEqual([1, 2, 3])
      expect(sortCodes(equal.toReversed(), sort).map(({ code }) => code)).toEqual([1, 2, 3])
    }
  })
})

describe('the reasons of losses', () => {
  const many = lost(
    ...[1, 2, 3, 4, 5, 6, 7].map((code) => group(code, code % 2, code * 10)),
    group(null, 1, 3),
    group(null, 1, 4, true),
    group(7, 0, 1, true),
  )

  test('are the five codes that lose most, and all others together', () => {
    expect(lossesOf(many, 288)).toEqual({
      worst: [7, 6, 5, 4, 3].map((code) => ({ reason: code, messages: code === 7 ? 71 : code * 10 })),
      otherCodes: 30,
      none: 3,
      expired: 4,
      unread: 0,
    })
  })

  test('of each part add up to its lost messages', () => {
    const losses = lossesOf(many, 288)
    expect(lossesOfPart(many, losses, 1, 167)).toEqual([70, 0, 50, 0, 30, 17, 0])
    expect(lossesOfPart(many, losses, 0, 121)).toEqual([1, 60, 0, 40, 0, 20, 0])
    expect(lossesOfPart(many, losses, 9, 0)).toEqual([0, 0, 0, 0, 0, 0, 0])
  })

  test('are unknown for the messages that were not read', () => {
    const part = { ...lost(group(30003, 5, 8)), isComplete: false }
    const losses = lossesOf(part, 20)
    expect(losses.unread).toBe(12)
    expect(lossesOfPart(part, losses, 5, 9)).toEqual([8, 0, 1])
    expect(lossesOfPart(part, losses, 4, 11)).toEqual([0, 0, 11])
  })
})
