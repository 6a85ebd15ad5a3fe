// What a reader wants to know first.
import { buildRate, speedAt } from '../compare/curves.js'
import { short, whole } from '../compare/format.js'
import type { System } from '../compare/report.js'
import { html, type Html } from './html.js'

/** The fastest peer in every respect, since beating a slow one says little. */
export function tiles(systems: readonly System[]): Html {
  const rust = systems.find(({ id }) => id === 'vicinal-rust')
  const node = systems.find(({ id }) => id === 'vicinal')
  if (rust === undefined || node === undefined) return html``
  const peers = systems.filter(({ ours }) => !ours)
  return html`<div class="tiles">
    ${tile('vectors a second to build, from Rust', whole(buildRate(rust)), over(rust, peers, buildRate))}
    ${tile('queries a second at recall .95, from Rust', optional(at(0.95)(rust)), over(rust, peers, at(0.95)))}
    ${tile('queries a second at recall .99, from Rust', optional(at(0.99)(rust)), over(rust, peers, at(0.99)))}
    ${tile(
      'MB at rest, in Node',
      whole(node.build.restingBytes / 1e6),
      over(node, peers, (s) => -s.build.restingBytes),
    )}
  </div>`
}

/** Reads the speed at a recall. */
function at(target: number) {
  return (system: System) => speedAt(system, target)
}

function tile(what: string, value: string, beside: string): Html {
  return html`<div class="card tile">
    <b>${value}</b>
    <p>${what}</p>
    <p class="quiet">${beside}</p>
  </div>`
}

function optional(value: number | undefined): string {
  return value === undefined ? '–' : whole(value)
}

/** @param read more is better; negative where the figure is one of which less is better */
function over(ours: System, peers: readonly System[], read: (system: System) => number | undefined): string {
  const value = read(ours)
  const best = peers
    .map((peer) => ({ name: peer.name, value: read(peer) }))
    .filter((peer): peer is { name: string; value: number } => peer.value !== undefined)
    .sort((a, b) => b.value - a.value)[0]
  if (value === undefined || best === undefined) return ''
  return `${short(value / best.value)} × the best peer, ${best.name}`
}
