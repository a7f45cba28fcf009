// Loads zod on first use: it is half of the time that importing the package would take.
import { createRequire } from 'node:module'

export const loadZod = (): typeof import('zod') => createRequire(import.meta.url)('zod')
