// Packs vicinal, and each platform package whose addon has been built, into the folder given (default: packed/).
// These tarballs are what is tested and published.
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { at, npm } from './run.mjs'

const destination = path.resolve(process.argv[2] ?? at('packed'))
mkdirSync(destination, { recursive: true })

const platforms = readdirSync(at('npm')).map((platform) => at('npm', platform))
for (const folder of [at(), ...platforms.filter(isBuilt)])
  npm(['pack', '--silent', '--pack-destination', destination], { cwd: folder })

function isBuilt(folder) {
  const { main } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'))
  return existsSync(path.join(folder, main))
}
