//! The tree that keeps every node reachable.
//!
//! Pruning may take a node's last incoming link. So each node is tied to one before it, its parent, by a link in each
//! direction that pruning keeps. The ties form a tree over all nodes of level 0: from any of them, and so from the
//! entry point, every other is reached. A node has at most a quarter of its list's capacity in children; where the
//! nearest earlier node is node, the first of its descendants with room takes the child.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::Choice;
use crate::graph::{GraphView, Scratch};
use crate::topk::Key;

/// Gives every choice its parent, and a link to it.
pub(super) fn plant(view: &GraphView<'_>, choices: &mut [Choice], scratch: &mut Scratch) {
    // Two at least: the parent counts as one, and a node without room for a child could not pass any on.
    let mut tree = Tree { view, most: (view.m / 2).max(2), planted: FxHashMap::default() };
    for choice in choices {
        let Some(anchor) = choice.anchor else {
            continue;
        };
        let earlier = |key: &Key| key.slot() < choice.node && *key != anchor;
        let near = [anchor].into_iter().chain(choice.levels[0].iter().copied().filter(earlier));
        let parent = near.clone().find(|key| tree.has_room(key.slot())).unwrap_or_else(|| {
            let node = tree.descendant_with_room(anchor.slot());
            let points = view.points();
            points.key(points.target(choice.node, &mut scratch.weights), node)
        });
        tree.planted.entry(parent.slot()).or_default().push(choice.node);
        choice.parent = Some(parent);
        let links = &mut choice.levels[0];
        if links.iter().all(|link| link.slot() != parent.slot()) {
            links.truncate(view.m - 1);
            let position = links.partition_point(|&key| key < parent);
            links.insert(position, parent);
        }
    }
}

struct Tree<'a> {
    view: &'a GraphView<'a>,
    /// Children that a node may have.
    most: usize,
    /// Children of this batch, which are in no list yet.
    planted: FxHashMap<u32, Vec<u32>>,
}

impl Tree<'_> {
    fn has_room(&self, node: u32) -> bool {
        self.children(node).count() < self.most
    }

    /// The kept neighbors of `node`: its children, and its parent if it is in the graph already, which counts as one.
    fn children(&self, node: u32) -> impl Iterator<Item = u32> {
        let list =
            self.view.list(node, 0).into_iter().flat_map(|list| {
                list.links().filter(|link| link.is_kept()).map(|link| link.node()).collect::<Vec<_>>()
            });
        list.chain(self.planted.get(&node).into_iter().flatten().copied())
    }

    /// Breadth first from `node`. The last node that was planted is a leaf, so there is always one with room; the walk
    /// may also climb, since a kept link leads to the parent too, so it remembers where it was.
    fn descendant_with_room(&self, node: u32) -> u32 {
        let mut seen = rustc_hash::FxHashSet::default();
        let mut queue = VecDeque::from([node]);
        while let Some(node) = queue.pop_front() {
            if self.has_room(node) {
                return node;
            }
            queue.extend(self.children(node).filter(|&child| seen.insert(child)));
        }
        node
    }
}
