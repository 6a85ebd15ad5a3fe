// What was measured, as Markdown.

/** Recall and queries a second of every library at every ef. */
export function searchTable({ efs, recalls, searches: { vicinal, hnswlib, faiss } }) {
  const columns = [
    ['ef', efs],
    ['vicinal recall', recalls.vicinal.map(share)],
    ['Rust', vicinal.rust.map(whole)],
    ['searchSync', vicinal.single.map(whole)],
    ['searchBatch', vicinal.batch.map(whole)],
    ['on 2 threads', vicinal.batch2.map(whole)],
    ['hnswlib recall', recalls.hnswlib.map(share)],
    ['a call each', hnswlib.single.map(whole)],
    ['batch', hnswlib.batch.map(whole)],
    ['Faiss recall', recalls.faiss.map(share)],
    ['a call each', faiss.single.map(whole)],
    ['batch', faiss.batch.map(whole)],
  ]
  const head = columns.map(([name]) => name)
  const body = efs.map((_, i) => columns.map(([, cells]) => cells[i]))
  return `Queries a second, on one thread unless said otherwise:\n\n${markdown(head, body)}`
}

/** The figures that the project holds itself to. */
export function figureTable(result) {
  const head = ['what', 'vicinal', 'compared with', 'figure', 'at least', 'aim', 'reached']
  const rows = [...insertion(result), ...queries(result), ...background(result), memory(result)]
  return markdown(
    head,
    rows.map((row) => [
      row.what,
      row.ours,
      row.other,
      row.figure.toFixed(row.digits ?? 2),
      row.least,
      row.aim,
      reached(row),
    ]),
  )
}

function insertion({ efs, builds: { vicinal, hnswlib, faiss }, recalls }) {
  const against = (peer, name) => ({
    what: `batch insertion, vectors/s, over ${name}`,
    ours: whole(rate(vicinal)),
    other: whole(rate(peer)),
    figure: rate(vicinal) / rate(peer),
  })
  const leads = recalls.vicinal.map((recall, i) => recall - recalls.hnswlib[i]).filter((_, i) => efs[i] <= 200)
  const least = Math.min(...leads)
  return [
    { ...against(hnswlib, 'hnswlib'), least: 2.5, aim: 5 },
    against(faiss, 'Faiss'),
    {
      what: 'recall over that of hnswlib, least difference at ef 24…200',
      ours: `at ef ${efs[leads.indexOf(least)]}`,
      figure: least,
      digits: 4,
      least: 0,
    },
  ]
}

function queries({ efs, recalls, searches: { vicinal, hnswlib }, overhead }) {
  const atRecall = (target) => {
    const ours = speedAt(recalls.vicinal, vicinal.rust, target)
    // The batch call is the library's own speed; a call each from Python is slower.
    const theirs = speedAt(recalls.hnswlib, hnswlib.batch, target)
    return {
      what: `queries/s from Rust at recall ${target} over hnswlib`,
      ours: whole(ours),
      other: whole(theirs),
      figure: ours / theirs,
      least: 1.3,
      aim: 2,
    }
  }
  const i = efs.indexOf(overhead.ef)
  return [
    atRecall(0.95),
    atRecall(0.99),
    {
      what: `searchSync over the Rust call at ef ${overhead.ef}, µs more`,
      ours: overhead.sync.toFixed(1),
      other: overhead.rust.toFixed(1),
      figure: overhead.difference,
      least: 3,
      aim: 1,
      smaller: true,
    },
    {
      what: `searchBatch on 2 threads over 1 at ef ${overhead.ef}, queries/s`,
      ours: whole(vicinal.batch2[i]),
      other: whole(vicinal.batch[i]),
      figure: vicinal.batch2[i] / vicinal.batch[i],
      least: 1.8,
      aim: 1.95,
    },
  ]
}

function background({ live: { migration, latency, stream } }) {
  const { exact, migrating, graph } = latency
  // The stricter of the two ways to be idle.
  const idle = Math.min(exact.p99, graph.p99)
  return [
    {
      what: `migration of the first ${migration.rows}, ms, median`,
      ours: (migration.median * 1000).toFixed(0),
      figure: migration.median * 1000,
      digits: 0,
      least: 200,
      aim: 60,
      smaller: true,
    },
    {
      what: 'query p99 while migrating over idle, ms',
      ours: migrating.p99.toFixed(2),
      other: `${idle.toFixed(2)} (exact ${exact.p99.toFixed(2)}, graph ${graph.p99.toFixed(2)})`,
      figure: migrating.p99 / idle,
      least: 3,
      aim: 1.5,
      smaller: true,
    },
    {
      what: `event-loop delay p99 while ${whole(stream.rows)} are added and migrate, ms`,
      ours: stream.eventLoop.p99.toFixed(2),
      other: `longest ${stream.eventLoop.max.toFixed(1)}`,
      figure: stream.eventLoop.p99,
      least: 10,
      aim: 3,
      smaller: true,
    },
  ]
}

function memory({ builds: { vicinal, hnswlib } }) {
  return {
    what: 'memory after building over hnswlib, MB',
    ours: (vicinal.bytes / 1e6).toFixed(1),
    other: (hnswlib.bytes / 1e6).toFixed(1),
    figure: vicinal.bytes / hnswlib.bytes,
    least: 1.2,
    aim: 1,
    smaller: true,
  }
}

/**
 * Queries a second at which a library reaches a recall: between the two neighboring ef, the logarithm of the speed is
 * taken as linear in the recall. The speed at the lowest ef where that is enough already; NaN where no ef is.
 */
function speedAt(recalls, speeds, target) {
  const i = recalls.findIndex((recall) => recall >= target)
  if (i < 0) return NaN
  if (i === 0) return speeds[0]
  const part = (target - recalls[i - 1]) / (recalls[i] - recalls[i - 1])
  return Math.exp(Math.log(speeds[i - 1]) * (1 - part) + Math.log(speeds[i]) * part)
}

function reached({ figure, least, aim, smaller = false }) {
  if (least === undefined) return ''
  const meets = (bound) => (smaller ? figure <= bound : figure >= bound)
  if (!meets(least)) return 'no'
  return aim === undefined || meets(aim) ? 'aim' : 'yes'
}

function rate({ rows, seconds }) {
  return rows / seconds
}

function whole(value) {
  return Math.round(value).toLocaleString('en-US')
}

function share(value) {
  return value.toFixed(4)
}

function markdown(head, body) {
  return [head, head.map(() => '---'), ...body].map(markdownRow).join('\n')
}

function markdownRow(cells) {
  return `| ${cells.map((cell) => cell ?? '').join(' | ')} |`
}
