// The order in which Jest starts test files: those that wait for seconds come first, beside those that compute. Jest
// knows how long a file takes only from the run before, and a fresh checkout has none.
import Sequencer from '@jest/test-sequencer'

/** Folders and files below test/, the slowest first. */
const SLOW = [
  'kill/reports',
  'database-loss/worker',
  'demo/embedded-postgres',
  'kill/attempts',
  'database-loss/send',
  'demo/demo',
  'kill/',
  'failover/asynchronous',
  'faults/',
  'database-loss/',
  'failover/',
  'e2e/',
  'messages/run-in-time',
  'cli/',
  'http/database-away',
  'http/fuzz-callbacks',
  'postgres/pool-transaction',
  'postgres/confirmed-transaction',
  'package/',
  'readme/',
]

export default class SlowFirst extends Sequencer {
  sort(tests) {
    const rank = ({ path }) => {
      const place = SLOW.findIndex((part) => path.includes(`/test/${part}`))
      return place === -1 ? SLOW.length : place
    }
    return super.sort(tests).sort((one, other) => rank(one) - rank(other))
  }
}
