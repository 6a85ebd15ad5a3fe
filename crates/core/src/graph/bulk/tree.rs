//! The tree of links that pruning keeps, so that every node is reached (see `insert::tree`): laid breadth first from
//! the entry point, along the links that are there where possible.
//!
//! One thread lays it, and waits for memory most of the time. So each list is asked for some nodes before its turn, and
//! changed in one pass then: a child keeps the link to its parent when its own turn comes.

use crate::error::Result;
use crate::graph::GraphView;
use crate::graph::links::{Link, List};
use crate::graph::scratch::Visited;
use crate::memory::{filled, room};
use crate::pools::{give_way, giving_way};

/// Stands for no node.
const NONE: u32 = u32::MAX;

/// How many nodes before its turn a list is asked for.
const AHEAD: usize = 8;

/// Nodes that have their turn before it gives way to queries.
const TIED_AT_ONCE: usize = 256;

/// Ties all of `nodes` nodes together.
pub(super) fn lay(view: &GraphView<'_>, root: u32, nodes: usize) -> Result<()> {
    if nodes == 0 {
        return Ok(());
    }
    let mut tree = Tree {
        view,
        most: (view.m / 2).max(2),
        kept: filled("links", nodes, || 0)?,
        tied: Visited::default(),
        queue: room("links", nodes)?,
        next: 0,
        walk: Walk::default(),
    };
    tree.tied.reset(nodes)?;
    tree.enter(root, NONE);
    tree.spread();
    for node in giving_way(0..nodes as u32, TIED_AT_ONCE) {
        if !tree.tied.contains(node) {
            tree.attach(node, root)?;
            tree.spread();
        }
    }
    Ok(())
}

struct Tree<'a> {
    view: &'a GraphView<'a>,
    /// Kept links that a node may have before it gets no more children.
    most: usize,
    /// Kept links of each node: no more than `most`, which is at most half of the greatest M.
    kept: Vec<u8>,
    tied: Visited,
    /// Nodes that were tied, each with its parent ([`NONE`] for the root).
    queue: Vec<(u32, u32)>,
    /// Nodes of the queue before it had their turn.
    next: usize,
    walk: Walk,
}

/// A walk through the tree, breadth first, that stands at the first node with room.
#[derive(Default)]
struct Walk {
    queue: Vec<u32>,
    next: usize,
    seen: Visited,
}

impl Tree<'_> {
    fn enter(&mut self, node: u32, parent: u32) {
        self.tied.insert(node);
        self.queue.push((node, parent));
    }

    /// Ties what links lead to, breadth first.
    fn spread(&mut self) {
        while let Some(&(node, parent)) = self.queue.get(self.next) {
            if self.next.is_multiple_of(TIED_AT_ONCE) {
                give_way();
            }
            self.next += 1;
            if let Some(&(coming, _)) = self.queue.get(self.next + AHEAD) {
                self.view.base.prefetch(coming as usize);
            }
            let list = self.view.base.list(node as usize);
            let mut kept = usize::from(self.kept[node as usize]);
            if parent != NONE {
                keep(list, parent);
                kept += 1;
            }
            for (place, link) in list.links().enumerate() {
                if kept >= self.most {
                    break;
                }
                // Whoever is tied already is passed by; the parent is.
                if !self.tied.contains(link.node()) {
                    list.set(place, Link::new(link.node(), true));
                    self.enter(link.node(), node);
                    kept += 1;
                }
            }
            self.kept[node as usize] = kept as u8;
        }
    }

    /// Ties a node that `spread` did not reach to one that it did.
    fn attach(&mut self, node: u32, root: u32) -> Result<()> {
        let near = self.view.base.list(node as usize).links().map(Link::node).find(|&other| self.has_room(other));
        let parent = match near {
            Some(near) => near,
            None => self.first_with_room(root)?,
        };
        keep(self.view.base.list(parent as usize), node);
        self.kept[parent as usize] += 1;
        self.enter(node, parent);
        Ok(())
    }

    fn has_room(&self, node: u32) -> bool {
        self.tied.contains(node) && usize::from(self.kept[node as usize]) < self.most
    }

    /// The first node with room, breadth first from the root. What is full stays full and keeps its links, so the walk
    /// goes on where it ended the last time.
    fn first_with_room(&mut self, root: u32) -> Result<u32> {
        let mut walk = std::mem::take(&mut self.walk);
        if walk.queue.is_empty() {
            walk.seen.reset(self.kept.len())?;
            walk.queue = room("links", self.kept.len())?;
            walk.enter(root);
        }
        while !self.has_room(walk.queue[walk.next]) {
            let kept = self.view.base.list(walk.queue[walk.next] as usize).links().filter(|link| link.is_kept());
            kept.for_each(|link| walk.enter(link.node()));
            // There is always a next one: nodes without children have room, and are met at the end.
            walk.next += 1;
        }
        let found = walk.queue[walk.next];
        self.walk = walk;
        Ok(found)
    }
}

impl Walk {
    fn enter(&mut self, node: u32) {
        if self.seen.insert(node) {
            self.queue.push(node);
        }
    }
}

/// Makes the link to `node` one that is kept. Where a full list has no such link, its last one that is not kept makes
/// room; there is one, since a node may have far fewer children than links.
pub(super) fn keep(list: List<'_>, node: u32) {
    let (mut count, mut last) = (0, None);
    for link in list.links() {
        if link.node() == node {
            return list.set(count, Link::new(node, true));
        }
        if !link.is_kept() {
            last = Some(count);
        }
        count += 1;
    }
    if let Some(last) = last.filter(|_| count == list.capacity()) {
        list.remove(last);
        count -= 1;
    }
    list.set(count, Link::new(node, true));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Graph, Points};
    use crate::options::Metric;
    use crate::vectors::{Rows, Space};

    const M: usize = 6;
    const CAPACITY: usize = 2 * M;
    const ROOT: u32 = 1;

    type Lists = Vec<Vec<Link>>;

    /// What `lay` makes of these lists.
    fn laid(lists: &Lists) -> Lists {
        let rows = Rows::new(Space::new(Metric::L2, 1));
        let mut writer = rows.writer();
        (0..lists.len()).for_each(|row| writer.push(&[row as f32]).unwrap());
        writer.publish();
        drop(writer);
        let points = Points::new(std::sync::Arc::new(rows), None);
        points.append(&(0..lists.len() as u32).collect::<Vec<u32>>()).unwrap();
        let graph = Graph::of(M, 0, true, points);
        graph.reserve(lists.len()).unwrap();
        let view = graph.view();
        (0..).zip(lists).for_each(|(node, links)| view.base.list(node).write(links));
        lay(&view, ROOT, lists.len()).unwrap();
        (0..lists.len()).map(|node| view.base.list(node).links().collect()).collect()
    }

    /// The definition, word by word: it looks at whole lists again and again.
    fn naive(mut lists: Lists) -> Lists {
        fn keep(links: &mut Vec<Link>, other: u32) {
            match links.iter().position(|link| link.node() == other) {
                Some(place) => links[place] = Link::new(other, true),
                None => {
                    if links.len() == CAPACITY {
                        links.remove(links.iter().rposition(|link| !link.is_kept()).unwrap());
                    }
                    links.push(Link::new(other, true));
                }
            }
        }
        fn has_room(lists: &Lists, node: u32) -> bool {
            lists[node as usize].iter().filter(|link| link.is_kept()).count() < M / 2
        }
        fn tie(lists: &mut Lists, parent: u32, child: u32) {
            keep(&mut lists[parent as usize], child);
            keep(&mut lists[child as usize], parent);
        }
        fn breadth_first(lists: &Lists) -> Vec<u32> {
            let mut order = vec![ROOT];
            let mut next = 0;
            while next < order.len() {
                let kept = lists[order[next] as usize].iter().filter(|link| link.is_kept());
                let new: Vec<u32> = kept.map(|link| link.node()).filter(|node| !order.contains(node)).collect();
                order.extend(new);
                next += 1;
            }
            order
        }
        let mut tied = vec![ROOT];
        let mut next = 0;
        while tied.len() < lists.len() || next < tied.len() {
            if next == tied.len() {
                let node = (0..).find(|node| !tied.contains(node)).unwrap();
                let near = lists[node as usize].iter().map(|link| link.node());
                let near = near.filter(|other| tied.contains(other)).find(|&other| has_room(&lists, other));
                let first = || breadth_first(&lists).into_iter().find(|&other| has_room(&lists, other)).unwrap();
                let parent = near.unwrap_or_else(first);
                tie(&mut lists, parent, node);
                tied.push(node);
            }
            for link in lists[tied[next] as usize].clone() {
                if !has_room(&lists, tied[next]) {
                    break;
                }
                if !tied.contains(&link.node()) {
                    tie(&mut lists, tied[next], link.node());
                    tied.push(link.node());
                }
            }
            next += 1;
        }
        lists
    }

    fn check(targets: Vec<Vec<u32>>) {
        let lists: Lists =
            targets.into_iter().map(|to| to.into_iter().map(|node| Link::new(node, false)).collect()).collect();
        let laid = laid(&lists);
        assert_eq!(laid, naive(lists.clone()), "the naive version agrees");
        let mut met = vec![false; lists.len()];
        let mut stack = vec![ROOT];
        while let Some(node) = stack.pop() {
            if !std::mem::replace(&mut met[node as usize], true) {
                stack.extend(laid[node as usize].iter().filter(|link| link.is_kept()).map(|link| link.node()));
            }
        }
        assert!(met.iter().all(|&is_met| is_met), "kept links lead to every node");
        for (node, links) in laid.iter().enumerate() {
            let kept = links.iter().filter(|link| link.is_kept()).count();
            assert!(kept <= M / 2 && links.len() <= CAPACITY, "{kept} of {} links are kept", links.len());
            let other = |link: &Link| link.node() as usize;
            assert!(links.iter().all(|link| other(link) != node), "no link leads to its own node");
            let is_mutual = |link: &Link| laid[other(link)].contains(&Link::new(node as u32, true));
            assert!(links.iter().filter(|link| link.is_kept()).all(is_mutual), "kept in both directions");
        }
        assert_eq!(laid.iter().flatten().filter(|link| link.is_kept()).count(), 2 * (lists.len() - 1), "a tree");
    }

    #[test]
    fn lists_without_links_are_tied() {
        check(vec![vec![]; 2]);
        check(vec![vec![]; 300]);
    }

    #[test]
    fn a_star_is_tied() {
        // All lead to one node, which leads to a few of them; and the other way round.
        for center in [0, 1, 299] {
            let star = |node: u32| if node == center { vec![] } else { vec![center] };
            check((0..300).map(star).collect());
            let star = |node: u32| if node == center { (2..10).collect() } else { vec![center] };
            check((0..300).map(star).collect());
        }
    }

    #[test]
    fn parts_that_no_link_joins_are_tied() {
        let ring = |node: u32| vec![node / 10 * 10 + (node + 1) % 10];
        check((0..300).map(ring).collect());
        // As many as make each other's lists full.
        let size = CAPACITY as u32 + 1;
        let full = |node: u32| (node / size * size..).take(size as usize).filter(|&other| other != node).collect();
        check((0..20 * size).map(full).collect());
    }

    #[test]
    fn random_lists_agree_with_the_naive_version() {
        let mut state = 1u32;
        let mut below = |end: u32| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) % end
        };
        for round in 0..200 {
            let nodes = 2 + below(80);
            // The later the round, the longer are the lists, and the farther do they lead.
            let (most, reach) = (1 + round / 17, 1 + below(nodes));
            let list = |node: u32, below: &mut dyn FnMut(u32) -> u32| {
                let mut links: Vec<u32> = (0..below(most + 1)).map(|_| (node + below(reach)) % nodes).collect();
                links.sort_unstable();
                links.dedup();
                links.retain(|&other| other != node);
                links
            };
            check((0..nodes).map(|node| list(node, &mut below)).collect());
        }
    }

    #[test]
    fn one_node_and_none_are_left_alone() {
        assert_eq!(laid(&Lists::new()), Lists::new());
    }
}
