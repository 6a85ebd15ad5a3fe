//! Where the rows of an index stand, and how a graph has them replaced by the same rows in its own order.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use parking_lot::{Mutex, MutexGuard};

use super::Rows;
use crate::error::Result;

pub(crate) struct Shelf {
    rows: ArcSwap<Rows>,
    /// Held while rows are appended, so that none is appended to rows that are being replaced.
    writing: Mutex<()>,
}

/// The rows, to be appended to.
pub(crate) struct Writing<'a> {
    pub(crate) rows: Arc<Rows>,
    _writing: MutexGuard<'a, ()>,
}

impl Shelf {
    pub(crate) fn of(rows: Rows) -> Self {
        Self { rows: ArcSwap::from_pointee(rows), writing: Mutex::new(()) }
    }

    /// The rows as they stand now.
    pub(crate) fn load(&self) -> Guard<Arc<Rows>> {
        self.rows.load()
    }

    /// The rows as they stand now, for longer.
    pub(crate) fn share(&self) -> Arc<Rows> {
        self.rows.load_full()
    }

    /// The right to append rows; one at a time.
    pub(crate) fn writing(&self) -> Writing<'_> {
        let writing = self.writing.lock();
        Writing { rows: self.share(), _writing: writing }
    }

    /// Puts `rows`, which are the first of those that stand there, in their place. Whoever reads the others goes on with
    /// them; they are freed when the last one lets go.
    pub(crate) fn replace(&self, rows: &Arc<Rows>) -> Result<()> {
        let _writing = self.writing.lock();
        rows.catch_up(&self.rows.load())?;
        self.rows.store(rows.clone());
        Ok(())
    }
}
