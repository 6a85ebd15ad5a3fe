//! The tree that keeps every node reachable.
//!
//! Pruning may take a node's last incoming link. So each node is tied to one before it, its parent, by a link in each
//! direction that pruning keeps. The ties form a tree over all nodes of level 0: from any of them, and so from the
//! entry point, every other is reached. A node has at most a quarter of its list's capacity in children; where the
//! nearest earlier node has no room, the first of its descendants with room takes the child.

use std::collections::VecDeque;

use rustc_hash::{FxHashMap, FxHashSet};

use super::Choice;
use crate::graph::{GraphView, Scratch};
use crate::pools::giving_way;
use crate::topk::Key;

/// Choices that get their parents before it gives way to queries.
const PLANTED_AT_ONCE: usize = 32;

/// Gives every choice its parent, and a link to it.
pub(super) fn plant(view: &GraphView<'_>, choices: &mut [Choice], scratch: &mut Scratch) {
    // Two at least: the parent counts as one, and a node without room for a child could not pass any on.
    let mut tree = Tree { view, most: (view.m / 2).max(2), planted: FxHashMap::default(), walks: FxHashMap::default() };
    for choice in giving_way(choices.iter_mut(), PLANTED_AT_ONCE) {
        let Some(anchor) = choice.anchor else {
            continue;
        };
        let earlier = |key: &Key| key.slot() < choice.node && key.slot() != anchor.slot();
        let near = [anchor].into_iter().chain(choice.levels[0].iter().copied().filter(earlier));
        let parent = near.clone().find(|key| tree.has_room(key.slot())).unwrap_or_else(|| {
            let node = tree.descendant_with_room(anchor.slot());
            let points = view.points();
            points.key(points.target(choice.node, &mut scratch.weights), node)
        });
        tree.planted.entry(parent.slot()).or_default().push(choice.node);
        choice.parent = Some(parent.slot());
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
    /// Walks through the descendants of full nodes.
    walks: FxHashMap<u32, Walk>,
}

/// A walk, breadth first, that stands at the first node with room.
struct Walk {
    queue: VecDeque<u32>,
    seen: FxHashSet<u32>,
}

impl Tree<'_> {
    fn has_room(&self, node: u32) -> bool {
        self.children(node).count() < self.most
    }

    /// The kept neighbors of `node`: its children, and its parent if it is in the graph already, which counts as one.
    fn children(&self, node: u32) -> impl Iterator<Item = u32> {
        let links = self.view.list(node, 0).into_iter().flat_map(|list| list.links());
        let kept = links.filter(|link| link.is_kept()).map(|link| link.node());
        kept.chain(self.planted.get(&node).into_iter().flatten().copied())
    }

    /// The first with room, breadth first from `node`. The last node that was planted is a leaf, so there is always one;
    /// the walk may also climb, since a kept link leads to the parent too, so it remembers where it was.
    ///
    /// Within a batch, what is full stays full and keeps its children. So a walk goes on where it ended the last time:
    /// else, where one node is the nearest of all, the time would grow with the square of the nodes.
    fn descendant_with_room(&mut self, node: u32) -> u32 {
        let start = || Walk { queue: VecDeque::from([node]), seen: FxHashSet::default() };
        let mut walk = self.walks.remove(&node).unwrap_or_else(start);
        while let Some(first) = walk.queue.front().copied().filter(|&first| !self.has_room(first)) {
            walk.queue.pop_front();
            walk.queue.extend(self.children(first).filter(|&child| walk.seen.insert(child)));
        }
        let found = walk.queue.front().copied().unwrap_or(node);
        self.walks.insert(node, walk);
        found
    }
}
