/** Ids `first` to `end − 1`, by a plain loop, because this runs on event loops that are being watched. */
export function rowNumbers(first: number, end: number): Float64Array {
  const ids = new Float64Array(end - first)
  for (let i = 0; i < ids.length; i++) ids[i] = first + i
  return ids
}
