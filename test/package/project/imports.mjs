// Imports the package and does nothing with it. Prints which files that has loaded, and what it keeps running.
import { registerHooks } from 'node:module'

const loaded = []
registerHooks({
  load(url, context, nextLoad) {
    loaded.push(url)
    return nextLoad(url, context)
  },
})
// What is opened when it is first looked at.
void [process.stdout, process.stderr]
const before = process.getActiveResourcesInfo()
await import('sms-retry')
const started = process.getActiveResourcesInfo().slice(before.length)
console.log(JSON.stringify({ loaded, started }))
