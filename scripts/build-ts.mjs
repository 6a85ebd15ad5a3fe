// Compiles the TypeScript sources into dist/, and keeps the public typings in etc/ for review.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { at, tool } from './run.mjs'

rmSync(at('dist'), { recursive: true, force: true })
tool('tsc', ['--project', 'tsconfig.build.json'])
// By itself: it may use what Node.js has, which the library is compiled without.
tool('tsc', ['--project', 'tsconfig.cli.json'])

const typings = publicTypings()
for (const file of readdirSync(at('dist'), { recursive: true, encoding: 'utf8' }))
  if (/\.d\.m?ts$/.test(file) && !typings.has(at('dist', file))) rmSync(at('dist', file))

const report = [...typings].map(([file, text]) => `// ${path.basename(file)}\n${text}`).join('\n')
mkdirSync(at('etc'), { recursive: true })
writeFileSync(at('etc', 'vicinal.d.ts'), report)

/** The typings that the entry leads to, by file; those of modules within the package are nobody's business. */
function publicTypings() {
  const found = new Map()
  const waiting = [at('dist', 'index.d.mts')]
  for (const file of waiting) {
    if (found.has(file)) continue
    const text = readFileSync(file, 'utf8')
    found.set(file, text)
    for (const [, name] of text.matchAll(/from '(\.[^']+)\.js'/g))
      waiting.push(path.join(path.dirname(file), `${name}.d.ts`))
  }
  return found
}
