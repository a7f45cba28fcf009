// The file .env of the current folder, as Heroku's local runner reads it. What its values mean is config.ts's matter.
import { statSync } from 'node:fs'
import { parseEnv } from 'node:util'
import { envNames } from './config.ts'
import { ConfigError } from './errors.ts'
import { describeUnusual, withoutUnusual } from './hidden-characters.ts'
import { readTextFile } from './text-file.ts'

/**
 * Its names and values; none if there is no such file, or a folder of that name, which is a Python environment.
 *
 * @throws ConfigError if it cannot be read, or if one of our names or values is not what the person sees there
 */
export function readEnvFile(path: string): NodeJS.Dict<string> {
  const text = readIfFile(path).replace(/\r\n?/g, '\n')
  const values = parseEnv(text)
  const faults = [...Object.keys(values).flatMap(faultOfName), ...text.split('\n').flatMap(faultOfLine)]
  if (faults.length > 0) throw new ConfigError(`The file .env is not valid:\n  ${faults.join('\n  ')}`)
  return values
}

function readIfFile(path: string): string {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === false ? readTextFile(path) : ''
  } catch (error) {
    throw new ConfigError(`The file .env cannot be read: ${(error as Error).message}`, { cause: error })
  }
}

function faultOfName(name: string): string[] {
  const meant = withoutUnusual(name)
  if (meant === name || !isOurs(meant)) return []
  return [`the name ${meant} has ${describeUnusual(name)}: type the name again`]
}

/** In a value without quotes, # begins a comment: a password that holds one would be cut off there. */
function faultOfLine(line: string, index: number): string[] {
  const [, name] = /^\s*(?:export\s+)?(\w+)\s*=\s*(?!["'`])[^\s#][^#]*(?<!\s)#/.exec(line) ?? []
  if (name === undefined || !isOurs(name)) return []
  return [
    `line ${index + 1}: ${name} ends before its #, which begins a comment. Put the value in quotes, or a space before a comment`,
  ]
}

const isOurs = (name: string): boolean => envNames().some((ours) => ours === name)
