import type { VectorIndex } from 'vicinal'
import { K } from './node.js'

/** When a query was sent, and how long its answer took; milliseconds, the first of `performance.now()`. */
export interface Answered {
  sent: number
  took: number
}

/** More do not wait: from there on the index is overloaded, and a longer queue would only tell for how long. */
const MOST_WAITING = 1_000

/**
 * Asks a query every millisecond while `work` goes on, whether or not those before are answered: a slow answer must not
 * thin out the queries that would have been slow too.
 */
export async function askEveryMillisecond(
  index: VectorIndex,
  queries: Float32Array,
  work: () => Promise<unknown>,
): Promise<Answered[]> {
  const { dimensions } = index
  const count = queries.length / dimensions
  const pending: Promise<Answered>[] = []
  let answered = 0
  const ask = async (): Promise<Answered> => {
    const query = pending.length % count
    const sent = performance.now()
    await index.search(queries.subarray(query * dimensions, (query + 1) * dimensions), { k: K })
    answered++
    return { sent, took: performance.now() - sent }
  }
  const timer = setInterval(() => {
    if (pending.length - answered < MOST_WAITING) pending.push(ask())
  }, 1)
  try {
    await work()
  } finally {
    clearInterval(timer)
  }
  return Promise.all(pending)
}
