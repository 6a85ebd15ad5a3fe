// Makes benches/.venv with the peers that the comparison runs against. hnswlib is compiled here from its source
// package, for this machine's processor (its setup.py tries -march=native first), as any user of PyPI gets it; Faiss
// comes as a wheel that picks its instruction set when it is loaded.
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const run = (command, ...args) => execFileSync(command, args, { stdio: 'inherit' })

if (!existsSync(here('.venv/bin/python'))) run('python3', '-m', 'venv', here('.venv'))
// A wheel that pip built earlier, on another machine maybe, must not stand in for one built here.
run(
  here('.venv/bin/python'),
  '-m',
  'pip',
  'install',
  '--no-cache-dir',
  '--no-binary',
  'hnswlib',
  '--requirement',
  here('requirements.txt'),
)
