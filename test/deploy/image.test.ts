// The Dockerfile, read as text: no image is built here. test/deploy/compose-processes.test.ts runs its commands.
import { describe, expect, test } from '@jest/globals'
import { existsSync } from 'node:fs'
import { execForm, read, readImage, readStages, ROOT } from './compose-file.ts'

const stages = await readStages()
const image = await readImage()
const all = stages.flat()

describe('the image', () => {
  test('has one base in every stage, Node 24, which a build argument can pin', async () => {
    expect(stages[0]).toEqual([{ name: 'ARG', text: 'NODE_IMAGE=docker.io/library/node:24-slim' }])
    const bases = all.filter(({ name }) => name === 'FROM').map(({ text }) => text)
    expect(bases).toHaveLength(3)
    for (const base of bases) expect(base).toMatch(/^\$\{NODE_IMAGE\}( AS (dependencies|build))?$/)
  })

  test('takes its packages from a stage without development packages', () => {
    const [, dependencies = []] = stages
    expect(dependencies).toContainEqual({ name: 'RUN', text: 'npm ci --omit=dev --ignore-scripts' })
    expect(image('COPY').map(({ text }) => text)).toContain(
      '--from=dependencies /app/node_modules ./node_modules',
    )
  })

  test('has what a process reads, and nothing else', async () => {
    const { files } = JSON.parse(await read('package.json')) as { files: string[] }
    const copied = image('COPY').map(({ text }) => text.split(' ').at(-1))
    expect(copied.toSorted()).toEqual(['./', './dist', './node_modules', './sql'])
    expect(files).toEqual(expect.arrayContaining(['dist', 'sql']))
  })

  test('gets exactly the files that it copies: .dockerignore leaves out all others', async () => {
    const copied = all
      .filter(({ name, text }) => name === 'COPY' && !text.startsWith('--from'))
      .flatMap(({ text }) => text.split(' ').slice(0, -1))
    const [first, ...sent] = (await read('.dockerignore')).trim().split('\n')
    expect(first).toBe('*')
    expect(sent.map((line) => line.slice(1)).toSorted()).toEqual([...new Set(copied)].toSorted())
    for (const path of copied) expect([path, existsSync(new URL(path, ROOT))]).toEqual([path, true])
  })

  test('does not run as root', () => {
    const last = stages.at(-1)?.map(({ name }) => name) ?? []
    expect(image('USER')).toEqual([{ name: 'USER', text: 'node' }])
    expect(last.slice(last.indexOf('USER') + 1)).toEqual(['EXPOSE', 'HEALTHCHECK', 'ENTRYPOINT', 'CMD'])
  })

  test('starts the process without a shell, so that SIGTERM reaches it', () => {
    expect(image('ENTRYPOINT').map(execForm)).toEqual([['node', 'dist/cli.js']])
    expect(image('CMD').map(execForm)).toEqual([['web']])
    expect(image('HEALTHCHECK').map(execForm)).toEqual([['node', '-e', expect.stringContaining('/healthz')]])
  })
})
