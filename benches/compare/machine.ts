// Where a run took place, and of what.
import { cpus, loadavg, release, totalmem, type } from 'node:os'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { interpreter, root, versionOf } from './programs.js'
import type { Machine, Report } from './report.js'

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryBytes: totalmem(),
    system: `${type()} ${release()}`,
    node: process.version,
    rust: versionOf('rustc'),
    python: versionOf(interpreter),
    load: loadavg()[0] ?? 0,
  }
}

export function describeProject(): Report['project'] {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  const commit = versionOf('git', ['rev-parse', '--short', 'HEAD'])
  // Reports themselves are no part of what is measured.
  const changed = versionOf('git', ['status', '--porcelain', '--', '.', ':!benches/results'])
  return { version, commit, dirty: commit !== null && changed !== '' }
}
