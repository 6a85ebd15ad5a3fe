// The programs that measure, each a process of its own that takes a command a line and answers with a line of JSON.
import { execFileSync, spawn } from 'node:child_process'
import { closeSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { tool } from '../../scripts/run.mjs'

export const root = fileURLToPath(new URL('../..', import.meta.url))
const benches = join(root, 'benches')
const interpreter = join(benches, '.venv/bin/python')
const env = { ...process.env, PYTHONDONTWRITEBYTECODE: '1' }

export class Driver {
  #child
  #answers
  #closed

  constructor(name, command, args) {
    this.name = name
    this.#child = spawn(command, args, { cwd: root, env, stdio: ['pipe', 'pipe', 'inherit'] })
    this.#answers = createInterface(this.#child.stdout)[Symbol.asyncIterator]()
    this.#closed = new Promise((settle) => this.#child.once('close', settle))
  }

  async ask(command) {
    this.#child.stdin.write(`${command}\n`)
    const { value, done } = await this.#answers.next()
    if (done) throw new Error(`${this.name} ended with status ${await this.#closed} at '${command}'`)
    return JSON.parse(value)
  }

  async close() {
    this.#child.stdin.end()
    await this.#closed
  }
}

/** hnswlib or Faiss. */
export function python(library, args) {
  return new Driver(library, interpreter, [join(benches, 'peers.py'), library, ...args])
}

/** vicinal, from Node, and from Rust in the same process. */
export function node(name, args) {
  const register = import.meta.resolve('@oxc-node/core/register')
  return new Driver(name, process.execPath, ['--expose-gc', '--import', register, join(benches, 'ours.ts'), ...args])
}

/** Builds the addon that the drivers of vicinal use: see addon.ts. */
export function buildAddon() {
  const options = `--manifest-path crates/node/Cargo.toml --package vicinal-node --package-json-path package.json
    --output-dir benches/out/native --release --features bench`
  tool('napi', ['build', ...options.split(/\s+/)])
}

export function runPython(script, args) {
  execFileSync(interpreter, [join(benches, script), ...args], { env, stdio: 'inherit' })
}

/** All the formats that the drivers read begin with the number of rows. */
export function countRows(path) {
  const header = Buffer.alloc(4)
  const file = openSync(path)
  readSync(file, header)
  closeSync(file)
  return header.readUInt32LE()
}
