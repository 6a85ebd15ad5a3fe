// Measures one set: all systems build one after the other, then they take turns to search.
import { entries, type Entry, type Spec } from './systems.js'
import { Driver } from './driver.js'
import { median } from './curves.js'
import type { Input } from './prepare.js'
import { whyMissing } from './peers.js'
import { root } from './programs.js'
import { progress } from './progress.js'
import type { Build, Live, Overhead, Point, Run, Settings, Speed, System, Way } from './report.js'

/** Where the overhead of a call from Node is taken. */
const OVERHEAD_EF = 64

/** A program that has built, and what it has said so far. */
interface Candidate {
  entry: Entry
  driver: Driver
  system: System
}

type Missing = Run['missing'][number]

export async function measure(input: Input, chosen: readonly Spec[], settings: Settings): Promise<Run> {
  const missing: Missing[] = []
  const wanted = entries(chosen, input.info)
  // Truth is computed before anything is measured.
  for (const { rows } of wanted) input.programArguments(rows)

  let candidates: Candidate[] = []
  for (const entry of wanted) {
    const candidate = await attempt(entry, missing, () => build(entry, input))
    if (candidate !== undefined) candidates.push(candidate)
  }
  /** Goes on without those that fail. */
  const each = async (work: (candidate: Candidate) => Promise<unknown>): Promise<void> => {
    const going: Candidate[] = []
    for (const candidate of candidates) {
      const done = await attempt(candidate.entry, missing, async () => [await work(candidate)])
      if (done === undefined) await candidate.driver.close()
      else going.push(candidate)
    }
    candidates = going
  }

  await each((candidate) => measureRecall(candidate, settings))
  await searchInTurns(each, settings)
  const full = candidates.find(({ entry }) => entry.spec.id === 'vicinal' && entry.rows === input.info.rows)
  for (const { driver } of candidates) if (driver !== full?.driver) await driver.close()
  const alone = full === undefined ? { overhead: null, live: null } : await measureAlone(full)
  await full?.driver.close()
  return { data: input.info, systems: candidates.map(({ system }) => system), missing, ...alone }
}

async function build(entry: Entry, input: Input): Promise<Candidate> {
  const { id, name, ours, way, program } = entry.spec
  const { rows } = entry
  const reason = ours ? undefined : whyMissing(id)
  if (reason !== undefined) throw new Error(reason)
  progress(`${name}: building a graph of ${rows} rows`)
  const driver = new Driver(program(id), input.programArguments(rows))
  try {
    const { version } = await driver.ask<{ version?: string | null }>('open')
    const { parameters, ...built } = await driver.ask<Omit<Build, 'vectorsPerSecond'> & Pick<System, 'parameters'>>(
      'build',
    )
    const figures = { ...built, vectorsPerSecond: rows / built.seconds }
    return {
      entry,
      driver,
      system: { id, name, version: version ?? '', ours, rows, parameters, way, build: figures, points: [] },
    }
  } catch (error) {
    await driver.close()
    throw error
  }
}

async function measureRecall({ driver, system }: Candidate, { efs }: Settings): Promise<void> {
  progress(`${system.name}: recall`)
  for (const ef of efs) {
    const { recall, evaluations } = await driver.ask<{ recall: number; evaluations?: number }>(`recall ${ef}`)
    system.points.push({ ef, recall, ways: {}, evaluations: evaluations ?? null })
  }
}

type Answer = Partial<Record<Way, Speed>>

/**
 * Speed at each width: the median of several passes, in each of which the systems take turns, so that whatever else the
 * machine does meets them all.
 */
async function searchInTurns(
  each: (work: (candidate: Candidate) => Promise<unknown>) => Promise<void>,
  { efs, passes }: Settings,
): Promise<void> {
  const answers = new Map<Point, Answer[]>()
  for (let pass = 1; pass <= passes; pass++) {
    progress(`searching, pass ${pass} of ${passes}`)
    for (const [i, ef] of efs.entries()) {
      await each(async ({ driver, system }) => {
        const point = system.points[i]!
        const answer = await driver.ask<Answer>(`search ${ef}`)
        answers.set(point, [...(answers.get(point) ?? []), answer])
      })
    }
  }
  for (const [point, ofPasses] of answers) point.ways = medians(ofPasses)
}

function medians(answers: readonly Answer[]): Answer {
  const ways = Object.entries(answers[0] ?? {}) as [Way, Speed][]
  return Object.fromEntries(
    ways.map(([way, speed]) => {
      const fields = Object.keys(speed) as (keyof Speed)[]
      const middle = (field: keyof Speed): number => median(answers.map((answer) => answer[way]?.[field] ?? NaN))
      return [way, Object.fromEntries(fields.map((field) => [field, middle(field)]))]
    }),
  )
}

/** What only vicinal from Node is asked for, while no other system is there. */
async function measureAlone({ driver, system: { name } }: Candidate): Promise<Pick<Run, 'overhead' | 'live'>> {
  progress(`${name}: searchSync beside Rust calls`)
  const overhead = await driver.ask<Overhead>(`overhead ${OVERHEAD_EF}`)
  progress(`${name}: migrating while queried`)
  return { overhead, live: await driver.ask<Live>('live') }
}

/** What the work gives; undefined, and the reason noted, where a peer fails. That of the index itself ends the run. */
async function attempt<Result>(
  { spec: { name, ours } }: Entry,
  missing: Missing[],
  work: () => Promise<Result>,
): Promise<Result | undefined> {
  try {
    return await work()
  } catch (error) {
    if (ours) throw error
    // The first line, and no path of this machine, since reports are read elsewhere.
    const reason = (error as Error).message.split('\n', 1)[0]!.replaceAll(root, '')
    progress(`${name} is left out: ${reason}`)
    missing.push({ system: name, reason })
    return undefined
  }
}
