#!/usr/bin/env node
// The entry of the command `sms-retry`. Checks the Node version and reads .env before it loads cli/program.ts.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 12)) {
  process.stderr.write(`sms-retry needs Node.js 22.12 or later. This is Node.js ${process.versions.node}.\n`)
  process.exit(1)
}
const { readEnvFile, requireOwnDestinations } = await import('./config/env-file.ts')
try {
  const fromFile = readEnvFile('.env')
  requireOwnDestinations(process.env, fromFile)
  // The environment overrides the file.
  for (const [name, value] of Object.entries(fromFile)) process.env[name] ??= value
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exit(2)
}
// A reader such as `head` may close the pipe early. The command still runs to its end.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

const { runProgram } = await import('./cli/program.ts')
process.exitCode = await runProgram(process.argv, process.env)
