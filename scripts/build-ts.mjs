// Compiles the TypeScript sources into dist/, and keeps the public typings in etc/ for review.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { at, tool } from './run.mjs'

rmSync(at('dist'), { recursive: true, force: true })
tool('tsc', ['--project', 'tsconfig.build.json'])

const typings = readdirSync(at('dist'), { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => /\.d\.m?ts$/.test(file))
  .sort()
const report = typings.map((file) => `// dist/${file}\n${readFileSync(at('dist', file), 'utf8')}`).join('\n')
mkdirSync(at('etc'), { recursive: true })
writeFileSync(at('etc', 'vicinal.d.ts'), report)
