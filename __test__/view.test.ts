import test from 'ava'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { VectorIndex, type Dtype, type Id, type IndexOptions } from 'vicinal'
import { contents } from './helpers/contents.js'
import { range, vectors } from './helpers/data.js'
import { temporaryDirectory } from './helpers/files.js'

const directory = await temporaryDirectory()
let files = 0

function newFile(): string {
  return path.join(directory, `${files++}.index`)
}

function make(options: IndexOptions): VectorIndex {
  return new VectorIndex(options as { dimensions: number })
}

/** Rows of which some wait, some are removed and some replaced. */
async function lived(options: IndexOptions, name: (i: number) => Id = (i) => i): Promise<VectorIndex> {
  const index = make({ threshold: 300, migration: 'manual', ef: 33, ...options })
  const named = (from: number, count: number): number[] => range(count, from).map(name) as number[]
  const rows = (count: number, seed: number): Float32Array => {
    const values = vectors(count, options.dimensions, seed)
    const whole = options.dtype === 'u8' || options.dtype === 'i8'
    return whole ? values.map((value) => Math.round(Math.abs(value) * 20) % 100) : values
  }
  await index.add(named(0, 1_000), rows(1_000, 1))
  await index.migrate()
  await index.add(named(1_000, 50), rows(50, 2))
  await index.remove(named(100, 50))
  await index.upsert(named(140, 30), rows(30, 3))
  return index
}

const kinds: [Dtype, IndexOptions['idType'], (i: number) => Id][] = [
  ['f32', 'number', (i) => i - 7],
  ['f16', 'bigint', (i) => 2n ** 64n - 1n - BigInt(i)],
  ['u8', 'string', (i) => `${'é😀'.repeat(i % 5)}${i}`],
  ['i8', 'number', (i) => i],
]

for (const [dtype, idType, name] of kinds) {
  for (const metric of ['l2', 'cosine', 'ip'] as const) {
    test(`a view of ${dtype} rows under ${metric} with ${idType} ids is the index`, async (t) => {
      const index = await lived({ dimensions: 19, dtype, idType, metric } as IndexOptions, name)
      const file = newFile()
      await index.save(file)
      const bytes = await readFile(file)
      t.deepEqual(Buffer.from(await index.toBytes()), bytes)
      const view = await VectorIndex.view(file, { idType })
      const copy = await VectorIndex.fromBytes(bytes)
      for (const one of [view, copy]) {
        t.like(one, { dimensions: 19, metric, idType, dtype, size: index.size })
        t.deepEqual(await contents(one), await contents(index))
        t.deepEqual([...one.keys()], [...index.keys()])
        const queries = vectors(40, 19, 5)
        t.deepEqual(await one.searchBatch(queries, { k: 5 }), await index.searchBatch(queries, { k: 5 }))
        const filter = range(400, 0).map(name) as number[]
        const set = { one: await one.idSet(filter), index: await index.idSet(filter) }
        const query = queries.slice(0, 19)
        t.deepEqual(await one.search(query, { filter: set.one }), await index.search(query, { filter: set.index }))
        t.deepEqual(one.searchSync(query, { exact: true }), index.searchSync(query, { exact: true }))
        t.deepEqual(await one.searchById(filter[3]!), await index.searchById(filter[3]!))
        t.deepEqual(await one.verify({ samples: 50 }), await index.verify({ samples: 50 }))
        t.deepEqual(one.stats().levels, index.stats().levels)
        t.deepEqual(Buffer.from(await one.toBytes()), bytes)
      }
      t.deepEqual(view.migration, { ...index.migration, state: 'paused' })
      await view.close()
    })
  }
}

test('a view refuses what would change it', async (t) => {
  const index = await lived({ dimensions: 4 })
  const file = newFile()
  await index.save(file)
  const view = await VectorIndex.view(file)
  const rows = vectors(1, 4)
  const refused: (() => unknown)[] = [
    () => view.add([5_000], rows),
    () => view.upsert([5_000], rows),
    () => view.addSync([5_000], rows),
    () => view.remove([1]),
    () => view.clear(),
    () => view.migrate(),
    () => view.migrateStep(),
    () => view.pauseMigration(),
    () => view.resumeMigration(),
    () => view.flush(),
    () => view.checkpoint(),
    () => view.compact(),
  ]
  for (const [number, call] of refused.entries()) {
    const error = await t.throwsAsync(async () => await call(), { name: 'VicinalError' })
    t.like(error, { code: 'ERR_READ_ONLY' }, `call ${number}`)
  }
  t.is(view.size, index.size)
  await view.close()
  await t.throwsAsync(view.search(rows), { code: 'ERR_CLOSED' } as object)
})

test('a search that meets damage fails, and others do not', async (t) => {
  const index = make({ dimensions: 64, threshold: 300, migration: 'manual' })
  const rows = vectors(4_000, 64)
  await index.add(range(4_000), rows)
  await index.migrate()
  const bytes = await index.toBytes()
  const damaged = new Uint8Array(bytes)
  // Values of the last row: the rows are the last section, before their 16 checksums.
  damaged[damaged.length - 16 * 8 - 4]! ^= 1
  const file = newFile()
  await writeFile(file, damaged)
  await t.throwsAsync(VectorIndex.load(file), { code: 'ERR_CORRUPT' } as object)
  await t.throwsAsync(VectorIndex.fromBytes(damaged), { code: 'ERR_CORRUPT' } as object)
  const view = await VectorIndex.view(file)
  const corrupt = { code: 'ERR_CORRUPT', message: /block 15 of section 14/ } as object
  await t.throwsAsync(view.searchById(3_999), corrupt)
  t.throws(() => view.get(3_999), corrupt)
  t.throws(() => view.searchSync(rows.slice(0, 64), { exact: true }), corrupt)
  t.deepEqual(view.get(0), rows.slice(0, 64))
  t.true(view.has(3_999))
  const results = await Promise.allSettled(range(200).map((id) => view.searchById(id, { k: 1 })))
  for (const [id, result] of results.entries()) {
    if (result.status === 'fulfilled') t.deepEqual(result.value, await index.searchById(id, { k: 1 }))
    else t.like(result.reason, { code: 'ERR_CORRUPT' })
  }
  t.true(results.some(({ status }) => status === 'fulfilled'))
  await t.throwsAsync(view.save(newFile()), corrupt)
  await t.throwsAsync(view.toBytes(), corrupt)
})

test('a view keeps the file that was replaced, also in a place with spaces and Unicode', async (t) => {
  const place = path.join(directory, 'ein Ort für Vektoren 😀')
  await mkdir(place)
  const file = path.join(place, 'a b.index')
  const index = await lived({ dimensions: 6 })
  await index.save(file)
  const view = await VectorIndex.view(file)
  await make({ dimensions: 3 }).save(file)
  t.deepEqual(await contents(view), await contents(index))
  const other = await VectorIndex.view(file)
  t.is(other.size, 0)
})

test('arguments are checked, and bytes are copied at the call', async (t) => {
  const index = await lived({ dimensions: 6 })
  const bytes = await index.toBytes()
  const invalid = { code: 'ERR_INVALID_ARGUMENT' } as object
  await t.throwsAsync(VectorIndex.fromBytes('bytes' as unknown as Uint8Array), invalid)
  await t.throwsAsync(VectorIndex.fromBytes(new Float32Array(9) as unknown as Uint8Array), invalid)
  await t.throwsAsync(VectorIndex.fromBytes(bytes, { idType: 'string' }), invalid)
  await t.throwsAsync(VectorIndex.view(''), invalid)
  await t.throwsAsync(VectorIndex.view(path.join(directory, 'none')), { code: 'ERR_IO' } as object)
  await t.throwsAsync(VectorIndex.fromBytes(new Uint8Array(0)), { code: 'ERR_CORRUPT' } as object)
  const given = bytes.slice()
  const loading = VectorIndex.fromBytes(given)
  given.fill(0)
  t.is((await loading).size, index.size)
  const aborted = AbortSignal.abort(new Error('enough'))
  await t.throwsAsync(index.toBytes({ signal: aborted }), { message: 'enough' })
  const phases = new Set<string>()
  await index.toBytes({ onProgress: ({ phase }) => phases.add(phase) })
  t.deepEqual([...phases], ['write'])
})
