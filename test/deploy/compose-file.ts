// Reads compose.yaml, its env files and the Dockerfile, as far as the tests need them: there is no container engine here.
import { readFile } from 'node:fs/promises'
import { parseEnv } from 'node:util'
import { parse } from 'yaml'

export const ROOT = new URL('../../', import.meta.url)
export const read = (path: string): Promise<string> => readFile(new URL(path, ROOT), 'utf8')

export interface Service {
  readonly image?: string
  readonly build?: string
  readonly profiles?: readonly string[]
  readonly command?: readonly string[]
  readonly env_file?: readonly string[]
  readonly environment?: Readonly<Record<string, string | number>>
  readonly healthcheck?: { readonly test?: readonly string[]; readonly disable?: boolean }
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>
  readonly ports?: readonly string[]
  readonly volumes?: readonly string[]
  readonly secrets?: readonly string[]
  readonly stop_grace_period?: string
  readonly read_only?: boolean
}

export interface Compose {
  readonly services: Readonly<Record<string, Service>>
  readonly volumes: Readonly<Record<string, unknown>>
  readonly secrets: Readonly<Record<string, { readonly environment: string }>>
}

export type Variables = Readonly<Record<string, string>>

/** Variables of an env file. */
export async function readEnvFile(path: string): Promise<Variables> {
  return parseEnv(await read(path)) as Variables
}

/**
 * The compose file with its variables replaced, as `docker compose --env-file` does.
 *
 * @throws Error for a required variable that is not set
 */
export async function readCompose(variables: Variables): Promise<Compose> {
  return parse(interpolate(await read('compose.yaml'), variables), { merge: true })
}

/** `${NAME}`, `${NAME:-default}` and `${NAME:?message}`. */
function interpolate(text: string, variables: Variables): string {
  return text.replace(/\$\{(\w+)(?::([-?])([^}]*))?\}/g, (_found, name: string, kind?: string, rest = '') => {
    const value = variables[name]
    if (value !== undefined && value !== '') return value
    if (kind === '?') throw new Error(`${name}: ${rest}`)
    return kind === '-' ? rest : ''
  })
}

/** The names of the variables that the compose file takes. */
export async function namesIn(path: string): Promise<string[]> {
  return [...(await read(path)).matchAll(/\$\{(\w+)/g)].map(([, name = '']) => name)
}

export interface Instruction {
  readonly name: string
  readonly text: string
}

/** The instructions of the Dockerfile, by stage. The first list has those before the first stage. */
export async function readStages(): Promise<Instruction[][]> {
  const lines = (await read('Dockerfile')).replace(/^#.*\n/gm, '').replace(/\\\n\s*/g, '')
  const stages: Instruction[][] = [[]]
  for (const [, name = '', text = ''] of lines.matchAll(/^([A-Z]+) (.*)$/gm)) {
    if (name === 'FROM') stages.push([])
    stages.at(-1)?.push({ name, text })
  }
  return stages
}

/** The command of an instruction in the exec form, which runs without a shell. Flags before it are left out. */
export function execForm({ text }: Instruction): string[] {
  return JSON.parse(text.slice(text.indexOf('['))) as string[]
}

/** The instructions of the image itself. */
export async function readImage(): Promise<(name: string) => Instruction[]> {
  const last = (await readStages()).at(-1) ?? []
  return (name) => last.filter((instruction) => instruction.name === name)
}
