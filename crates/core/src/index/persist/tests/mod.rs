mod damage;
mod files;
mod inspect;
mod mutations;
mod round_trip;
mod seal;
mod view;

use std::path::Path;

use super::{Opening, load};
use crate::distance::Dtype;
use crate::error::Result;
use crate::ids::{Id, Ids};
use crate::index::{Index, Migration, MigrationState};
use crate::options::{IdType, Metric, Options, SearchOptions};
use crate::storage::simulated::Simulated;
use crate::work::Work;

const NAME: &str = "index.vicinal";

/// What an index of the tests has been through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Empty,
    /// No graph.
    Exact,
    /// All rows in the graph.
    Graph,
    /// Some rows wait; some are equal, some removed or replaced, in the graph and out of it.
    Full,
    /// A graph, and no live row.
    Removed,
}

const LIVES: [Life; 5] = [Life::Empty, Life::Exact, Life::Graph, Life::Full, Life::Removed];

fn options(id_type: IdType, metric: Metric) -> Options {
    Options {
        id_type,
        metric,
        m: Some(2),
        ef: 4,
        threshold: Some(0),
        chunk_size: 16,
        auto_migrate: false,
        seed: 7,
        ..Options::new(3)
    }
}

fn id_list(id_type: IdType, numbers: impl Iterator<Item = u64>) -> Ids {
    match id_type {
        IdType::Number => Ids::Keys(numbers.map(|number| (number as i64 - 5) as u64).collect()),
        IdType::BigInt => Ids::Keys(numbers.map(|number| u64::MAX - number).collect()),
        IdType::String => {
            let texts: Vec<String> =
                numbers.map(|number| "ä".repeat(number as usize % 5) + &number.to_string()).collect();
            Ids::Texts(texts.iter().map(String::as_str).collect())
        }
    }
}

/// Row `number`: pseudo-random, every seventh equal to an earlier one.
fn row(number: u64) -> [f32; 3] {
    let number = if number % 7 == 6 { number / 2 } else { number };
    let mut z = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03;
    [0; 3].map(|_| {
        z = (z ^ (z >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (z >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    })
}

fn rows(numbers: impl Iterator<Item = u64>) -> Vec<f32> {
    numbers.flat_map(row).collect()
}

/// The same as an index can keep them.
fn rows_of(index: &Index, numbers: impl Iterator<Item = u64>) -> Vec<f32> {
    let mut rows = rows(numbers);
    match index.options().dtype {
        Dtype::F32 | Dtype::F16 => {}
        Dtype::I8 => rows.iter_mut().for_each(|value| *value = (*value * 120.0).round()),
        Dtype::U8 => rows.iter_mut().for_each(|value| *value = (*value * 120.0 + 120.0).round()),
    }
    rows
}

fn add(index: &Index, numbers: std::ops::Range<u64>) {
    let ids = id_list(index.options().id_type, numbers.clone());
    index.add(&ids, &rows_of(index, numbers), &Work::default()).unwrap();
}

fn remove(index: &Index, numbers: impl Iterator<Item = u64>) {
    index.remove(&id_list(index.options().id_type, numbers)).unwrap();
}

fn live_through(life: Life, options: Options) -> Index {
    let exact = Options { threshold: None, ..options.clone() };
    let index = Index::new(if life == Life::Exact { exact } else { options }).unwrap();
    if life == Life::Empty {
        return index;
    }
    add(&index, 0..60);
    index.migrate(&Work::default()).unwrap();
    match life {
        Life::Full => {
            add(&index, 60..75);
            remove(&index, (3..75).step_by(9));
            let replaced = id_list(index.options().id_type, 20..24);
            index.upsert(&replaced, &rows_of(&index, 40..44), &Work::default()).unwrap();
        }
        Life::Removed => remove(&index, 0..60),
        Life::Empty | Life::Exact | Life::Graph => {}
    }
    index
}

fn saved(index: &Index) -> Vec<u8> {
    let disk = Simulated::new();
    index.inner().save(&disk, Path::new(NAME), &Work::default()).unwrap();
    assert_eq!(disk.names(), [Path::new(NAME)]);
    disk.read(NAME).unwrap()
}

/// What a power loss leaves at worst, and at best.
fn after_power_loss(disk: &Simulated) -> [Option<Vec<u8>>; 2] {
    [false, true].map(|keeps| disk.after_power_loss(|| keeps).read(NAME))
}

fn loaded(bytes: &[u8]) -> Result<Index> {
    load(&Simulated::with(NAME, bytes), Path::new(NAME), Opening::default(), &Work::default())
}

/// The migration's state once its thread, which may have a moment to go after the last row is moved, is at rest.
fn rest(index: &Index) -> Migration {
    while index.migration().state == MigrationState::Migrating {
        std::thread::yield_now();
    }
    index.migration()
}

fn assert_alike(index: &Index, other: &Index, what: &str) {
    for (mine, others) in answers(index).into_iter().zip(answers(other)) {
        assert_eq!(mine, others, "{what}");
    }
}

/// All that can be asked of an index, in words.
fn answers(index: &Index) -> Vec<String> {
    let mut answers = vec![format!("{:?} {:?}", index.options(), rest(index))];
    let stats = index.stats().unwrap();
    answers.push(format!("{} {} {} {:?} {}", stats.live, stats.removed, stats.tail, stats.levels, stats.mean_degree));
    answers.push(format!("{:?}", index.verify(100, 5, None, &Work::default()).unwrap()));
    answers.push(format!("{:?}", index.keys().unwrap().next_block(usize::MAX).unwrap()));
    for number in 0..30 {
        for exact in [false, true] {
            let options = SearchOptions { k: 7, exact, ..SearchOptions::default() };
            answers.push(format!("{:?}", index.search(&row(number * 5 + 1), &options).unwrap()));
        }
    }
    let ids = id_list(index.options().id_type, 0..80);
    let has = |id: Id<'_>| index.has(id).unwrap();
    answers.push(format!("{:?} {:?}", index.get_many(&ids).unwrap(), ids.iter().map(has).collect::<Vec<_>>()));
    answers
}
