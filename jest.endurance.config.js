// Long histories of faults, many messages, several failovers: `npm run test:endurance`. `npm test` has a short
// version of each.
import config from './jest.config.js'

export default {
  ...config,
  roots: ['<rootDir>/test/endurance'],
  testPathIgnorePatterns: ['/node_modules/'],
  testTimeout: 600_000,
}
