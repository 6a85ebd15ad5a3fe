//! What only tests and benchmarks ask: a hash of all links, to tell whether two indexes have the same graph, and the
//! work that searches did.

use xxhash_rust::xxh3::Xxh3Default;

use super::Index;
use crate::graph::Graph;

impl Index {
    /// Distances that searches of the graph, insertions included, and the dense products of bulk builds have computed so
    /// far; not those of pruning. For tests and benchmarks.
    #[doc(hidden)]
    pub fn evaluations(&self) -> u64 {
        self.inner().state.load().scratches.evaluations()
    }

    /// The hash of every node's slot and lists, in the order of nodes and levels, and of its entry point. For tests.
    #[doc(hidden)]
    pub fn graph_hash(&self) -> u64 {
        let inner = self.inner();
        let _inserting = inner.migrator.inserting();
        let state = inner.state.load();
        let mut hash = Xxh3Default::new();
        let graph = state.graph.load_full();
        let Some(view) = graph.as_deref().map(Graph::view) else {
            return hash.digest();
        };
        let mut enter = |value: u32| hash.update(&value.to_le_bytes());
        for node in 0..graph.as_deref().map_or(0, Graph::nodes) as u32 {
            enter(view.points().slot(node));
            for list in (0..=view.level_of(node)).filter_map(|level| view.list(node, level)) {
                enter(u32::MAX);
                list.links().for_each(|link| enter(link.node() << 1 | u32::from(link.is_kept())));
            }
        }
        if let Some(entry) = view.entry() {
            enter(entry.node);
            enter(entry.level as u32);
        }
        hash.digest()
    }
}
