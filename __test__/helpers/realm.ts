import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'
import vm from 'node:vm'
import type * as vicinal from 'vicinal'

const require = createRequire(import.meta.url)

/** A realm with the globals that the language itself does not bring. */
export function newRealm(): vm.Context {
  const { AbortController, AbortSignal, process } = globalThis
  return vm.createContext({ AbortController, AbortSignal, process })
}

/** Loads the package as jest does: its modules in the realm, the addon and Node's own modules from outside. */
export function loadInRealm(realm: vm.Context): typeof vicinal {
  const modules = new Map<string, { exports: unknown }>()
  const load = (file: string): unknown => {
    const loaded = modules.get(file)
    if (loaded) return loaded.exports
    const module = { exports: {} as unknown }
    modules.set(file, module)
    const own = createRequire(file)
    const requireFrom = (name: string): unknown => {
      const target = own.resolve(name)
      return path.isAbsolute(target) && target.endsWith('.js') ? load(target) : own(name)
    }
    const source = `(function (exports, require, module, __filename, __dirname) {${readFileSync(file, 'utf8')}\n})`
    const run = vm.runInContext(source, realm, { filename: file }) as (...args: unknown[]) => void
    run.call(module.exports, module.exports, requireFrom, module, file, path.dirname(file))
    return module.exports
  }
  return load(require.resolve('vicinal')) as typeof vicinal
}
