//! Files that are searched where they are.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::error::Error;

/// A file of these bytes, and its directory, which goes with it.
fn file_of(bytes: &[u8]) -> (TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(NAME);
    fs::write(&path, bytes).unwrap();
    (directory, path)
}

fn view(path: &Path) -> Result<Index> {
    Index::view(path, None, None, &Work::default())
}

#[test]
fn a_view_answers_as_the_saved_index_does_and_saves_the_same_bytes() {
    for dtype in Dtype::ALL {
        for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
            for (id_type, life) in [IdType::Number, IdType::BigInt, IdType::String]
                .into_iter()
                .cycle()
                .zip(LIVES.into_iter().chain([Life::Full]))
            {
                let what = format!("{dtype:?} {id_type:?} {metric:?} {life:?}");
                let index = live_through(life, Options { dtype, ..options(id_type, metric) });
                let bytes = saved(&index);
                assert!(index.to_bytes(&Work::default()).unwrap() == bytes, "{what}: other bytes");
                let (_directory, path) = file_of(&bytes);
                let view = view(&path).unwrap();
                assert_alike(&view, &index, &what);
                assert!(saved(&view) == bytes, "{what}: other bytes of the view");
                let again = Index::from_bytes(bytes, None, None, &Work::default()).unwrap();
                assert_alike(&again, &index, &what);
            }
        }
    }
}

#[test]
fn filters_batches_and_rows_of_a_view_are_those_of_the_index() {
    let index = live_through(Life::Full, options(IdType::String, Metric::Cosine));
    let (_directory, path) = file_of(&saved(&index));
    let view = view(&path).unwrap();
    let ids = id_list(IdType::String, (0..90).step_by(3));
    let answers = |index: &Index| {
        let filter = Some(index.id_set(&ids).unwrap());
        let options = SearchOptions { k: 6, filter, ..SearchOptions::default() };
        let one = index.search(&row(4), &options).unwrap();
        let batch = index.search_batch(rows(0..40), &options, &Work::default()).unwrap();
        let by_id = index.search_by_id(ids.get(2), &SearchOptions { k: 3, ..SearchOptions::default() }).unwrap();
        (one, batch.ids, batch.distances, by_id, index.get(ids.get(5)).unwrap())
    };
    assert_eq!(answers(&view), answers(&index));
}

#[test]
fn a_view_refuses_all_that_would_change_it() {
    let index = live_through(Life::Full, Options { auto_migrate: true, ..options(IdType::Number, Metric::L2) });
    index.pause_migration().unwrap();
    add(&index, 300..340);
    let (_directory, path) = file_of(&saved(&index));
    let view = view(&path).unwrap();
    let (ids, work) = (id_list(IdType::Number, 900..901), Work::default());
    let refused = [
        view.add(&ids, &row(1), &work),
        view.upsert(&ids, &row(1), &work),
        view.remove(&ids).map(drop),
        view.clear(),
        view.migrate(&work).map(drop),
        view.migrate_step(1).map(drop),
        view.resume_migration(),
        view.flush(),
        view.checkpoint(&work),
        view.compact(&work),
    ];
    for (number, refused) in refused.into_iter().enumerate() {
        assert!(matches!(refused, Err(Error::ReadOnly)), "call {number}: {refused:?}");
    }
    assert_eq!(view.migration().state, MigrationState::Paused);
    assert_eq!(view.len(), index.len());
    view.close().unwrap();
    assert!(matches!(view.has(Id::Key(1)), Err(Error::Closed)));
}

#[cfg(target_os = "linux")]
#[test]
fn a_view_that_is_closed_or_dropped_is_mapped_no_longer() {
    let index = live_through(Life::Full, options(IdType::Number, Metric::L2));
    let (_directory, path) = file_of(&saved(&index));
    let is_mapped = || fs::read_to_string("/proc/self/maps").unwrap().contains(path.to_str().unwrap());
    let closed = view(&path).unwrap();
    assert!(is_mapped() && closed.is_view());
    let mut keys = closed.keys().unwrap();
    closed.close().unwrap();
    assert!(is_mapped(), "somebody reads there");
    assert!(!keys.next_block(9).unwrap().is_empty());
    drop(keys);
    assert!(!is_mapped());
    drop(view(&path).unwrap());
    assert!(!is_mapped());
}

#[test]
fn a_view_of_a_file_that_is_replaced_keeps_the_old_one() {
    let index = live_through(Life::Full, options(IdType::Number, Metric::L2));
    let (_directory, path) = file_of(&saved(&index));
    let old = view(&path).unwrap();
    let other = live_through(Life::Empty, options(IdType::Number, Metric::L2));
    other.save(&path, &Work::default()).unwrap();
    assert_alike(&old, &index, "the old file");
    assert_eq!(view(&path).unwrap().len(), 0);
}

/// An index whose sections have several blocks.
fn large() -> Index {
    let index =
        Index::new(Options { m: Some(4), threshold: Some(0), auto_migrate: false, ..Options::new(64) }).unwrap();
    let mut z = 7u64;
    let rows: Vec<f32> = (0..6_000 * 64)
        .map(|_| {
            z = z.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (z >> 40) as f32 / (1u64 << 24) as f32
        })
        .collect();
    index.add(&Ids::Keys((0..6_000).collect()), &rows, &Work::default()).unwrap();
    index.migrate(&Work::default()).unwrap();
    index
}

#[test]
fn only_what_touches_a_damaged_block_fails() {
    let index = large();
    let mut bytes = saved(&index);
    let query = |id: u64| index.get(Id::Key(id)).unwrap().unwrap();
    // The row of the last id, in the last block of the rows.
    let rows = super::damage::section(&bytes, super::super::section::VECTORS);
    bytes[rows.end - 1] ^= 1;
    let (_directory, path) = file_of(&bytes);
    let damaged = view(&path).unwrap();
    let options = SearchOptions { k: 1, ef: Some(8), ..SearchOptions::default() };
    let is_corrupt = |id: u64| match damaged.search(&query(id), &options) {
        Ok(hits) => {
            assert_eq!(hits, index.search(&query(id), &options).unwrap());
            false
        }
        Err(Error::Corrupt { got, .. }) => {
            assert!(got.contains("block 23 of section 14"), "{got}");
            true
        }
        Err(error) => panic!("{error}"),
    };
    let failed = (0..6_000).step_by(60).filter(|&id| is_corrupt(id)).count();
    assert!((1..50).contains(&failed), "{failed} of 100 failed");
    for _ in 0..2 {
        assert!(matches!(damaged.search_by_id(Id::Key(5_999), &options), Err(Error::Corrupt { .. })), "each time");
    }
    assert!(!is_corrupt(0), "a thread that has met damage forgets it");
    assert!(matches!(damaged.get(Id::Key(5_999)), Err(Error::Corrupt { .. })));
    assert!(damaged.get(Id::Key(1)).unwrap().is_some() && damaged.has(Id::Key(5_999)).unwrap());
    assert!(matches!(damaged.get_many(&Ids::Keys(vec![1, 5_999])), Err(Error::Corrupt { .. })));
    assert!(matches!(damaged.verify(10, 1, None, &Work::default()), Err(Error::Corrupt { .. })));
    let batch = |id, options| damaged.search_batch(query(id), options, &Work::default());
    let exact = SearchOptions { exact: true, ..options.clone() };
    assert!(batch(0, &options).is_ok() && matches!(batch(0, &exact), Err(Error::Corrupt { .. })));
    let other = path.with_extension("other");
    assert!(matches!(damaged.save(&other, &Work::default()), Err(Error::Corrupt { .. })));
    assert!(matches!(damaged.to_bytes(&Work::default()), Err(Error::Corrupt { .. })));
    assert!(!other.exists());
}

#[test]
fn damage_of_any_section_is_found_by_what_reads_it() {
    use super::super::section as id;

    let search = |view: &Index, exact| view.search(&row(3), &SearchOptions { k: 3, exact, ..SearchOptions::default() });
    let number = id_list(IdType::String, 7..8);
    for dtype in [Dtype::F32, Dtype::U8] {
        let index = live_through(Life::Full, Options { dtype, ..options(IdType::String, Metric::Cosine) });
        let bytes = saved(&index);
        for section in super::damage::sections(&bytes) {
            let mut bytes = bytes.clone();
            let range = super::damage::section(&bytes, section);
            if range.is_empty() {
                continue;
            }
            bytes[range.start] ^= 4;
            let (_directory, path) = file_of(&bytes);
            let is_read_at_once = [id::REMOVED, id::GROUPS, id::NODES, id::LEVELS, id::CENTER].contains(&section);
            let outcome = match view(&path) {
                Err(error) if is_read_at_once => Err(error),
                Err(error) => panic!("section {section}: {error}"),
                Ok(view) if section == id::TABLE => view.has(number.get(0)).map(drop),
                // Nothing else must do.
                Ok(view) => search(&view, false).map(drop),
            };
            let error = outcome.unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "{dtype:?}, section {section}: {error}");
            if !is_read_at_once {
                let view = view(&path).unwrap();
                let is_of_rows = [id::IDS, id::TEXTS, id::VECTORS, id::TERMS, id::NORMS].contains(&section);
                assert_eq!(search(&view, true).is_err(), is_of_rows, "{dtype:?}, section {section}");
                assert_eq!(
                    view.to_bytes(&Work::default()).is_err(),
                    section != id::TABLE,
                    "{dtype:?}, section {section}"
                );
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn a_view_of_something_else_is_an_error() {
    let (directory, path) = file_of(&[3; 9_000]);
    assert!(matches!(view(&path), Err(Error::Corrupt { .. })));
    fs::write(&path, []).unwrap();
    assert!(matches!(view(&path), Err(Error::Corrupt { .. })));
    assert!(matches!(view(directory.path()), Err(Error::Io { operation: "opening", .. })));
    assert!(matches!(view(&directory.path().join("none")), Err(Error::Io { operation: "opening", .. })));
}

/// Writes zeros as holes, which take no place on the disk.
struct Sparse(fs::File);

impl std::io::Write for Sparse {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.iter().all(|&byte| byte == 0) {
            let by = bytes.len() as i64;
            std::io::Seek::seek(&mut self.0, std::io::SeekFrom::Current(by))?;
            return Ok(bytes.len());
        }
        self.0.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl std::io::Read for Sparse {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        self.0.read(bytes)
    }
}

impl std::io::Seek for Sparse {
    fn seek(&mut self, to: std::io::SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

impl crate::storage::DiskFile for Sparse {
    fn length(&self) -> std::io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> std::io::Result<()> {
        crate::storage::DiskFile::read_at(&self.0, bytes, offset)
    }

    fn sync(&self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(target_pointer_width = "64")]
#[test]
fn rows_beyond_4_gib_are_where_they_are() {
    use crate::ids::IdMap;
    use crate::storage::{FileName, FileWriter, Header, Part};

    const SLOTS: usize = 17_000;
    let options = Options { threshold: None, ..Options::new(65_536) };
    let (directory, path) = file_of(&[]);
    let mut file = Sparse(fs::File::options().read(true).write(true).open(&path).unwrap());
    let work = Work::default();
    let mut out = FileWriter::new(&mut file, FileName(&path), &work).unwrap();
    let mut table: Vec<u64> =
        (0..SLOTS as u64).map(|slot| u64::from(IdMap::stored_hash(Id::Key(slot))) << 32 | slot).collect();
    table.sort_unstable();
    let part = |id, element: usize, length: usize| Part { id, element: element as u32, length: length as u64 };
    use super::super::section as id;
    out.section(part(id::REMOVED, 8, SLOTS.div_ceil(64) * 8), |out| out.put_zeros(SLOTS.div_ceil(64) * 8)).unwrap();
    let ids = 0..SLOTS as u64;
    out.section(part(id::IDS, 8, SLOTS * 8), |out| ids.clone().try_for_each(|id| out.put_u64(id))).unwrap();
    out.section(part(id::TABLE, 8, SLOTS * 8), |out| table.iter().try_for_each(|&entry| out.put_u64(entry))).unwrap();
    out.section(part(id::GROUPS, 8, 0), |_| Ok(())).unwrap();
    let last: Vec<f32> = (0..65_536u32).map(|value| value as f32).collect();
    out.section(part(id::VECTORS, 4, SLOTS << 18), |out| {
        out.put_zeros((SLOTS - 1) << 18)?;
        out.put_values(&last)
    })
    .unwrap();
    let length = out.finish(Header::new(&options, SLOTS, SLOTS, None)).unwrap();
    assert!(length > 4 << 30);
    let view = view(&path).unwrap();
    assert_eq!(view.len(), SLOTS);
    let id = SLOTS as u64 - 1;
    assert_eq!(view.get(Id::Key(id)).unwrap(), Some(last.clone()));
    assert_eq!(view.get(Id::Key(16_900)).unwrap(), Some(vec![0.0; 65_536]));
    let filter = Some(view.id_set(&Ids::Keys(vec![3, id])).unwrap());
    let found = view.search(&last, &SearchOptions { k: 1, filter, ..SearchOptions::default() }).unwrap();
    assert_eq!((found.ids, found.distances), (Ids::Keys(vec![id]), vec![0.0]));
    drop(directory);
}
