import type { Logger } from '../../src/shared/log.ts'

const nothing = (): void => undefined
export const silentLogger: Logger = { error: nothing, warn: nothing, info: nothing, debug: nothing }
