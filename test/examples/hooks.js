// Lets Node run the examples as their users' tools do: Express 4 under its own name, and the decorators of Nest.
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { fileURLToPath } from 'node:url'
import { transformSync } from '@swc/core'

registerHooks({
  resolve(specifier, context, nextResolve) {
    const isExpress4 = specifier === 'express' && context.parentURL?.includes('/examples/express4/')
    return nextResolve(isExpress4 ? 'express4' : specifier, context)
  },
  load(url, context, nextLoad) {
    if (!url.includes('/examples/nest/')) return nextLoad(url, context)
    const { code } = transformSync(readFileSync(fileURLToPath(url), 'utf8'), {
      swcrc: false,
      jsc: {
        target: 'es2022',
        parser: { syntax: 'typescript', decorators: true },
        transform: { legacyDecorator: true, decoratorMetadata: true },
      },
      module: { type: 'es6' },
    })
    return { format: 'module', source: code, shortCircuit: true }
  },
})
