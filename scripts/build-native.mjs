// Builds the addon, its loader and its typings into native/, and completes the platform package with it.
// Arguments are passed on, such as `--target` of the release workflow.
import { copyFileSync, existsSync, readdirSync } from 'node:fs'
import { at, tool } from './run.mjs'

const options = `--manifest-path crates/node/Cargo.toml --package vicinal-node --package-json-path package.json
  --output-dir native --js binding.js --dts binding.d.ts --platform --release`
tool('napi', ['build', ...options.split(/\s+/), ...process.argv.slice(2)])

for (const file of readdirSync(at('native'))) {
  const [, platform] = /^vicinal\.(.+)\.node$/.exec(file) ?? []
  if (platform && existsSync(at('npm', platform))) copyFileSync(at('native', file), at('npm', platform, file))
}
