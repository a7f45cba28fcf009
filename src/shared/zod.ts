// zod, loaded when something is first checked: by itself it is half of what importing the package would cost.
import { createRequire } from 'node:module'

export const loadZod = (): typeof import('zod') => createRequire(import.meta.url)('zod')
