// Numbers as people read them.

export function whole(value: number): string {
  return Math.round(value).toLocaleString('en-US')
}

export function recall(value: number): string {
  return value.toFixed(4)
}

export function megabytes(bytes: number | null): string {
  return bytes === null ? '–' : whole(bytes / 1e6)
}

/** Three significant digits, thousands as they are. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return '–'
  return value >= 100 ? whole(value) : value.toPrecision(3)
}
