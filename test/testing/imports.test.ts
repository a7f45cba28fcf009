// What an import of `sms-retry/testing` loads. Needs dist/, which `npm test` builds.
import { expect, test } from '@jest/globals'
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** The files that a process has loaded after these statements. It must end by itself, so nothing may be left running. */
async function loadedBy(statements: string): Promise<string[]> {
  const script = `
    import { registerHooks } from 'node:module'
    const loaded = []
    registerHooks({ load: (url, context, next) => (loaded.push(url), next(url, context)) })
    const { createFakeSender, startSimulator } = await import('sms-retry/testing')
    ${statements}
    console.log(JSON.stringify(loaded))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], {
    cwd: ROOT,
    env: {},
    timeout: 120_000,
  })
  return JSON.parse(stdout) as string[]
}

const HEAVY =
  /\/node_modules\/(pg|pg-boss|twilio|winston|express|undici)\/|\/dist\/(postgres|simulator|http)\//

test('a fake sender that is used loads neither database, queue, Twilio nor simulator', async () => {
  const loaded = await loadedBy(`
    const fake = createFakeSender()
    await fake.send({ userId: 7, to: '+12065550199', body: 'Hello' })
    await fake.enqueue({ userId: 7, to: '+12065550199', body: 'Hello' }, { db: { query() {} } })`)
  expect(loaded).toContainEqual(expect.stringMatching(/\/dist\/testing\/fake-sender\.js$/))
  expect(loaded.filter((url) => HEAVY.test(url))).toEqual([])
})

const UNWANTED = /\/node_modules\/(pg\/|pg-boss|winston|twilio\/(?!lib\/webhooks\/))/

test('the simulator loads neither database nor queue, and only the signature of the twilio package', async () => {
  const loaded = await loadedBy('await (await startSimulator()).stop()')
  expect(loaded).toContainEqual(expect.stringMatching(/\/dist\/simulator\/simulator\.js$/))
  expect(loaded.filter((url) => UNWANTED.test(url))).toEqual([])
})
