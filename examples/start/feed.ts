import type { VectorIndex } from 'vicinal'
import type { VectorFile } from '../formats.js'
import { timed } from '../measure.js'

/** Rows of one `add`. */
export const BLOCK = 500

/** Streams a file's rows into an index, in order and under their row numbers, and counts the time that `add` takes. */
export class Feed {
  /** Rows that the index has confirmed. */
  rows = 0
  /** Time spent waiting for `add`; reading the file is left out. */
  seconds = 0
  readonly #index: VectorIndex
  readonly #base: VectorFile

  constructor(index: VectorIndex, base: VectorFile) {
    this.#index = index
    this.#base = base
  }

  async addUntil(end: number): Promise<void> {
    while (this.rows < end) {
      const vectors = await this.#base.read(this.rows, Math.min(BLOCK, end - this.rows))
      const ids = Float64Array.from({ length: vectors.length / this.#base.dimensions }, (_, i) => this.rows + i)
      this.seconds += await timed(() => this.#index.add(ids, vectors))
      this.rows += ids.length
    }
  }
}
