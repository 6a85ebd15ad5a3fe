import { setTimeout as sleep } from 'node:timers/promises'
import type { VectorIndex } from 'vicinal'
import type { Rows } from '../formats.js'
import type { Feed } from './feed.js'

export const K = 10

/** What a query got, with all that is needed to judge it later. */
export interface Answer {
  query: number
  /** Rows whose `add` had resolved when the query was asked: the answer had to take all of them into account. */
  present: number
  ids: number[]
}

/** Queries asked while the index was in one state. */
export interface Phase {
  name: string
  /** Rows present at its first and at its last query. */
  rows: [number, number]
  /** Milliseconds from each call of `search` to its answer in this thread. */
  latencies: number[]
  /** A uniform random sample of the answers, of at most `SAMPLE` of them, for the recall. */
  answers: Answer[]
}

const SAMPLE = 500
const INTERVAL_MS = 1

/**
 * Asks one query after the other, with a pause of a millisecond after each answer, as a service under light load does.
 * Answers are only recorded here; they are judged when all is over, so that judging costs the measured time nothing.
 */
export class QueryLoop {
  readonly #index: VectorIndex
  readonly #queries: Rows
  readonly #count: number
  readonly #feed: Feed
  #phase: Phase | undefined
  #asked = 0

  constructor(index: VectorIndex, queries: Rows, feed: Feed) {
    this.#index = index
    this.#queries = queries
    this.#count = queries.length / index.dimensions
    this.#feed = feed
  }

  /** Queries from now on until `work` has settled count as one phase. A query that spans its end belongs to it. */
  async during(name: string, work: () => Promise<void>): Promise<Phase> {
    const phase: Phase = { name, rows: [this.#feed.rows, this.#feed.rows], latencies: [], answers: [] }
    this.#phase = phase
    const end = (): void => {
      this.#phase = undefined
    }
    await Promise.all([work().finally(end), this.#run(phase).finally(end)])
    return phase
  }

  /** A phase of this many queries in which nothing else happens. */
  async idle(name: string, queries: number): Promise<Phase> {
    return this.during(name, async () => {
      while (this.#phase !== undefined && this.#phase.latencies.length < queries) await sleep(10)
    })
  }

  async #run(phase: Phase): Promise<void> {
    const { dimensions } = this.#index
    while (this.#phase === phase) {
      const query = this.#asked++ % this.#count
      const vector = this.#queries.subarray(query * dimensions, (query + 1) * dimensions)
      const present = this.#feed.rows
      const start = performance.now()
      const hits = await this.#index.search(vector, { k: K })
      phase.latencies.push(performance.now() - start)
      phase.rows[1] = present
      sample(phase, { query, present, ids: hits.map((hit) => hit.id) })
      await sleep(INTERVAL_MS)
    }
  }
}

/** Reservoir sampling (Vitter's algorithm R): any answer of the phase is equally likely to stay. */
function sample({ answers, latencies }: Phase, answer: Answer): void {
  if (answers.length < SAMPLE) answers.push(answer)
  else {
    const place = Math.floor(Math.random() * latencies.length)
    if (place < SAMPLE) answers[place] = answer
  }
}
