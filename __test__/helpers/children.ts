import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface Ended {
  code: number | null
  signal: NodeJS.Signals | null
  stdout: string
  stderr: string
}

const fixtures = new URL('../fixtures/', import.meta.url)

export function fixture(name: string): string {
  return fileURLToPath(new URL(name, fixtures))
}

/** Runs a script of `fixtures/` in a Node.js of its own. It is killed if it hangs, and then has no exit code. */
export function runFixture(
  name: string,
  args: readonly (string | number)[] = [],
  { env = {}, timeout = 60_000, uid }: { env?: Record<string, string>; timeout?: number; uid?: number } = {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [fixture(name), ...args.map(String)], {
      env: { ...process.env, ...env },
      uid,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout,
      killSignal: 'SIGKILL',
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }))
  })
}

/** Runs all tasks, so many at a time. */
export async function inParallel<T>(tasks: readonly (() => Promise<T>)[], width: number): Promise<T[]> {
  const results: T[] = []
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < tasks.length) {
      const task = next++
      results[task] = await tasks[task]!()
    }
  }
  await Promise.all(Array.from({ length: width }, lane))
  return results
}
