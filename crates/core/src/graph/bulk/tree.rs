//! The tree of links that pruning keeps, so that every node is reached (see `insert::tree`): laid breadth first from
//! the entry point, along the links that are there where possible.

use std::collections::VecDeque;

use crate::graph::GraphView;
use crate::graph::links::Link;

/// Ties all of `nodes` nodes together.
pub(super) fn lay(view: &GraphView<'_>, root: u32, nodes: usize) {
    if nodes == 0 {
        return;
    }
    let mut tree = Tree { view, most: (view.m / 2).max(2), is_tied: vec![false; nodes], queue: VecDeque::new() };
    tree.enter(root);
    tree.spread();
    for node in 0..nodes as u32 {
        if !tree.is_tied[node as usize] {
            tree.attach(node, root);
            tree.spread();
        }
    }
}

struct Tree<'a> {
    view: &'a GraphView<'a>,
    /// Children that a node may have.
    most: usize,
    is_tied: Vec<bool>,
    queue: VecDeque<u32>,
}

impl Tree<'_> {
    fn enter(&mut self, node: u32) {
        self.is_tied[node as usize] = true;
        self.queue.push_back(node);
    }

    /// Ties what links lead to, breadth first.
    fn spread(&mut self) {
        while let Some(node) = self.queue.pop_front() {
            let links: Vec<Link> = self.links(node);
            let mut kept = links.iter().filter(|link| link.is_kept()).count();
            for link in links {
                if kept >= self.most {
                    break;
                }
                if !self.is_tied[link.node() as usize] {
                    self.tie(node, link.node());
                    self.enter(link.node());
                    kept += 1;
                }
            }
        }
    }

    /// Ties a node that `spread` did not reach to one that it did.
    fn attach(&mut self, node: u32, root: u32) {
        let has_room = |tree: &Self, other: u32| {
            tree.is_tied[other as usize] && tree.links(other).iter().filter(|link| link.is_kept()).count() < tree.most
        };
        let near = self.links(node).iter().map(|link| link.node()).find(|&other| has_room(self, other));
        // Most nodes of a tree are leaves, so a walk from anywhere meets one with room soon.
        let parent = near.or_else(|| self.walk(root).find(|&other| has_room(self, other)));
        if let Some(parent) = parent {
            self.tie(parent, node);
        }
        self.enter(node);
    }

    fn walk(&self, root: u32) -> impl Iterator<Item = u32> {
        let mut queue = VecDeque::from([root]);
        let mut seen = rustc_hash::FxHashSet::default();
        std::iter::from_fn(move || {
            let node = queue.pop_front()?;
            let kept = self.links(node).into_iter().filter(|link| link.is_kept());
            queue.extend(kept.map(Link::node).filter(|&child| seen.insert(child)));
            Some(node)
        })
    }

    fn tie(&self, parent: u32, child: u32) {
        self.keep(parent, child);
        self.keep(child, parent);
    }

    /// Makes the link from `node` to `other` one that is kept. Where the list is full and has no such link, its last
    /// other one makes room.
    fn keep(&self, node: u32, other: u32) {
        let Some(list) = self.view.list(node, 0) else {
            return;
        };
        let mut links = self.links(node);
        match links.iter_mut().find(|link| link.node() == other) {
            Some(link) => *link = Link::new(other, true),
            None => {
                if links.len() == 2 * self.view.m
                    && let Some(last) = links.iter().rposition(|link| !link.is_kept())
                {
                    links.remove(last);
                }
                links.push(Link::new(other, true));
            }
        }
        list.write(&links);
    }

    fn links(&self, node: u32) -> Vec<Link> {
        self.view.list(node, 0).into_iter().flat_map(|list| list.links()).collect()
    }
}
