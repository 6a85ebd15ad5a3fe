import test from 'ava'
import { parseHTML } from 'linkedom'
import { latencyAt, speedAt } from '../compare/curves.js'
import { figures, reached } from '../compare/figures.js'
import { parseOptions } from '../compare/options.js'
import { entries, SYSTEMS } from '../compare/systems.js'
import { tables } from '../compare/table.js'
import { page } from '../page/page.js'
import { LIVE, report, system } from './sample.js'

test('the speed at a recall lies between those of its neighbors', (t) => {
  const one = system('vicinal')
  t.is(Math.round(speedAt(one, 0.96)!), 2000)
  t.is(Math.round(speedAt(one, 0.93)!), Math.round(Math.sqrt(4000 * 2000)))
  t.is(Math.round(speedAt(one, 0.5)!), 4000)
  t.is(speedAt(one, 0.999), undefined)
  t.is(Math.round(latencyAt(one, 0.96, 'p99')!), 1500)
})

test('a figure is met from above, or from below where less is better', (t) => {
  t.is(reached({ what: '', ours: '', value: 2, least: 1, aim: 3 }), 'yes')
  t.is(reached({ what: '', ours: '', value: 2, least: 3, aim: 1, smaller: true }), 'yes')
  t.is(reached({ what: '', ours: '', value: 4, least: 3, smaller: true }), 'no')
  t.is(reached({ what: '', ours: '', value: 4, least: 3, aim: 4 }), 'aim')
  t.is(reached({ what: '', ours: '', value: 4 }), '')
})

test('systems of fewer rows are not compared with an index of all', (t) => {
  const systems = [system('vicinal'), system('vicinal-rust'), system('hnswlib', { rows: 5_000 })]
  t.deepEqual(
    figures(report({ systems }).runs[0]!).filter(({ what }) => what.includes('hnswlib')),
    [],
  )
})

test('where a peer is given fewer rows, so is the index once more', (t) => {
  const { data } = report({}).runs[0]!
  const chosen = SYSTEMS.filter(({ id }) => ['vicinal', 'vicinal-inserted', 'hnswlib', 'omendb'].includes(id))
  const list = entries(chosen, { ...data, rows: 200_000 }).map(({ spec, rows }) => [spec.id, rows])
  t.deepEqual(list, [
    ['vicinal', 200_000],
    ['vicinal-inserted', 200_000],
    ['hnswlib', 200_000],
    ['omendb', 100_000],
    ['vicinal', 100_000],
  ])
  t.is(entries(chosen, data).length, 4)
  const bytes = SYSTEMS.filter(({ id }) => id === 'vicinal-u8')
  const chosenFor = (element: string) => entries(bytes, { ...data, element }).length
  t.deepEqual([chosenFor('u8'), chosenFor('f16')], [1, 0], 'bytes keep bytes only')
})

test('tables name what is missing', (t) => {
  const systems = ['vicinal', 'vicinal-inserted', 'vicinal-rust', 'hnswlib'].map((id) => system(id))
  const text = tables(report({ systems, missing: [{ system: 'usearch', reason: 'no compiler' }], live: LIVE }))
  t.regex(text, /usearch is missing: no compiler/)
  t.regex(text, /\| hnswlib \| 1\.00 × \| 1\.00 × \|/)
  t.regex(text, /bulk construction, vectors\/s, over hnswlib \| 10,000 \| 10,000 \| 1\.00 \| 30 \| 60 \| no \|/)
  t.regex(text, /batch insertion, vectors\/s, over hnswlib \| 10,000 \| 10,000 \| 1\.00 \| 2\.5 \| 5 \| no \|/)
})

test('the page has a plot of each kind, and nothing that must be loaded', (t) => {
  const systems = [system('vicinal'), system('vicinal-rust'), system('hnswlib'), system('omendb', { rows: 5_000 })]
  const text = page(report({ systems, missing: [{ system: 'usearch', reason: '<none>' }], live: LIVE }))
  const { document } = parseHTML(text)
  const titles = [...document.querySelectorAll('figure h3')].map((title) => title.textContent)
  const charts = ['Speed at a recall', 'Build time and recall', 'Memory', 'Latency of a call']
  t.deepEqual(titles, [...charts, 'Queries while it migrates', ...charts])
  t.is(document.querySelectorAll('figure .plot > svg').length, 2 * titles.length)
  t.is(document.querySelectorAll('script, link, img').length, 0)
  t.false(text.includes('NaN'))
  t.true(text.includes('&lt;none&gt;'))
  t.true(text.includes('a &lt;CPU&gt;'))
})

test('what cannot be is refused', (t) => {
  t.throws(() => parseOptions(['--set', 'unknown']), { message: /expected one of sample, sift-photos-1m/ })
  t.throws(() => parseOptions(['--systems', 'unknown']), {
    message: /expected some of vicinal, vicinal-inserted, vicinal-rust/,
  })
  t.throws(() => parseOptions(['--rows', 'x']), { message: /--rows x/ })
  t.throws(() => parseOptions(['--base', 'a.fvecs', '--metric', 'ip']), { message: /expected l2 or cosine/ })
  t.is(parseOptions(['--help']), undefined)
})

test('without a larger set the sample is measured, and that is said', (t) => {
  const { plans, skipped } = parseOptions(['--peers', '--data', 'nowhere'])!
  t.is(plans[0]!.source.name, 'sample')
  t.regex(skipped[0]!, /^sift-photos-1m is skipped/)
})
