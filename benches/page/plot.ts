// Observable Plot without a browser: what the plots of the page have in common.
import * as Plot from '@observablehq/plot'
import { parseHTML } from 'linkedom'

/** A phone's, and that of everything else. A plot is drawn for both, since text must not shrink with it. */
export const WIDTHS = { narrow: 350, wide: 520, full: 1060 }

// Plot asks no more of a document than this one can do.
const document = parseHTML('<html></html>').document as unknown as Document

export interface Frame extends Plot.PlotOptions {
  width: number
  /** Read aloud instead of the picture. */
  ariaLabel: string
}

export function svg(frame: Frame): string {
  return Plot.plot({ document, marginTop: 30, ...frame }).outerHTML
}

/** A recall that is not told apart from all. */
export const MOST = 0.9999

/** Recalls are told apart by how much is missing: .9, .99 and .999 lie as far from each other. */
export function nines(recall: number): number {
  return -Math.log10(1 - Math.min(recall, MOST))
}

const TICKS = [0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, MOST]

/** Options of an axis of {@link nines} over some recalls. */
export function recallAxis(recalls: readonly number[]): Axis {
  const domain: [number, number] = [nines(Math.min(...recalls)) - 0.05, nines(Math.max(...recalls)) + 0.05]
  return {
    domain,
    ticks: TICKS.map(nines).filter((tick) => tick >= domain[0] && tick <= domain[1]),
    tickFormat: (value) => String(Number((1 - 10 ** -value).toFixed(4))).replace(/^0/, ''),
  }
}

/** 1,500 as 1.5k. */
export function thousands(value: number): string {
  return value >= 1000 ? `${Number((value / 1000).toPrecision(3))}k` : String(Number(value.toPrecision(3)))
}

/** Options of an axis of logarithms over some values. Its scale is linear, since Plot leaves out labels of others. */
export function logAxis(values: readonly number[]): Axis {
  const low = Math.min(...values) / 1.15
  const high = Math.max(...values) * 1.15
  const ticks = []
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++) {
    for (const step of high / low > 1000 ? [1] : [1, 2, 5]) ticks.push(step * 10 ** power)
  }
  return {
    domain: [Math.log10(low), Math.log10(high)],
    ticks: ticks.filter((tick) => tick >= low && tick <= high).map(Math.log10),
    tickFormat: (value) => thousands(10 ** value),
  }
}

/** What Plot takes as options of a scale. */
export interface Axis {
  domain: [number, number]
  ticks: number[]
  tickFormat: (value: number) => string
}

/** The outline of a symbol, as the plots draw it. */
export function outline(symbol: string): string {
  const plot = Plot.plot({
    document,
    axis: null,
    marks: [Plot.dot([0], { frameAnchor: 'middle', symbol: symbol as Plot.SymbolType, r: 4 })],
  })
  return plot.querySelector('[aria-label="dot"] path')?.getAttribute('d') ?? CIRCLE
}

const CIRCLE = 'M4,0A4,4,0,1,1,-4,0A4,4,0,1,1,4,0'
