// A program that measures: a process of its own that takes a command a line and answers with a line of JSON.
import { spawn, type ChildProcessByStdio } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { pythonEnv, root } from './programs.js'

export class Driver {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>
  readonly #answers: AsyncIterator<string>
  readonly #ended: Promise<string>

  constructor([command, ...args]: readonly [string, ...string[]], data: readonly string[]) {
    this.#child = spawn(command, [...args, ...data], { cwd: root, env: pythonEnv, stdio: ['pipe', 'pipe', 'inherit'] })
    this.#answers = createInterface(this.#child.stdout)[Symbol.asyncIterator]()
    this.#ended = new Promise((settle) => {
      this.#child.once('error', (error) => settle(error.message))
      this.#child.once('close', (code, signal) => settle(`it ended with ${signal ?? `status ${code}`}`))
    })
    // Who has gone cannot be written to; what the next answer says is the better message.
    this.#child.stdin.on('error', () => {})
  }

  /** Rejects with the program's own words if it fails. */
  async ask<Answer>(command: string): Promise<Answer> {
    this.#child.stdin.write(`${command}\n`)
    const { value, done } = await this.#answers.next()
    if (done) throw new Error(`at '${command}': ${await this.#ended}`)
    const answer = JSON.parse(value) as Answer & { error?: string }
    if (answer.error !== undefined) throw new Error(`at '${command}': ${answer.error}`)
    return answer
  }

  async close(): Promise<void> {
    this.#child.stdin.end()
    await this.#ended
  }
}
