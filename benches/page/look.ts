// How each system looks, in every plot and legend. Colors are CSS variables, so that they follow the scheme.
import type { System } from '../compare/report.js'

interface Look {
  light: string
  dark: string
  symbol: Symbol
}

/** By the names that Plot has for them. */
export type Symbol = 'circle' | 'square2' | 'diamond2' | 'triangle2' | 'star' | 'cross' | 'wye' | 'hexagon'

const LOOKS: Record<string, Look> = {
  'vicinal-rust': { light: '#d9480f', dark: '#ff922b', symbol: 'circle' },
  vicinal: { light: '#e67700', dark: '#ffd43b', symbol: 'diamond2' },
  'vicinal-inserted': { light: '#a1662f', dark: '#e8c29b', symbol: 'diamond2' },
  'vicinal-u8-rust': { light: '#a61e4d', dark: '#faa2c1', symbol: 'circle' },
  'vicinal-u8': { light: '#e64980', dark: '#ffdeeb', symbol: 'diamond2' },
  hnswlib: { light: '#1971c2', dark: '#4dabf7', symbol: 'square2' },
  faiss: { light: '#6741d9', dark: '#b197fc', symbol: 'triangle2' },
  usearch: { light: '#2b8a3e', dark: '#51cf66', symbol: 'star' },
  'scalable-vs': { light: '#0b7285', dark: '#3bc9db', symbol: 'cross' },
  omendb: { light: '#66707a', dark: '#adb5bd', symbol: 'wye' },
  'hnswlib-node': { light: '#4c8fd6', dark: '#a5d8ff', symbol: 'square2' },
  'usearch-node': { light: '#8a5a2b', dark: '#d9a066', symbol: 'star' },
  hnsw_rs: { light: '#c2255c', dark: '#f783ac', symbol: 'hexagon' },
}

export function color({ id }: System): string {
  return `var(--system-${id})`
}

export function symbol({ id }: System): Symbol {
  return LOOKS[id]?.symbol ?? 'circle'
}

/** What the variables are in one scheme. */
export function variables(scheme: 'light' | 'dark'): string {
  return Object.entries(LOOKS)
    .map(([id, look]) => `--system-${id}: ${look[scheme]};`)
    .join(' ')
}
