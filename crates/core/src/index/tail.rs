//! Rows that wait for the graph: once they are many they are listed, so that a search need not look at all of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Inner;
use super::equals::Found;
use super::state::State;
use crate::codes::Encoder;
use crate::error::Result;
use crate::graph::{Graph, Survey};
use crate::inverted::InvertedFile;
use crate::vectors::RowsView;

/// So many rows are scanned before they are listed, all together.
const GATHERED: usize = 4_096;

/// Lists are made anew, with more leaders, when they hold so many times the rows that these were made for.
const OUTGROWN: usize = 4;

impl Inner {
    /// New lists for what waits of `rows`, the rows that are written, of which `live` will be live, if they are due. Some rows
    /// may not be published yet; `new` knows which of those equal others. One caller at a time.
    pub(super) fn lists_of_waiting(
        &self,
        state: &State,
        rows: RowsView<'_>,
        new: Option<&Found<'_>>,
        live: usize,
    ) -> Result<Option<Arc<InvertedFile>>> {
        let graph = state.graph.load();
        let (migrated, end) = (graph.as_deref().map_or(0, Graph::migrated), rows.len());
        let file = state.inverted.load_full();
        let listed = file.as_ref().map_or(0, |file| file.slots().end).max(migrated);
        // Without a graph, and as long as nobody asked for one, answers are exact.
        let is_wanted = self.options.auto_migrate || graph.is_some();
        if !is_wanted || live < self.threshold() || end - listed < GATHERED {
            return Ok(None);
        }
        let file = if let Some(file) = file.filter(|file| is_fitting(file, migrated, end)) {
            self.pools.write(|| file.extended(rows, end))?
        } else if let Some(encoder) = self.encoder_of_waiting(state, graph.as_deref(), rows, new)? {
            self.pools.write(|| InvertedFile::new(&encoder, rows, migrated..end))?
        } else {
            return Ok(None);
        };
        Ok(Some(Arc::new(file)))
    }

    /// What makes codes of rows, if these tell them apart: the graph's, or one that is made from `rows`.
    fn encoder_of_waiting(
        &self,
        state: &State,
        graph: Option<&Graph>,
        rows: RowsView<'_>,
        new: Option<&Found<'_>>,
    ) -> Result<Option<Encoder>> {
        // Rows of whole numbers are the codes of their graph, which has none that say how to make others.
        if let Some(graph) = graph.filter(|_| !self.options.dtype.is_whole()) {
            return Ok(Graph::encoder(graph).cloned());
        }
        let end = rows.len();
        if end < 2 * state.not_fitting.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let current = state.rows();
        let views = current.building_views_of(rows);
        let never = || false;
        let turns = self.pools.turns(&never);
        let found = self.pools.write(|| {
            let mut slots = state.leaders(0..end)?;
            slots.retain(|&slot| new.is_none_or(|new| !new.follows(slot)));
            Ok(Survey::with_encoder(views[0], self.options.metric, (&slots, end), turns))
        })?;
        let fitting = found.filter(|(_, survey)| survey.codes_fit());
        if fitting.is_none() {
            state.not_fitting.store(end, Ordering::Relaxed);
        }
        Ok(fitting.map(|(encoder, _)| encoder))
    }
}

impl State {
    /// From here on rows are found in these lists, if there are any.
    pub(super) fn take_lists(&self, lists: Option<Arc<InvertedFile>>) {
        if lists.is_some() {
            self.inverted.store(lists);
        }
    }

    /// Drops the lists if all that they hold is in the graph.
    pub(super) fn drop_lists(&self) {
        let file = self.inverted.load();
        if file.as_ref().is_some_and(|file| file.slots().end <= self.migrated()) {
            // If there are new ones by now, they stay.
            self.inverted.compare_and_swap(&file, None);
        }
    }
}

/// Whether `file` may go on to be used for the rows from `migrated` to `end`: not if most of what it holds is in the graph
/// by now, or if it has too few lists.
fn is_fitting(file: &InvertedFile, migrated: usize, end: usize) -> bool {
    let start = file.slots().start;
    end - start < OUTGROWN * file.size() && 2 * (end - migrated) > end - start
}
