// node --expose-gc test/postgres/promoted-bytes.ts URL
// Prints how many bytes a transaction adds to V8's old generation, for each of a few rounds. A process of its own, because
// everything else that runs in a test's process fills the old generation as well.
import { getHeapSpaceStatistics } from 'node:v8'
import { openDatabase } from '../../src/postgres/pool.ts'

const TRANSACTIONS = 2_000
const ROUNDS = 3

const [url = ''] = process.argv.slice(2)
const database = openDatabase({ url, ssl: null, poolMax: 1 }, () => undefined, 8_000)

async function runAll(): Promise<void> {
  for (let i = 0; i < TRANSACTIONS; i += 1) {
    await database.transaction(async (tx) => {
      await tx.executeSql('select $1::text as "text"', ['x'.repeat(1_000)])
      await tx.atCommit.executeSql('select $1::integer as "number"', [i])
    })
  }
}

/** After collections of the young generation only. */
function oldBytes(): number {
  if (gc === undefined) throw new Error('Run with --expose-gc')
  // Objects that survive two of them are promoted.
  for (let i = 0; i < 2; i += 1) gc({ type: 'minor' })
  return getHeapSpaceStatistics()
    .filter(({ space_name }) => /^old/.test(space_name))
    .reduce((sum, { space_used_size }) => sum + space_used_size, 0)
}

// The first round compiles.
await runAll()
const promoted: number[] = []
for (let round = 0; round < ROUNDS; round += 1) {
  const before = oldBytes()
  await runAll()
  promoted.push((oldBytes() - before) / TRANSACTIONS)
}
await database.close()
console.log(JSON.stringify(promoted))
