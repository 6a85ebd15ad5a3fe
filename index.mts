// The entry for `import`: the CommonJS implementation under the same names, so that both share one VicinalError.
export { VectorIndex, VicinalError } from './index.js'
export type * from './index.js'
