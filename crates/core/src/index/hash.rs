//! A hash of all links, to tell whether two indexes have the same graph.

use xxhash_rust::xxh3::Xxh3Default;

use super::Index;

impl Index {
    /// The hash of every list of the graph, in the order of slots and levels, and of its entry point. For tests.
    #[doc(hidden)]
    pub fn graph_hash(&self) -> u64 {
        let inner = self.inner();
        let _inserting = inner.migrator.inserting();
        let state = inner.state.load();
        let mut hash = Xxh3Default::new();
        let Some(graph) = state.graph.get().map(|graph| graph.view(&state.rows)) else {
            return hash.digest();
        };
        let mut enter = |value: u32| hash.update(&value.to_le_bytes());
        for slot in 0..state.migrated() as u32 {
            for list in (0..=graph.level_of(slot)).filter_map(|level| graph.list(slot, level)) {
                enter(u32::MAX);
                list.links().for_each(|link| enter(link.node() << 1 | u32::from(link.is_kept())));
            }
        }
        if let Some(entry) = graph.entry() {
            enter(entry.node);
            enter(entry.level as u32);
        }
        hash.digest()
    }
}
