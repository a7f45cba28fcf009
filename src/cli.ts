#!/usr/bin/env node
// The command `sms-retry`. Checks Node's version before anything that needs it is loaded; the commands
// themselves are in cli/program.ts.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 22 || (major === 22 && minor < 12)) {
  process.stderr.write(`sms-retry needs Node.js 22.12 or later; this is ${process.versions.node}.\n`)
  process.exit(1)
}
const { readEnvFile, requireOwnDestinations } = await import('./config/env-file.ts')
try {
  const fromFile = readEnvFile('.env')
  requireOwnDestinations(process.env, fromFile)
  // What the environment sets already stays.
  for (const [name, value] of Object.entries(fromFile)) process.env[name] ??= value
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exit(2)
}
// Whoever reads the output may go before its end, as head does. What is being done is done all the same.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

const { runProgram } = await import('./cli/program.ts')
process.exitCode = await runProgram(process.argv, process.env)
