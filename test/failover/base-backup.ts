// A base backup of a running server, as pg_basebackup makes one (which the embedded binaries do not have): the files
// are copied between pg_backup_start and pg_backup_stop, and the standby streams the WAL from then on.
// Source: PostgreSQL documentation, "Making a Base Backup Using the Low Level API".
import { chown, copyFile, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import type { Owner } from '../../src/demo/embedded-postgres.ts'

/** Their files belong to the running server, and are made again or streamed. */
const EMPTY_FOLDERS = new Set([
  'pg_wal',
  'pg_replslot',
  'pg_dynshmem',
  'pg_notify',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
])
const LEFT_OUT = new Set(['postmaster.pid', 'postmaster.opts', 'standby.signal', 'backup_label.old'])

export async function takeBaseBackup(url: string, from: string, to: string, owner: Owner): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(`select pg_backup_start('standby', fast => true)`)
    await copyFolder(from, to, owner)
    const { rows } = await client.query<{ labelfile: string }>(
      'select labelfile from pg_backup_stop(wait_for_archive => false)',
    )
    await writeOwned(join(to, 'backup_label'), rows[0]?.labelfile ?? '', owner)
  } finally {
    await client.end()
  }
}

export async function writeOwned(file: string, text: string, owner: Owner): Promise<void> {
  await writeFile(file, text)
  await own(file, owner)
}

async function copyFolder(from: string, to: string, owner: Owner): Promise<void> {
  await mkdir(to, { mode: 0o700 })
  await own(to, owner)
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)]
    if (EMPTY_FOLDERS.has(entry.name)) {
      await mkdir(target, { mode: 0o700 })
      await own(target, owner)
    } else if (entry.isDirectory()) {
      await copyFolder(source, target, owner)
    } else if (entry.isFile() && !LEFT_OUT.has(entry.name)) {
      await copyFile(source, target).then(
        () => own(target, owner),
        (error: NodeJS.ErrnoException) => {
          // The server has removed it meanwhile, and the WAL says so.
          if (error.code !== 'ENOENT') throw error
        },
      )
    }
  }
}

async function own(path: string, { uid, gid }: Owner): Promise<void> {
  if (uid !== undefined && gid !== undefined) await chown(path, uid, gid)
}
