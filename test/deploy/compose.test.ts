// compose.yaml, read as text: its parts fit together, and the settings are ones that sms-retry knows.
import { describe, expect, test } from '@jest/globals'
import { existsSync } from 'node:fs'
import { envNames, parseConfig } from '../../src/config/config.ts'
import { SENDING_REQUIREMENTS } from '../../src/processes/runtime.ts'
import { namesIn, read, readCompose, readEnvFile, ROOT } from './compose-file.ts'

const simulated = await readEnvFile('deploy/compose/simulator.env')
const compose = await readCompose(simulated)
const services = Object.entries(compose.services)
const ours = services.filter(([, { build }]) => build !== undefined)
const known: readonly string[] = envNames()

/** Names that the compose file itself takes. */
const OWN_NAMES = ['POSTGRES_PASSWORD', 'SETTINGS_FILE', 'WEB_PORT']

test('starts the database, the migration, web and worker; simulator and monitoring by a profile', () => {
  expect(services.map(([name, { profiles = [] }]) => [name, ...profiles])).toEqual([
    ...[['database'], ['release'], ['web'], ['worker']],
    ...[
      ['simulator', 'simulator'],
      ['prometheus', 'monitoring'],
      ['grafana', 'monitoring'],
    ],
  ])
})

test('starts web and worker only after the migration has succeeded, and the migration after the database is ready', () => {
  const { database, release, web, worker } = compose.services
  expect(database?.healthcheck?.test).toContain('pg_isready')
  expect(release?.depends_on).toEqual({ database: { condition: 'service_healthy' } })
  for (const process of [web, worker])
    expect(process?.depends_on).toEqual({ release: { condition: 'service_completed_successfully' } })
})

test.each(ours)('gives %s only settings that sms-retry knows', (_name, { environment = {} }) => {
  expect(Object.keys(environment).filter((name) => !known.includes(name))).toEqual([])
})

test('gives web and worker the time that they need to stop', () => {
  for (const name of ['web', 'worker'])
    expect(Number.parseInt(compose.services[name]?.stop_grace_period ?? '', 10)).toBeGreaterThan(25)
})

test.each(ours)('runs %s without write access to its files', (_name, service) => {
  expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], init: true })
})

test.each(services)('publishes the ports of %s to this machine only', (_name, { ports = [] }) => {
  expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([])
})

test('pins every image of others to a version', () => {
  const images = services.flatMap(([, { build, image = '' }]) => (build === undefined ? [image] : []))
  expect(images).toHaveLength(3)
  for (const image of images) expect(image).toMatch(/^docker\.io\/[\w/]+:v?\d[\d.]*$/)
})

test('mounts files and volumes that exist', () => {
  const mounts = services.flatMap(([, { volumes = [] }]) =>
    volumes.map((volume) => volume.split(':')[0] ?? ''),
  )
  expect(mounts.length).toBeGreaterThan(4)
  for (const mount of mounts) {
    const isThere = mount.startsWith('./') ? existsSync(new URL(mount, ROOT)) : mount in compose.volumes
    expect([mount, isThere]).toEqual([mount, true])
  }
})

test('gives Prometheus the token as a file, where its configuration reads it', async () => {
  const [secret = ''] = compose.services['prometheus']?.secrets ?? []
  expect(compose.secrets[secret]).toEqual({ environment: 'METRICS_TOKEN' })
  expect(await read('deploy/prometheus/prometheus.yml')).toContain(`credentials_file: /run/secrets/${secret}`)
})

test('does not start without a password for the database', async () => {
  await expect(readCompose({})).rejects.toThrow('POSTGRES_PASSWORD: Set it in .env')
})

test('takes no variable but settings of sms-retry and those that it explains', async () => {
  expect([...new Set(await namesIn('compose.yaml'))].toSorted()).toEqual(OWN_NAMES)
  const guide = await read('docs/deploying.md')
  for (const name of OWN_NAMES) expect([name, guide.includes(name)]).toEqual([name, true])
})

describe('the settings for the simulator', () => {
  test('are ones that sms-retry or the compose file knows', () => {
    const others = [...OWN_NAMES, ...known]
    expect(Object.keys(simulated).filter((name) => !others.includes(name))).toEqual([])
  })

  test('are complete and valid for every process', () => {
    const { environment = {} } = compose.services['web'] ?? {}
    const texts = Object.fromEntries(Object.entries(environment).map(([name, value]) => [name, `${value}`]))
    const config = parseConfig({ ...simulated, ...texts }, SENDING_REQUIREMENTS)
    expect(config).toMatchObject({ port: 3000, host: '0.0.0.0', metricsToken: simulated['METRICS_TOKEN'] })
  })

  test('name the services of the compose file', () => {
    const { PUBLIC_BASE_URL = '', TWILIO_API_BASE_URL = '' } = simulated
    const hosts = [PUBLIC_BASE_URL, TWILIO_API_BASE_URL].map((url) => new URL(url).hostname)
    expect(hosts.filter((host) => !(host in compose.services))).toEqual([])
  })
})
