// Prisma's own schema engine, which compares a schema with a database. The command `prisma` downloads it as a binary; the
// same code is in this package as WebAssembly, and connects by Prisma's adapter for pg.
import { PrismaPg } from '@prisma/adapter-pg'
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum } from '@prisma/driver-adapter-utils'
import * as bindings from '@prisma/schema-engine-wasm/schema_engine_bg'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import pg from 'pg'

/** The part of it that is used here. The types of Node do not have it. */
interface Wasm {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (
    module: object,
    imports: object,
  ) => { readonly exports: Readonly<Record<string, unknown>> }
}
const { Module, Instance } = (globalThis as unknown as { WebAssembly: Wasm }).WebAssembly

const file = createRequire(import.meta.url).resolve('@prisma/schema-engine-wasm/schema_engine_bg')
const compiled = new Module(await readFile(file.replace(/js$/, 'wasm')))
const { exports } = new Instance(compiled, { './schema_engine_bg.js': bindings })
Object.assign(globalThis, {
  PRISMA_WASM_PANIC_REGISTRY: { set_message: (text: string) => console.error(text) },
})
bindings.__wbg_set_wasm(exports)
const start = exports['__wbindgen_start'] as () => void
start()

/**
 * The SQL of `prisma migrate diff`, from the database to the schema; empty if they are alike.
 *
 * @param externalTables as `tables.external` in prisma.config.ts
 */
export async function diffByPrisma(
  databaseUrl: string,
  schema: string,
  externalTables: string[] = [],
): Promise<string> {
  const pool = new pg.Pool({ connectionString: databaseUrl })
  // A connection may still be closing when the database is dropped.
  pool.on('error', () => undefined)
  const files = [{ path: 'schema.prisma', content: schema }]
  try {
    const engine = await bindings.SchemaEngine.new(
      { datamodels: [['schema.prisma', schema]] },
      () => undefined,
      bindMigrationAwareSqlAdapterFactory(adapterOf(pool)),
    )
    const { stdout } = await engine.diff({
      from: { tag: 'schemaDatasource', files, configDir: '.' },
      to: { tag: 'schemaDatamodel', files },
      script: true,
      exitCode: null,
      filters: { externalTables, externalEnums: [] },
    })
    return (stdout ?? '').replace(/^-- .*\n/gm, '').trim()
  } finally {
    await pool.end()
  }
}

const CHAR_OID = 18
const TEXT_OID = 25

/** The adapter does not know the type `"char"` of the system catalog, in which the engine expects single characters. */
function adapterOf(pool: pg.Pool): PrismaPg {
  const chars = new Set<string>()
  const query = pool.query.bind(pool) as (...args: unknown[]) => Promise<pg.QueryResult>
  const queryWithText = async (...args: unknown[]): Promise<pg.QueryResult> => {
    const result = await query(...args)
    for (const field of result.fields.filter(({ dataTypeID }) => dataTypeID === CHAR_OID)) {
      chars.add(field.name)
      field.dataTypeID = TEXT_OID
    }
    return result
  }
  const factory = new PrismaPg(Object.assign(pool, { query: queryWithText }))
  const connect = factory.connect.bind(factory)
  factory.connect = async () => {
    const adapter = await connect()
    const queryRaw = adapter.queryRaw.bind(adapter)
    adapter.queryRaw = async (params) => {
      const result = await queryRaw(params)
      const isCharacter = (i: number): boolean =>
        chars.has(result.columnNames[i] ?? '') &&
        result.rows.every((row) => row[i] === null || String(row[i]).length === 1)
      const columnTypes = result.columnTypes.map((type, i) =>
        isCharacter(i) ? ColumnTypeEnum.Character : type,
      )
      return { ...result, columnTypes }
    }
    return adapter
  }
  return factory
}
