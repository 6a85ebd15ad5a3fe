// What `setup-peers.mjs` has installed.
import { existsSync, readFileSync } from 'node:fs'
import { here, runNode } from './programs.js'
import { progress } from './progress.js'

const state = here('peers', 'state.json')

/** Installs the peers, unless that was tried before. */
export function setUpPeers(): void {
  if (existsSync(state)) return
  progress('installing the peers')
  runNode(here('setup-peers.mjs'), [])
}

/** Why a peer cannot be measured; undefined where it can. */
export function whyMissing(id: string): string | undefined {
  const found = existsSync(state)
    ? (JSON.parse(readFileSync(state, 'utf8')) as Record<string, { reason?: string }>)
    : {}
  const peer = found[id]
  return peer === undefined ? 'not installed: run node benches/setup-peers.mjs' : peer.reason
}
