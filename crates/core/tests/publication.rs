//! The protocols by which readers without locks see what a writer has written, under every interleaving and every
//! order of memory that C11 allows (by loom).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "the model needs a part of it")]
#[path = "../src/graph/links.rs"]
mod links;

use std::sync::OnceLock;

use links::{Link, Links};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::{Arc, RwLock};
use loom::thread;

/// In place of the crate's own: what `links` imports.
mod sync {
    pub use loom::sync::atomic::{AtomicU32, Ordering, fence};
}

mod error {
    pub type Result<T> = std::result::Result<T, std::convert::Infallible>;
}

mod distance {
    pub fn prefetch(_address: *const u8) {}
}

/// As much of `vectors` as `links` needs: lists that are all there before the model begins.
mod vectors {
    use super::error::Result;
    use super::{OnceLock, sync::AtomicU32};

    pub struct Blocks<T> {
        stride: usize,
        elements: OnceLock<Vec<T>>,
    }

    pub struct View<'a, T> {
        stride: usize,
        elements: &'a [T],
    }

    impl<T> Clone for View<'_, T> {
        fn clone(&self) -> Self {
            *self
        }
    }

    impl<T> Copy for View<'_, T> {}

    impl Blocks<AtomicU32> {
        pub fn new(_what: &'static str, stride: usize) -> Self {
            Self { stride, elements: OnceLock::new() }
        }

        pub fn reserve(&self, blocks: usize) -> Result<()> {
            self.elements.get_or_init(|| (0..blocks * self.stride).map(|_| AtomicU32::new(0)).collect());
            Ok(())
        }

        pub fn shared(&self) -> View<'_, AtomicU32> {
            View { stride: self.stride, elements: self.elements.get().map_or(&[], Vec::as_slice) }
        }
    }

    impl<'a, T> View<'a, T> {
        pub fn len(&self) -> usize {
            self.elements.len() / self.stride
        }

        pub fn touch(&self, _index: usize) {}

        pub fn block(&self, index: usize) -> &'a [T] {
            &self.elements[index * self.stride..][..self.stride]
        }

        pub fn pointer(&self, index: usize) -> *const T {
            self.block(index).as_ptr()
        }
    }
}

/// Rows as `vectors::blocks` publishes them: written first, then counted.
struct Rows {
    rows: Vec<UnsafeCell<u32>>,
    published: AtomicUsize,
}

impl Rows {
    fn new(rows: usize) -> Self {
        Self { rows: (0..rows).map(|_| UnsafeCell::new(0)).collect(), published: AtomicUsize::new(0) }
    }

    fn push(&self, row: usize) {
        // SAFETY: loom checks every access: a race is a failure of the test.
        self.rows[row].with_mut(|value| unsafe { *value = 10 + row as u32 });
        self.published.store(row + 1, Ordering::Release);
    }

    fn len(&self) -> usize {
        self.published.load(Ordering::Acquire)
    }

    fn assert_visible(&self, row: usize) {
        // SAFETY: as above.
        self.rows[row].with(|value| assert_eq!(unsafe { *value }, 10 + row as u32, "row {row}"));
    }
}

/// The writer publishes rows, the migration links to them, a search follows the links: it sees the rows' values,
/// though it never looked at how many there are. The lists are those of the crate.
#[test]
fn who_meets_a_link_sees_the_row_it_leads_to() {
    loom::model(|| {
        let rows = Arc::new(Rows::new(2));
        rows.push(0);
        let links = Arc::new(Links::new(2));
        links.reserve(2).unwrap();
        let writer = thread::spawn({
            let rows = rows.clone();
            move || rows.push(1)
        });
        let migration = thread::spawn({
            let (rows, links) = (rows.clone(), links.clone());
            move || {
                if rows.len() == 2 {
                    rows.assert_visible(1);
                    links.view().list(1).write(&[Link::new(0, true)]);
                    links.view().list(0).write(&[Link::new(1, true)]);
                }
            }
        });
        let mut neighbors = Vec::new();
        links.view().list(0).read(&mut neighbors);
        neighbors.retain(|&node| node != u32::MAX);
        for &node in &neighbors {
            rows.assert_visible(node as usize);
        }
        writer.join().unwrap();
        migration.join().unwrap();
    });
}

/// A list is rewritten while it is read: every link that is seen was written at some time, and leads to a row that is
/// there.
#[test]
fn who_meets_a_list_half_rewritten_sees_rows_all_the_same() {
    loom::model(|| {
        let rows = Arc::new(Rows::new(3));
        rows.push(0);
        rows.push(1);
        let links = Arc::new(Links::new(2));
        links.reserve(1).unwrap();
        links.view().list(0).write(&[Link::new(0, true), Link::new(1, false)]);
        let migration = thread::spawn({
            let (rows, links) = (rows.clone(), links.clone());
            move || {
                rows.push(2);
                links.view().list(0).write(&[Link::new(2, false)]);
            }
        });
        let mut neighbors = Vec::new();
        links.view().list(0).read(&mut neighbors);
        neighbors.retain(|&node| node != u32::MAX);
        assert!([&[0, 1][..], &[0], &[2, 1], &[2]].contains(&&neighbors[..]), "{neighbors:?}");
        for &node in &neighbors {
            rows.assert_visible(node as usize);
        }
        migration.join().unwrap();
    });
}

/// The tables of `vectors::blocks`: chunks are entered, a full table is replaced by a larger one, rows are counted; a
/// reader asks for the count first. It must find a chunk for every row.
#[test]
fn who_sees_a_count_finds_the_chunks_of_all_rows() {
    loom::model(|| {
        let rows = Arc::new(Rows::new(2));
        // Which chunk, plus 1; chunk and row have the same number here.
        let tables = Arc::new([vec![AtomicUsize::new(1)], vec![AtomicUsize::new(0), AtomicUsize::new(0)]]);
        let current = Arc::new(AtomicUsize::new(0));
        rows.push(0);
        let writer = thread::spawn({
            let (rows, tables, current) = (rows.clone(), tables.clone(), current.clone());
            move || {
                tables[1][0].store(tables[0][0].load(Ordering::Relaxed), Ordering::Relaxed);
                current.store(1, Ordering::Release);
                tables[1][1].store(2, Ordering::Release);
                rows.push(1);
            }
        });
        let len = rows.len();
        let table = &tables[current.load(Ordering::Acquire)];
        assert!(len <= table.len(), "a table with a place for every row");
        for (row, chunk) in table.iter().enumerate().take(len) {
            assert_eq!(chunk.load(Ordering::Relaxed), row + 1, "the chunk of row {row}");
            rows.assert_visible(row);
        }
        writer.join().unwrap();
    });
}

/// `State::undisturbed` and `State::replacing`: an upsert publishes the new row and takes the old one out; a search
/// reads how many rows there are and then which are out. It must find one of the two.
#[test]
fn who_searches_beside_an_upsert_finds_the_old_row_or_the_new() {
    struct State {
        rows: AtomicUsize,
        is_first_out: AtomicBool,
        replacements: AtomicUsize,
        replacing: RwLock<()>,
    }

    impl State {
        fn search(&self) -> usize {
            let rows = self.rows.load(Ordering::Acquire);
            rows - usize::from(self.is_first_out.load(Ordering::Acquire))
        }

        fn undisturbed(&self) -> usize {
            let replacements = self.replacements.load(Ordering::Acquire);
            if replacements.is_multiple_of(2) {
                let found = self.search();
                if self.replacements.load(Ordering::Acquire) == replacements {
                    return found;
                }
            }
            let _replacing = self.replacing.read().unwrap();
            self.search()
        }

        fn upsert(&self) {
            let _replacing = self.replacing.write().unwrap();
            self.replacements.fetch_add(1, Ordering::AcqRel);
            self.rows.store(2, Ordering::Release);
            self.is_first_out.store(true, Ordering::Release);
            self.replacements.fetch_add(1, Ordering::AcqRel);
        }
    }

    loom::model(|| {
        let state = Arc::new(State {
            rows: AtomicUsize::new(1),
            is_first_out: AtomicBool::new(false),
            replacements: AtomicUsize::new(0),
            replacing: RwLock::new(()),
        });
        let writer = thread::spawn({
            let state = state.clone();
            move || state.upsert()
        });
        assert_eq!(state.undisturbed(), 1, "rows with the id");
        writer.join().unwrap();
    });
}
