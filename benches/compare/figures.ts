// The figures that the project holds itself to, of what a run has measured.
import { speedAt } from './curves.js'
import { megabytes, whole } from './format.js'
import { INSERTED } from './systems.js'
import type { Live, Overhead, Run, System } from './report.js'

export interface Figure {
  what: string
  ours: string
  other?: string
  value: number
  digits?: number
  least?: number
  aim?: number
  /** Whether less is better. */
  smaller?: boolean
}

export function figures(run: Run): Figure[] {
  const find = (id: string): System | undefined =>
    run.systems.find((system) => system.id === id && system.rows === run.data.rows)
  const [node, inserted, rust, hnswlib, faiss] = ['vicinal', INSERTED, 'vicinal-rust', 'hnswlib', 'faiss'].map(find)
  const all = [
    ...(rust && hnswlib ? [building('bulk construction', rust, hnswlib, { least: 30, aim: 60 })] : []),
    ...(node && hnswlib
      ? [building('bulk construction through Node', node, hnswlib), bulkRecall(node, hnswlib), memory(node, hnswlib)]
      : []),
    ...(inserted && hnswlib
      ? [building('batch insertion', inserted, hnswlib, { least: 2.5, aim: 5 }), insertedRecall(inserted, hnswlib)]
      : []),
    ...(inserted && faiss ? [building('batch insertion', inserted, faiss)] : []),
    ...(rust && hnswlib ? [0.95, 0.99].flatMap((target) => querying(rust, hnswlib, target)) : []),
    ...(run.overhead ? [call(run.overhead)] : []),
    ...(node ? threads(node) : []),
    ...(run.live ? background(run.live) : []),
    ...(node ? peak(node) : []),
  ]
  return all
}

type Bounds = Pick<Figure, 'least' | 'aim'>

function building(how: string, ours: System, peer: System, bounds: Bounds = {}): Figure {
  return {
    what: `${how}, vectors/s, over ${peer.name}`,
    ours: whole(ours.build.vectorsPerSecond),
    other: whole(peer.build.vectorsPerSecond),
    value: ours.build.vectorsPerSecond / peer.build.vectorsPerSecond,
    ...bounds,
  }
}

function bulkRecall(ours: System, peer: System): Figure {
  return leastLead(`bulk construction, recall less that of ${peer.name}, least difference at ef 24…200`, ours, peer)
}

function insertedRecall(ours: System, peer: System): Figure {
  return leastLead(`batch insertion, recall less that of ${peer.name}, least difference at ef 24…200`, ours, peer)
}

function leastLead(what: string, ours: System, peer: System): Figure {
  const leads = ours.points
    .map((point, i) => ({ ef: point.ef, lead: point.recall - (peer.points[i]?.recall ?? NaN) }))
    .filter(({ ef }) => ef <= 200)
  const least = leads.reduce((a, b) => (b.lead < a.lead ? b : a))
  return { what, ours: `at ef ${least.ef}`, value: least.lead, digits: 4, least: 0 }
}

function memory(ours: System, peer: System): Figure {
  return {
    what: `memory after building over ${peer.name}, MB`,
    ours: megabytes(ours.build.restingBytes),
    other: megabytes(peer.build.restingBytes),
    value: ours.build.restingBytes / peer.build.restingBytes,
    least: 1.2,
    aim: 1,
    smaller: true,
  }
}

function querying(rust: System, hnswlib: System, target: number): Figure[] {
  const [ours, theirs] = [speedAt(rust, target), speedAt(hnswlib, target)]
  if (ours === undefined || theirs === undefined) return []
  return [
    {
      what: `queries/s from Rust at recall ${target} over hnswlib`,
      ours: whole(ours),
      other: whole(theirs),
      value: ours / theirs,
      least: 1.3,
      aim: 2,
    },
  ]
}

function call({ ef, rust, searchSync, difference }: Overhead): Figure {
  return {
    what: `searchSync over the Rust call at ef ${ef}, µs more`,
    ours: searchSync.toFixed(1),
    other: rust.toFixed(1),
    value: difference,
    least: 3,
    aim: 1,
    smaller: true,
  }
}

function threads({ points }: System): Figure[] {
  const { batch, batch2 } = points.find(({ ef }) => ef === 64)?.ways ?? {}
  if (!batch || !batch2) return []
  return [
    {
      what: 'searchBatch on 2 threads over 1 at ef 64, queries/s',
      ours: whole(batch2.qps),
      other: whole(batch.qps),
      value: batch2.qps / batch.qps,
      least: 1.8,
      aim: 1.95,
    },
  ]
}

function background({ migration, latency, stream }: Live): Figure[] {
  const { exact, migrating, graph } = latency
  // The stricter of the two ways to be idle.
  const idle = Math.min(exact.p99, graph.p99)
  return [
    {
      what: `migration of the first ${whole(migration.rows)}, ms, median`,
      ours: (migration.median * 1000).toFixed(0),
      value: migration.median * 1000,
      digits: 0,
      least: 200,
      aim: 60,
      smaller: true,
    },
    {
      what: 'query p99 while migrating over idle, ms',
      ours: migrating.p99.toFixed(2),
      other: `${idle.toFixed(2)} (exact ${exact.p99.toFixed(2)}, graph ${graph.p99.toFixed(2)})`,
      value: migrating.p99 / idle,
      least: 3,
      aim: 1.5,
      smaller: true,
    },
    {
      what: `event-loop delay p99 while ${whole(stream.rows)} are added and migrate, ms`,
      ours: stream.eventLoop.p99.toFixed(2),
      other: `longest ${stream.eventLoop.max.toFixed(1)}`,
      value: stream.eventLoop.p99,
      least: 10,
      aim: 3,
      smaller: true,
    },
  ]
}

function peak({ build: { peakBytes, restingBytes } }: System): Figure[] {
  if (peakBytes === null) return []
  return [
    {
      what: 'peak memory of building over what is held after, MB',
      ours: megabytes(peakBytes),
      other: megabytes(restingBytes),
      value: peakBytes / restingBytes,
      least: 1.6,
      aim: 1.3,
      smaller: true,
    },
  ]
}

/** `no`, `yes` where `least` is met, `aim` where `aim` is; empty where there is no bound. */
export function reached({ value, least, aim, smaller = false }: Figure): string {
  if (least === undefined) return ''
  const meets = (bound: number): boolean => (smaller ? value <= bound : value >= bound)
  if (!meets(least)) return 'no'
  return aim === undefined || meets(aim) ? 'aim' : 'yes'
}
