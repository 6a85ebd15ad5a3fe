#!/usr/bin/env node
/** The command line. What it finds goes to standard output, why it failed to standard error. */
import { parseArgs } from 'node:util'
import { infoOf, recoverPath, verifyPath, type NativeInfo } from '#native'

const HELP = `vicinal looks at saved files, and at directories that VectorIndex.open has made.

  vicinal info <path>                  what the header says
  vicinal verify <path>                checks every checksum and all that they cannot tell
  vicinal recover <path> -o <new>      writes what can be read to <new>, a file or a directory as <path> is

<path> is never changed; <new> must not exist. Close the index before you recover its directory.

Exit codes
  0  done; verify: sound; recover: all rows are there
  1  verify: not sound, or no index; recover: written, but something is lost, or its checksum is
  2  wrong usage
  3  failed, and nothing was written: <path> cannot be read or is of another version, nothing can be recovered, <new> exists`

const DONE = 0
const NOT_SOUND = 1
const USAGE = 2
const FAILED = 3

class UsageError extends Error {}

/** By name, what a command does; its exit code. */
const commands: Record<string, (path: string, output: string) => number> = { info, verify, recover }

process.exitCode = main(process.argv.slice(2))

function main(args: string[]): number {
  try {
    const { values, positionals } = parse(args)
    if (values.help === true) {
      console.log(HELP)
      return DONE
    }
    const [name = 'none', path = '', ...others] = positionals
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined
    if (command === undefined)
      throw new UsageError(`command: got ${name}, expected ${Object.keys(commands).join(', ')}`)
    if (path === '' || others.length > 0)
      throw new UsageError(`path: got ${positionals.length - 1} arguments, expected one path`)
    const { output = '' } = values
    if ((output === '') === (command === recover))
      throw new UsageError(`--output: got '${output}', expected ${command === recover ? 'a path' : 'none'}`)
    return command(path, output)
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    console.error(error instanceof UsageError ? `vicinal: ${message}\n\n${HELP}` : `vicinal: ${code}: ${message}`)
    return error instanceof UsageError ? USAGE : FAILED
  }
}

function parse(args: string[]) {
  try {
    const output = { type: 'string', short: 'o' } as const
    return parseArgs({ args, allowPositionals: true, options: { output, help: { type: 'boolean', short: 'h' } } })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function info(path: string): number {
  const found = infoOf(path)
  const { isDirectory, version, live, removed, dimensions, metric, idType, dtype } = found
  table([
    ['kind', isDirectory ? 'a directory; what its newest snapshot says' : 'a file'],
    ['format', version],
    ['rows', `${count(live)}, and ${count(removed)} removed`],
    ['dimensions', count(dimensions)],
    ['metric', metric],
    ['ids', idType],
    ['values', dtype],
    ['graph', graph(found)],
  ])
  console.log('\nfiles, in bytes')
  table(found.files.map(({ name, length }) => [name, count(length)]))
  console.log('\nsections: where they begin, and their bytes')
  table(found.sections.map(({ name, offset, length }) => [name, `${count(offset)}, ${count(length)}`]))
  return DONE
}

function graph({ migrated, m }: NativeInfo): string {
  return migrated === undefined ? 'none' : `of ${count(migrated)} rows, removed ones included; m ${m}`
}

function verify(path: string): number {
  const { problems, notes, rows } = verifyPath(path)
  list('problem', problems)
  list('note', notes)
  console.log(problems.length === 0 ? `sound: ${count(rows ?? 0)} rows` : `not sound: ${problems.length} problems`)
  return problems.length === 0 ? DONE : NOT_SOUND
}

function recover(path: string, output: string): number {
  const { lost, notes, rows } = recoverPath(path, output)
  list('lost', lost)
  list('note', notes)
  console.log(`${output}: ${count(rows ?? 0)} rows`)
  return lost.length === 0 ? DONE : NOT_SOUND
}

function list(kind: string, lines: string[]): void {
  for (const line of lines) console.log(`${kind}: ${line}`)
}

function table(rows: [string, string][]): void {
  const width = Math.max(...rows.map(([name]) => name.length))
  for (const [name, value] of rows) console.log(`  ${name.padEnd(width)}  ${value}`)
}

function count(number: number): string {
  return number.toLocaleString('en-US')
}
