//! The old file or the new one, whatever fails.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::error::Error;

fn names(directory: &Path) -> Vec<PathBuf> {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_failing_disk_leaves_the_old_file_and_nothing_else() {
    let index = live_through(Life::Full, options(IdType::String, Metric::L2));
    let before = saved(&index);
    add(&index, 400..401);
    let after = saved(&index);
    for for_good in [false, true] {
        for operations in 0.. {
            let disk = Simulated::with(NAME, &before);
            disk.fail(operations, for_good);
            let result = index.inner().save(&disk, Path::new(NAME), &Work::default());
            let file = disk.read(NAME).unwrap();
            for left in after_power_loss(&disk).map(Option::unwrap) {
                assert!(left == before || left == after, "operation {operations}: a power loss leaves neither file");
            }
            assert_eq!(disk.names(), [Path::new(NAME)], "operation {operations}");
            match result {
                Err(Error::Io { operation: "syncing the directory", .. }) => assert!(file == after),
                Err(Error::Io { .. }) => assert!(file == before, "operation {operations}: the old file is gone"),
                Err(error) => panic!("operation {operations}: {error}"),
                Ok(()) => {
                    assert!(operations > 10 && file == after);
                    assert!(after_power_loss(&disk).iter().all(|left| left.as_ref() == Some(&after)));
                    break;
                }
            }
            assert!(disk.has_failed());
        }
    }
}

#[test]
fn a_failing_disk_is_an_error_when_loading() {
    let bytes = saved(&live_through(Life::Full, options(IdType::String, Metric::L2)));
    for operations in 0.. {
        let disk = Simulated::with(NAME, &bytes);
        disk.fail(operations, false);
        match load(&disk, Path::new(NAME), Opening::default(), &Work::default()) {
            Err(Error::Io { .. }) => {}
            Err(error) => panic!("operation {operations}: {error}"),
            Ok(_) => {
                assert!(operations > 10);
                break;
            }
        }
    }
}

#[test]
fn a_file_of_the_system_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let work = Work::default();
    let small = live_through(Life::Exact, options(IdType::Number, Metric::L2));
    let large = live_through(Life::Full, options(IdType::Number, Metric::L2));
    for index in [&large, &small, &large] {
        index.save(&path, &work).unwrap();
        assert_eq!(names(directory.path()), [path.as_path()]);
        assert_alike(&Index::load(&path, None, None, &work).unwrap(), index, "loaded");
    }
}

#[test]
fn places_that_cannot_hold_a_file_are_errors() {
    let directory = tempfile::tempdir().unwrap();
    let index = live_through(Life::Exact, options(IdType::Number, Metric::L2));
    let work = Work::default();
    for path in [directory.path().join("missing/index"), directory.path().to_path_buf()] {
        let error = index.save(&path, &work).unwrap_err();
        assert!(matches!(&error, Error::Io { path: named, .. } if *named == path.display().to_string()), "{error}");
        assert!(matches!(Index::load(&path, None, None, &work), Err(Error::Io { operation: "opening", .. })));
    }
    for path in ["", "/", ".."] {
        assert!(index.save(Path::new(path), &work).is_err());
        assert!(Index::load(Path::new(path), None, None, &work).is_err());
    }
    assert!(names(directory.path()).is_empty());
    assert_eq!(index.len(), 60);
}

#[test]
fn a_cancelled_save_leaves_the_old_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("index");
    let index = Index::new(Options::new(256)).unwrap();
    index.save(&path, &Work::default()).unwrap();
    let before = fs::read(&path).unwrap();
    let rows: Vec<f32> = (0..4_000 * 256).map(|value| value as f32).collect();
    index.add(&Ids::Keys((0..4_000).collect()), &rows, &Work::default()).unwrap();

    // Cancelled before it begins, and when the first rows are written.
    for done in [0, 1_024] {
        let cancelled = Arc::new(AtomicBool::new(done == 0));
        let flag = cancelled.clone();
        let on_progress = move |progress: crate::work::Progress| flag.store(progress.done >= done, Ordering::Relaxed);
        let work = Work { cancelled: Some(cancelled), on_progress: Some(Arc::new(on_progress)) };
        assert!(matches!(index.save(&path, &work), Err(Error::Cancelled)));
        assert!(fs::read(&path).unwrap() == before);
        assert_eq!(names(directory.path()), [path.as_path()]);
    }
    index.save(&path, &Work::default()).unwrap();
    let cancelled = Some(Arc::new(AtomicBool::new(true)));
    let work = Work { cancelled, ..Work::default() };
    assert!(matches!(Index::load(&path, None, None, &work), Err(Error::Cancelled)));
}

#[test]
fn a_closed_index_is_not_saved() {
    let index = live_through(Life::Exact, options(IdType::Number, Metric::L2));
    index.close().unwrap();
    let disk = Simulated::new();
    assert!(matches!(index.inner().save(&disk, Path::new(NAME), &Work::default()), Err(Error::Closed)));
    assert!(disk.names().is_empty());
}

#[cfg(unix)]
#[test]
fn permissions_and_links_stay() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let directory = tempfile::tempdir().unwrap();
    let (path, link) = (directory.path().join("index"), directory.path().join("link"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let index = live_through(Life::Exact, options(IdType::Number, Metric::L2));
    let work = Work::default();
    index.save(&path, &work).unwrap();
    fs::write(directory.path().join("other"), []).unwrap();
    assert_eq!(mode(&path), mode(&directory.path().join("other")));
    for wanted in [0o600, 0o640] {
        fs::set_permissions(&path, fs::Permissions::from_mode(wanted)).unwrap();
        index.save(&path, &work).unwrap();
        assert_eq!(mode(&path), wanted);
    }
    symlink(&path, &link).unwrap();
    index.save(&link, &work).unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(mode(&path), 0o640);

    let pipe = directory.path().join("pipe");
    let name = std::ffi::CString::new(pipe.display().to_string()).unwrap();
    // SAFETY: the name is a string that ends in zero.
    #[allow(unsafe_code)]
    unsafe {
        assert_eq!(libc::mkfifo(name.as_ptr(), 0o600), 0);
    }
    assert!(matches!(index.save(&pipe, &work), Err(Error::Io { .. })));
    assert!(matches!(Index::load(&pipe, None, None, &work), Err(Error::Io { .. })));
}
