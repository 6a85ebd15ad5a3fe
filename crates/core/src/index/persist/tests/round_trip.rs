//! What was saved is what is loaded.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::*;
use crate::error::Error;
use crate::work::{Phase, Progress};

#[test]
fn a_loaded_index_answers_alike_and_saves_the_same_bytes() {
    for id_type in [IdType::Number, IdType::BigInt, IdType::String] {
        for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
            for life in LIVES {
                let index = live_through(life, options(id_type, metric));
                let bytes = saved(&index);
                let again = loaded(&bytes).unwrap();
                assert_alike(&again, &index, &format!("{id_type:?} {metric:?} {life:?}"));
                assert!(saved(&again) == bytes, "{id_type:?} {metric:?} {life:?}: other bytes");
            }
        }
    }
}

#[test]
fn a_loaded_index_lives_on_as_the_saved_one_would() {
    for life in LIVES {
        let index = live_through(life, options(IdType::String, Metric::L2));
        let again = loaded(&saved(&index)).unwrap();
        for index in [&index, &again] {
            add(index, 100..150);
            remove(index, (0..150).step_by(4));
            index.migrate(&Work::default()).unwrap();
            add(index, 200..210);
        }
        assert_alike(&again, &index, &format!("{life:?}"));
        assert!(saved(&again) == saved(&index), "{life:?}: other bytes");
    }
}

#[test]
fn every_option_but_threads_is_kept() {
    let given = Options {
        dimensions: 5,
        metric: Metric::Cosine,
        id_type: IdType::BigInt,
        dtype: Dtype::I8,
        m: Some(9),
        ef_construction: 33,
        ef: 44,
        threshold: Some(55),
        chunk_size: 66,
        auto_migrate: true,
        threads: Some(2),
        seed: u64::MAX,
        capacity: 77,
    };
    let bytes = saved(&Index::new(given.clone()).unwrap());
    assert_eq!(loaded(&bytes).unwrap().options(), &Options { threads: None, ..given.clone() });
    let disk = Simulated::with(NAME, &bytes);
    let load = |threads| load(&disk, Path::new(NAME), Opening { threads, id_type: None }, &Work::default());
    assert_eq!(load(Some(2)).unwrap().options(), &given);
    assert!(matches!(load(Some(0)), Err(Error::InvalidArgument { name: "threads", .. })));

    let given = Options { m: None, threshold: None, auto_migrate: false, ..given };
    let bytes = saved(&Index::new(given.clone()).unwrap());
    assert_eq!(loaded(&bytes).unwrap().options(), &Options { threads: None, ..given });
}

#[test]
fn the_callers_id_type_is_checked() {
    let bytes = saved(&live_through(Life::Exact, options(IdType::String, Metric::L2)));
    let disk = Simulated::with(NAME, &bytes);
    let load =
        |id_type| load(&disk, Path::new(NAME), Opening { threads: None, id_type: Some(id_type) }, &Work::default());
    assert!(load(IdType::String).is_ok());
    let message = load(IdType::Number).map(|_| ()).unwrap_err().to_string();
    assert_eq!(message, "idType: got number, expected string, as the index was saved");
}

#[test]
fn what_waited_goes_on_by_itself_after_loading() {
    let index = live_through(Life::Full, Options { auto_migrate: true, ..options(IdType::Number, Metric::L2) });
    index.pause_migration().unwrap();
    add(&index, 300..340);
    assert_eq!(rest(&index).state, MigrationState::Paused);
    let again = loaded(&saved(&index)).unwrap();
    let migration = rest(&again);
    assert_eq!((migration.state, migration.migrated), (MigrationState::Graph, index.len()));
    assert_eq!(again.verify(100, 5, None, &Work::default()).unwrap().unreachable, 0);
}

#[test]
fn a_loaded_graph_grows_as_if_it_had_never_been_saved() {
    let index = live_through(Life::Graph, options(IdType::Number, Metric::L2));
    let again = loaded(&saved(&index)).unwrap();
    for index in [&index, &again] {
        add(index, 200..203);
        index.migrate(&Work::default()).unwrap();
    }
    assert_eq!(index.graph_hash(), again.graph_hash(), "few rows are inserted, into either");
}

#[test]
fn rows_longer_than_a_unit_and_long_ids_are_streamed() {
    let text = |number: u64| "x".repeat(1_000_000 + number as usize);
    let texts: Vec<String> = (0..3).map(text).collect();
    let ids = Ids::Texts(texts.iter().map(String::as_str).collect());
    let index = Index::new(Options { id_type: IdType::String, ..Options::new(65_536) }).unwrap();
    let rows: Vec<f32> = (0..3 * 65_536).map(|value| value as f32).collect();
    index.add(&ids, &rows, &Work::default()).unwrap();
    let again = loaded(&saved(&index)).unwrap();
    assert_eq!(again.get_many(&ids).unwrap(), index.get_many(&ids).unwrap());
}

#[test]
fn progress_counts_rows_and_ends_with_all() {
    let index = Index::new(Options::new(16)).unwrap();
    let count = 40_000;
    let rows: Vec<f32> = (0..count * 16).map(|value| value as f32).collect();
    index.pause_migration().unwrap();
    index.add(&Ids::Keys((0..count as u64).collect()), &rows, &Work::default()).unwrap();
    let seen: Arc<Mutex<Vec<Progress>>> = Arc::default();
    let collector = seen.clone();
    let work = Work {
        on_progress: Some(Arc::new(move |progress| collector.lock().unwrap().push(progress))),
        ..Work::default()
    };
    let disk = Simulated::new();
    let check = |phase| {
        let seen = std::mem::take(&mut *seen.lock().unwrap());
        assert!(seen.len() > 3 && seen.is_sorted_by_key(|progress| progress.done), "{seen:?}");
        assert!(seen.iter().all(|progress| (progress.phase, progress.total) == (phase, count)), "{seen:?}");
        assert_eq!((seen[0].done, seen[seen.len() - 1].done), (0, count));
    };
    index.inner().save(&disk, Path::new(NAME), &work).unwrap();
    check(Phase::Write);
    load(&disk, Path::new(NAME), Opening::default(), &work).unwrap();
    check(Phase::Read);
}
