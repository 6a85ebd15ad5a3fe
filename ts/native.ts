import type * as Native from '../native/binding.js'

declare function require(path: string): unknown

/** The compiled addon. The path is the one from `dist/ts/`, where this module runs. */
export const { Environment, NativeIndex } = require('../../native/binding.js') as typeof Native

export type NativeIdSet = Native.NativeIdSet
export type NativeIndex = Native.NativeIndex
export type NativeIds = Parameters<NativeIndex['idSet']>[1]
export type NativeOptions = Native.NativeOptions
export type NativeVectors = Parameters<NativeIndex['add']>[2]
export type Failure = Native.Failure
