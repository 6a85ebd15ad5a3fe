// Makes the page of a report, beside its JSON file. To draw one again:
//
//   node --import @oxc-node/core/register benches/page/write.ts FILE.json
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { SCHEMA, type Report } from '../compare/report.js'
import { page } from './page.js'

/** @returns the path of the page */
export function writePage(file: string): string {
  const report = JSON.parse(readFileSync(file, 'utf8')) as Report
  if (report.schema !== SCHEMA) throw new Error(`${file}: schema ${report.schema}, expected ${SCHEMA}`)
  const target = file.replace(/\.json$/, '.html')
  writeFileSync(target, page(report))
  return target
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(writePage(process.argv[2]!))
