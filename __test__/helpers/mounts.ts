import { spawnSync } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import path from 'node:path'
import { temporaryDirectory } from './files.js'

export interface Mount {
  place: string
  /** Forbids to write there, as on a medium that cannot be written. */
  forbidWrites(): void
}

const mounts: string[] = []
let directory: Promise<string> | undefined

/** A file system of its own of so many KiB, unmounted when the test file ends; or why there can be none. */
export async function mounted(kibibytes: number): Promise<Mount | string> {
  directory ??= newDirectory()
  const place = path.join(await directory, String(mounts.length))
  mounts.push(place)
  await mkdir(place)
  const failure = mount(['-t', 'tmpfs', '-o', `size=${kibibytes}k`, 'vicinal-test', place])
  if (failure !== undefined) return failure
  const forbidWrites = (): void => {
    const refused = mount(['-o', 'remount,ro', place])
    if (refused !== undefined) throw new Error(refused)
  }
  return { place, forbidWrites }
}

async function newDirectory(): Promise<string> {
  const created = await temporaryDirectory()
  // Before the directory goes. Where nothing is mounted it does nothing.
  process.prependListener('exit', () => {
    for (const place of mounts) spawnSync('umount', ['--lazy', place])
  })
  return created
}

function mount(args: string[]): string | undefined {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'mounting a file system needs Linux and root'
  const { error, status, stderr } = spawnSync('mount', args, { encoding: 'utf8' })
  return status === 0 ? undefined : `mount: ${error?.message ?? stderr.trim()}`
}
