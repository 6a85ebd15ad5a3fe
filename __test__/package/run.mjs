// The packages as users get them: packed, checked, installed into an empty project, type-checked and run.
import assert from 'node:assert/strict'
import { copyFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { at, npm, run, tool } from '../../scripts/run.mjs'

const project = mkdtempSync(path.join(tmpdir(), 'vicinal-package-'))
try {
  const tarballs = packAndCheck()
  installOffline(tarballs)
  useFromEveryModuleSystem()
  useCommandLine()
  if (existsSync(at('README.md'))) runReadmeExample()
  resolveFromTheRepository()
} finally {
  rmSync(project, { recursive: true, force: true })
}

function packAndCheck() {
  run(process.execPath, [at('scripts', 'pack.mjs'), project])
  const platforms = readdirSync(at('npm')).map((platform) => readJson(at('npm', platform, 'package.json')))
  const packages = [readJson(at('package.json')), ...platforms.filter(runsHere)]
  const tarballs = packages.map(({ name, version }) => `${name}-${version}.tgz`)
  for (const tarball of tarballs) tool('publint', ['run', tarball, '--strict'], { cwd: project })
  tool('attw', [tarballs[0]], { cwd: project })
  return tarballs
}

/** Whether a platform package is the one of this machine, as npm decides by its manifest. */
function runsHere({ os, cpu, libc }) {
  const ours = process.report.getReport().header.glibcVersionRuntime ? 'glibc' : 'musl'
  return os.includes(process.platform) && cpu.includes(process.arch) && (!libc || libc.includes(ours))
}

function installOffline(tarballs) {
  write('package.json', { name: 'project', private: true })
  // Offline, so that nothing but the tarballs can be installed.
  npm(['install', '--offline', '--no-audit', '--no-fund', ...tarballs.map((file) => `./${file}`)], {
    cwd: project,
  })
  for (const name of readdirSync(path.join(project, 'node_modules')).filter((file) => !file.startsWith('.'))) {
    const { scripts = {} } = readJson(path.join(project, 'node_modules', name, 'package.json'))
    for (const script of ['preinstall', 'install', 'postinstall', 'prepare'])
      assert.ok(!(script in scripts), `${name}: got a script named ${script}, expected none at installation`)
  }
  const { optionalDependencies } = readJson(path.join(project, 'node_modules', 'vicinal', 'package.json'))
  assert.equal(Object.keys(optionalDependencies).length, readdirSync(at('npm')).length)
}

function useFromEveryModuleSystem() {
  for (const extension of ['mts', 'cts', 'ts'])
    copyFileSync(at('__test__', 'package', 'consumer.ts'), path.join(project, `consumer.${extension}`))
  copyFileSync(at('__test__', 'package', 'use.mjs'), path.join(project, 'use.mjs'))
  compile('node16', { module: 'node16', moduleResolution: 'node16' }, ['consumer.mts', 'consumer.cts'])
  compile('bundler', { module: 'esnext', moduleResolution: 'bundler', noEmit: true }, ['consumer.ts'])
  run(process.execPath, ['use.mjs'], { cwd: project })
}

function useCommandLine() {
  const shell = process.platform === 'win32'
  run(path.join(project, 'node_modules', '.bin', 'vicinal'), ['--help'], { cwd: project, shell })
}

/** Runs the first TypeScript example of README.md as it stands. */
function runReadmeExample() {
  const [, example] = /^```ts\n(.*?)^```$/ms.exec(readFileSync(at('README.md'), 'utf8')) ?? []
  assert.ok(example, 'got no block marked ts in README.md, expected an example')
  writeFileSync(path.join(project, 'readme.mts'), example)
  const node = { types: ['node'], typeRoots: [at('node_modules', '@types')] }
  compile('readme', { module: 'node16', moduleResolution: 'node16', ...node }, ['readme.mts'])
  run(process.execPath, ['readme.mjs'], { cwd: project })
}

/** Examples and benches import the package by its name. */
function resolveFromTheRepository() {
  const same = `import { VicinalError } from 'vicinal'
    import { createRequire } from 'node:module'
    if (createRequire(import.meta.url)('vicinal').VicinalError !== VicinalError) throw new Error('loaded twice')`
  run(process.execPath, ['--input-type=module', '--eval', same])
}

function compile(name, compilerOptions, files) {
  const strict = { target: 'es2022', lib: ['es2022'], strict: true, skipLibCheck: false, types: [] }
  write(`${name}.json`, { compilerOptions: { ...strict, ...compilerOptions }, files })
  tool('tsc', ['--project', `${name}.json`], { cwd: project })
}

function write(file, value) {
  writeFileSync(path.join(project, file), JSON.stringify(value))
}

function readJson(file) {
  return JSON.parse(readFileSync(file, 'utf8'))
}
