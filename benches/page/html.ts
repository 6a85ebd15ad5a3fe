// Pieces of a page.
import type { System } from '../compare/report.js'
import { color, symbol } from './look.js'
import { outline } from './plot.js'

/** Text that is markup already. */
export class Html {
  constructor(readonly text: string) {}
}

type Part = Html | string | number | readonly Part[]

/** Markup with values in it; all that is no markup itself is escaped. */
export function html(markup: TemplateStringsArray, ...parts: Part[]): Html {
  return new Html(String.raw({ raw: markup }, ...parts.map(write)))
}

function write(part: Part): string {
  if (part instanceof Html) return part.text
  if (typeof part === 'string' || typeof part === 'number') return escape(String(part))
  return part.map(write).join('')
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

/** A plot with its title, drawn for phones and for larger screens; the style shows one of them. */
export function figure(
  title: string,
  caption: Html,
  draw: (width: 'narrow' | 'wide') => string,
  { full = false, keys = html`` }: { full?: boolean; keys?: Html } = {},
): Html {
  const plots = (['wide', 'narrow'] as const).map(
    (width) => html`<div class="plot ${width}">${new Html(draw(width))}</div>`,
  )
  return html`<figure class="card${full ? ' full' : ''}">
    <h3>${title}</h3>
    <figcaption>${caption}</figcaption>
    ${keys}${plots}
  </figure>`
}

export function legend(systems: readonly System[]): Html {
  const items = systems.map(
    (system) =>
      html`<li>
        <svg width="14" height="14" viewBox="-7 -7 14 14" aria-hidden="true">
          <path d="${outline(symbol(system))}" style="fill: ${color(system)}" /></svg
        >${system.name}
      </li>`,
  )
  return html`<ul class="legend">
    ${items}
  </ul>`
}
