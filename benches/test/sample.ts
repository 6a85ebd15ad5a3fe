import { SCHEMA, type Report, type Run, type System } from '../compare/report.js'

/** A system that reaches recalls .9, .96 and .99 with 4,000, 2,000 and 1,000 queries a second. */
export function system(id: string, given: Partial<System> = {}): System {
  return {
    id,
    name: id,
    version: '1.2.3',
    ours: id.startsWith('vicinal'),
    rows: 20_000,
    parameters: { m: 16 },
    way: 'single',
    build: { seconds: 2, vectorsPerSecond: 10_000, restingBytes: 20e6, peakBytes: 25e6 },
    points: [point(24, 0.9, 4000), point(64, 0.96, 2000), point(200, 0.99, 1000)],
    ...given,
  }
}

function point(ef: number, recall: number, qps: number): System['points'][number] {
  return { ef, recall, ways: { single: { qps, p50: 1e6 / qps, p99: 3e6 / qps } }, evaluations: null }
}

export function report(run: Partial<Run>): Report {
  const machine = { cpu: 'a <CPU>', cores: 2, memoryBytes: 8e9, system: 'Linux', node: 'v20', rust: null, python: null }
  const data = { name: 'sample', about: 'a sample', rows: 20_000, queries: 100, dimensions: 128, element: 'u8' }
  return {
    schema: SCHEMA,
    command: 'npm run bench',
    date: '2026-01-01T00:00:00Z',
    project: { version: '0.0.0', commit: null, dirty: false },
    machine: { ...machine, load: 0 },
    settings: { k: 10, efs: [24, 64, 200], passes: 3, timedQueries: 2000, buildThreads: 2, searchThreads: 1 },
    skipped: [],
    runs: [{ data: { ...data, metric: 'l2' }, systems: [], missing: [], overhead: null, live: null, ...run }],
  }
}

export const LIVE: Run['live'] = {
  migration: { rows: 5000, median: 0.1, worst: 0.2 },
  latency: {
    exact: { queries: 500, p50: 0.2, p99: 0.4 },
    migrating: { queries: 100, p50: 0.3, p99: 0.8 },
    graph: { queries: 500, p50: 0.1, p99: 0.3 },
  },
  stream: { rows: 20_000, seconds: 1, eventLoop: { p99: 1, max: 3 } },
  timeline: {
    rows: 20_000,
    migrated: 20_000,
    phases: [
      { name: 'exact', from: 0 },
      { name: 'graph', from: 1 },
    ],
    slices: [0, 1, 2].map((second) => ({ second, queries: 1000, p50: 0.1, p99: 0.5, max: 2 })),
  },
}
