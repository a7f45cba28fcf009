// docs/incidents.md has one section for each finding.
import { expect, test } from '@jest/globals'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { FINDING_NAMES } from '../../src/delivery/health-finding.ts'

const page = await readFile(fileURLToPath(new URL('../../docs/incidents.md', import.meta.url)), 'utf8')

test('docs/incidents.md has a section for each finding, in the order of the code', () => {
  expect([...page.matchAll(/^## (.*)$/gm)].map(([, name]) => name)).toEqual(FINDING_NAMES)
})

test('docs/incidents.md stays short enough to read at night', () => {
  expect(page.split('\n').length).toBeLessThanOrEqual(120)
})
