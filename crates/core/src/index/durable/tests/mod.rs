mod damage;
mod faults;
mod histories;
mod inspect;
mod mutations;
mod opening;

use std::path::Path;
use std::sync::Arc;

use super::{Durability, open, open_to_read};
use crate::error::Result;
use crate::ids::Ids;
use crate::index::Index;
use crate::options::{GivenOptions, IdType, Options};
use crate::storage::simulated::Simulated;
use crate::work::Work;

const DIRECTORY: &str = "index";

fn given(id_type: IdType) -> GivenOptions {
    GivenOptions {
        dimensions: Some(3),
        id_type: Some(id_type),
        m: Some(2),
        ef: Some(4),
        threshold: Some(Some(0)),
        chunk_size: Some(16),
        auto_migrate: Some(false),
        seed: Some(7),
        ..GivenOptions::default()
    }
}

fn open_on(disk: &Simulated, durability: Durability) -> Result<Index> {
    open(Arc::new(disk.clone()), Path::new(DIRECTORY), &given(IdType::Number), durability)
}

fn read_on(disk: &Simulated) -> Result<Index> {
    open_to_read(disk, Path::new(DIRECTORY), &GivenOptions::default())
}

/// A generator of its own, so that a seed is a history for good.
struct Random(u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.bits() % count as u64) as usize
    }
}

fn row(seed: u64) -> [f32; 3] {
    let mut random = Random(seed);
    [0; 3].map(|_| (random.bits() >> 40) as f32 / (1u64 << 23) as f32 - 1.0)
}

/// What an index holds: ids in insertion order with their rows.
type Contents = Vec<(u64, Vec<f32>)>;

fn contents(index: &Index) -> Contents {
    let ids = index.keys().unwrap().next_block(usize::MAX).unwrap();
    let (rows, found) = index.get_many(&ids).unwrap();
    assert!(found.iter().all(|&found| found == 1));
    let Ids::Keys(keys) = ids else { panic!("ids are numbers") };
    keys.into_iter().zip(rows.chunks(3).map(<[f32]>::to_vec)).collect()
}

/// One write.
#[derive(Debug, Clone)]
enum Write {
    Add(Vec<u64>, u64),
    Upsert(Vec<u64>, u64),
    Remove(Vec<u64>),
    Clear,
}

impl Write {
    /// A write of some of 40 ids that fits `contents`.
    fn random(random: &mut Random, contents: &Contents) -> Self {
        let mut ids: Vec<u64> = (0..40).collect();
        for at in 0..ids.len() {
            let other = at + random.below(ids.len() - at);
            ids.swap(at, other);
        }
        let count = if random.below(8) == 0 { 30 } else { 1 + random.below(5) };
        match random.below(20) {
            0..8 => {
                ids.retain(|id| contents.iter().all(|(other, _)| other != id));
                ids.truncate(count);
                Self::Add(ids, random.bits())
            }
            8..14 => {
                ids.truncate(count);
                Self::Upsert(ids, random.bits())
            }
            14..19 => {
                ids.truncate(count);
                // Some twice.
                ids.extend_from_within(..1);
                Self::Remove(ids)
            }
            _ => Self::Clear,
        }
    }

    fn rows(ids: &[u64], seed: u64) -> Vec<Vec<f32>> {
        ids.iter().map(|id| row(seed ^ id).to_vec()).collect()
    }

    fn apply(&self, contents: &mut Contents) {
        match self {
            Self::Add(ids, seed) | Self::Upsert(ids, seed) => {
                contents.retain(|(id, _)| !ids.contains(id));
                contents.extend(ids.iter().copied().zip(Self::rows(ids, *seed)));
            }
            Self::Remove(ids) => contents.retain(|(id, _)| !ids.contains(id)),
            Self::Clear => contents.clear(),
        }
    }

    fn run(&self, index: &Index) -> Result<()> {
        let keys = |ids: &[u64]| Ids::Keys(ids.to_vec());
        match self {
            Self::Add(ids, seed) => index.add(&keys(ids), &Self::rows(ids, *seed).concat(), &Work::default()),
            Self::Upsert(ids, seed) => index.upsert(&keys(ids), &Self::rows(ids, *seed).concat(), &Work::default()),
            Self::Remove(ids) => index.remove(&keys(ids)).map(|_| ()),
            Self::Clear => index.clear(),
        }
    }
}

/// Checks what cannot be seen in the contents.
fn assert_sound(index: &Index) {
    let verified = index.verify(50, 3, None, &Work::default()).unwrap();
    assert_eq!(verified.unreachable, 0);
    let live = index.stats().unwrap().live;
    assert_eq!(live, index.len());
}

/// Options as they are stored.
fn stored() -> Options {
    given(IdType::Number).complete().unwrap()
}

/// The first file whose name has `kind` in it.
fn path_of(disk: &Simulated, kind: &str) -> String {
    let is_it = |path: &&std::path::PathBuf| path.to_str().unwrap().contains(kind);
    disk.names().iter().find(is_it).unwrap().to_str().unwrap().to_string()
}

/// The disk with other bytes at `path`.
fn with(disk: &Simulated, path: &str, bytes: &[u8]) -> Simulated {
    let disk = disk.after_crash();
    disk.put(Path::new(path), bytes);
    disk
}
