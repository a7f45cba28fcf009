// Jest's Node environment. A worker process that has nothing left to do ends without freeing its memory object by
// object: on a busy machine that takes longer than the half second after which Jest kills it, with a warning that
// speaks of leaks. A worker with something left to do never comes to `exit`, and Jest warns as before.
import { TestEnvironment } from 'jest-environment-node'

const isWorker = process.send !== undefined
if (isWorker) process.once('exit', (code) => process.reallyExit(code))

export default TestEnvironment
