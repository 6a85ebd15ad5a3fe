// The platform packages are optional dependencies of the packed package only: in the repository they would make
// `npm ci` ask the registry for versions that are not published yet. `npm pack` calls `add` before and `remove` after.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { at } from './run.mjs'

const { optionalDependencies: _, ...manifest } = readJson('package.json')

const action = process.argv[2]
if (action === 'add') writeManifest({ ...manifest, optionalDependencies: platformPackages() })
else if (action === 'remove') writeManifest(manifest)
else throw new Error(`got ${action}, expected add or remove`)

/** Name and version of each package under npm/. */
function platformPackages() {
  const packages = readdirSync(at('npm')).map((platform) => readJson('npm', platform, 'package.json'))
  for (const { name, version } of packages)
    if (version !== manifest.version) throw new Error(`${name}: got version ${version}, expected ${manifest.version}`)
  return Object.fromEntries(packages.map(({ name, version }) => [name, version]))
}

function readJson(...parts) {
  return JSON.parse(readFileSync(at(...parts), 'utf8'))
}

function writeManifest(value) {
  writeFileSync(at('package.json'), JSON.stringify(value, null, 2) + '\n')
}
