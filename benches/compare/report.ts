// What a run leaves behind: one JSON file of this form, from which the page and the tables are made.

/** Raised when a field changes its meaning, so that a page is not made of what it does not understand. */
export const SCHEMA = 1

export interface Report {
  schema: typeof SCHEMA
  /** As it was called. */
  command: string
  /** When it began, as ISO 8601. */
  date: string
  /** What was measured: the project's version and commit; `dirty` where files differed from the commit. */
  project: { version: string; commit: string | null; dirty: boolean }
  machine: Machine
  settings: Settings
  /** Sets that were to be measured and were not, with the reason. */
  skipped: string[]
  runs: Run[]
}

export interface Machine {
  cpu: string
  cores: number
  memoryBytes: number
  system: string
  node: string
  rust: string | null
  python: string | null
  /** Load average of one minute before the run: others' work disturbs figures. */
  load: number
}

/** What is the same for all systems of a report. */
export interface Settings {
  k: number
  efs: number[]
  passes: number
  timedQueries: number
  buildThreads: number
  searchThreads: number
}

/** One data set, all systems. */
export interface Run {
  data: DataInfo
  systems: System[]
  /** Systems that were asked for and are not among `systems`, or not with all of their figures. */
  missing: { system: string; reason: string }[]
  overhead: Overhead | null
  live: Live | null
}

export interface DataInfo {
  name: string
  /** What it is, and how it was made. */
  about: string
  rows: number
  queries: number
  dimensions: number
  metric: 'l2' | 'cosine'
  /** How the rows are stored in the file. */
  element: string
}

export interface System {
  id: string
  name: string
  version: string
  ours: boolean
  /** Less than the run's where a system is given fewer; figures of systems with different rows are not compared. */
  rows: number
  parameters: Record<string, string | number>
  /** The way to search that stands for the system in plots and ratios. */
  way: Way
  build: Build
  points: Point[]
}

export interface Build {
  seconds: number
  vectorsPerSecond: number
  /** What the process holds after building less what it held before, rows to build from in memory both times. */
  restingBytes: number
  /** The most that it held meanwhile, less the same; null where the system does not tell. */
  peakBytes: number | null
}

/** `single`: a call a query on one thread. `batch`: all in one call on one thread. `batch2`: the same on two. */
export type Way = 'single' | 'batch' | 'batch2'

export interface Point {
  /** The width of a search, by whatever name the system has for it. */
  ef: number
  recall: number
  ways: Partial<Record<Way, Speed>>
  /** Distances computed a query; null where a system does not count them. */
  evaluations: number | null
}

/** Medians of the passes. Latencies are microseconds; a batch has none. */
export interface Speed {
  qps: number
  p50?: number
  p99?: number
}

/** Microseconds a query of vicinal, in one process and on one index that both are asked in turn; medians. */
export interface Overhead {
  ef: number
  rust: number
  searchSync: number
  /** The median of the differences between blocks of queries that follow each other. */
  difference: number
}

/** What only the index itself is asked for: how it fares while it migrates. Seconds, and milliseconds where said. */
export interface Live {
  migration: { rows: number; median: number; worst: number }
  /** Milliseconds of a query sent every millisecond. */
  latency: Record<'exact' | 'migrating' | 'graph', { queries: number; p50: number; p99: number }>
  /** Milliseconds that the event loop was late. */
  stream: { rows: number; seconds: number; eventLoop: { p99: number; max: number } }
  timeline: Timeline
}

/** Queries sent every millisecond while rows stream in and migrate. */
export interface Timeline {
  rows: number
  /** Of these, in the graph at the end: fewer where the index did not come to it in time. */
  migrated: number
  /** From which second on; in order. */
  phases: { name: 'exact' | 'adding' | 'migrating' | 'graph'; from: number }[]
  slices: Slice[]
}

/** The queries sent in a slice of time: milliseconds to the answer, by the second in which the slice begins. */
export interface Slice {
  second: number
  queries: number
  p50: number
  p99: number
  max: number
}
