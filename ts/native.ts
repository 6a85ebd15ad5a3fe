import type { NativeIndex as Index } from '#native'

export { Environment, NativeIndex } from '#native'
export type { Failure, NativeIdSet, NativeOptions } from '#native'

/** Ids as the native side takes them. */
export type NativeIds = Parameters<Index['idSet']>[1]
/** Vectors as the native side takes them. */
export type NativeVectors = Parameters<Index['add']>[2]
