/** Tells whoever waits what goes on. */
export function progress(what: string): void {
  process.stderr.write(`${new Date().toTimeString().slice(0, 8)} ${what}\n`)
}
