// What was made of input files is kept in benches/out, and used again as long as these are the same.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { here } from './programs.js'
import { progress } from './progress.js'

/**
 * The path of what was made, by `make` if it is not there yet: a file or a folder. It gets its place when it is complete.
 *
 * @param what for whoever waits
 * @param key all that decides about it, and the files that it is made of
 */
export function kept(what: string, key: unknown, inputs: readonly string[], make: (out: string) => void): string {
  const stamps = inputs.map((path) => [path, statSync(path).size, statSync(path).mtimeMs])
  const hash = createHash('sha256').update(JSON.stringify([key, stamps]))
  const path = here('out', 'kept', hash.digest('hex').slice(0, 12))
  if (existsSync(path)) return path
  progress(`making ${what}`)
  const partial = `${path}.partial`
  mkdirSync(here('out', 'kept'), { recursive: true })
  rmSync(partial, { recursive: true, force: true })
  make(partial)
  renameSync(partial, path)
  return path
}

/** {@link kept} for a folder, which `make` finds empty. */
export function keptFolder(what: string, key: unknown, inputs: readonly string[], make: (out: string) => void): string {
  return kept(what, key, inputs, (out) => {
    mkdirSync(out)
    make(out)
  })
}

/** {@link kept} for a file whose extension matters. */
export function keptFile(
  name: string,
  what: string,
  key: unknown,
  inputs: readonly string[],
  make: (out: string) => void,
): string {
  return join(
    keptFolder(what, key, inputs, (out) => make(join(out, name))),
    name,
  )
}
