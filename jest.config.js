export default {
  testEnvironment: '<rootDir>/test/support/environment.js',
  // The default is a folder beside the system's temporary files, which would stay behind.
  cacheDirectory: '<rootDir>/node_modules/.cache/jest',
  roots: ['<rootDir>/test'],
  // Run by jest.endurance.config.js.
  testPathIgnorePatterns: ['/node_modules/', '<rootDir>/test/endurance/'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: {
    '^.+\\.ts$': [
      '@swc/jest',
      {
        jsc: { target: 'es2024', parser: { syntax: 'typescript' } },
        module: { type: 'es6' },
      },
    ],
  },
  globalSetup: '<rootDir>/test/support/global-setup.ts',
  globalTeardown: '<rootDir>/test/support/global-teardown.ts',
  testSequencer: '<rootDir>/test/support/slow-first.js',
  // Longer than test/support/wait-for.ts waits, which says what it waited for.
  testTimeout: 300_000,
  // More than the machine has cores: many tests wait, as their subject does.
  maxWorkers: 4,
  // Of tests in one file that wait beside each other, each with processes of its own.
  maxConcurrency: 3,
}
