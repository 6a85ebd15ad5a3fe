//! Reverse edges: whoever was linked to links back, or is pruned anew with the newcomers among its candidates.

use rayon::prelude::*;

use super::{Choice, Insertion};
use crate::graph::GraphView;
use crate::graph::links::Link;
use crate::graph::scratch::Scratch;
use crate::pools::{give_way, giving_way};
use crate::topk::Key;

/// Choices whose edges are turned round before it gives way to queries.
const OFFERED_AT_ONCE: usize = 256;

/// Choices, for each of which there is a part in which offers are sorted. To sort all of them together would take a
/// millisecond in which nothing gives way.
const CHOICES_A_PART: usize = 64;

/// A link that `target` is offered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Offer {
    level: u32,
    target: u32,
    /// The source, at its distance.
    key: Key,
    kept: bool,
}

impl Insertion<'_> {
    /// Turns the edges of `choices` round, groups them by target and updates each target once.
    pub(super) fn write_reverse(&self, views: &[GraphView<'_>], choices: &[Choice]) {
        let parts = by_target(choices);
        let is_one = |a: &Offer, b: &Offer| (a.level, a.target) == (b.level, b.target);
        let groups: Vec<&[Offer]> = giving_way(parts.iter(), 1).flat_map(|part| part.chunk_by(is_one)).collect();
        groups.par_iter().for_each(|group| {
            let _turn = self.turns.next();
            self.scratches.with(|scratch| self.update(views, group, scratch));
        });
    }

    /// Adds the offers to their target's list, pruning it if it overflows.
    fn update(&self, views: &[GraphView<'_>], offers: &[Offer], scratch: &mut Scratch) {
        let Offer { level, target, .. } = offers[0];
        let Some(list) = views[0].list(target, level as usize) else {
            return;
        };
        let capacity = if level == 0 { self.graph.base.capacity() } else { self.graph.upper.capacity() };
        let mut links: Vec<Link> = list.links().collect();
        for offer in offers {
            match links.iter_mut().find(|link| link.node() == offer.key.slot()) {
                Some(link) => *link = Link::new(link.node(), link.is_kept() || offer.kept),
                None => links.push(Link::new(offer.key.slot(), offer.kept)),
            }
        }
        if links.len() > capacity {
            links = prune(views, target, &links, capacity, scratch);
        }
        list.write(&links);
    }
}

/// At most `capacity` of `links`: those of the tree, then what the heuristic selects by each distance. It leaves some
/// room, so that the next offers need no pruning.
fn prune(views: &[GraphView<'_>], target: u32, links: &[Link], capacity: usize, scratch: &mut Scratch) -> Vec<Link> {
    let nodes: Vec<u32> = links.iter().map(|link| link.node()).collect();
    let mut pruned: Vec<Link> = links.iter().copied().filter(|link| link.is_kept()).collect();
    let (kept, room) = (pruned.len(), capacity - capacity / 8);
    for (position, view) in views.iter().enumerate() {
        let mut keys = Vec::new();
        let Scratch { weights, distances, .. } = scratch;
        let (points, _) = view.points().sorted_around(target, &nodes, (weights, distances), &mut keys);
        let is_chosen = |key: &Key| pruned.iter().any(|link| link.node() == key.slot());
        let (mut chosen, candidates): (Vec<Key>, Vec<Key>) = keys.into_iter().partition(is_chosen);
        let (before, share) = (chosen.len(), room * (position + 1) / views.len());
        points.select(&candidates, share.max(kept), &mut chosen, &mut scratch.selector);
        pruned.extend(chosen[before..].iter().map(|key| Link::new(key.slot(), false)));
    }
    pruned
}

/// What targets are offered, sorted in parts: all that is offered to one stands side by side.
pub(super) fn by_target(choices: &[Choice]) -> Vec<Vec<Offer>> {
    let mut parts = Vec::new();
    parts.resize_with((choices.len() / CHOICES_A_PART).next_power_of_two(), Vec::new);
    for offer in giving_way(choices.iter(), OFFERED_AT_ONCE).flat_map(offers_of) {
        // By its upper half: neighbors stand together, and would all come into one part.
        let spread = u64::from(offer.target.wrapping_mul(0x9E37_79B9));
        let part = (spread * parts.len() as u64) >> u32::BITS;
        parts[part as usize].push(offer);
    }
    parts.par_iter_mut().for_each(|part| {
        give_way();
        part.sort_unstable();
    });
    parts
}

/// What the targets of a node's edges are offered.
fn offers_of(choice: &Choice) -> impl Iterator<Item = Offer> + '_ {
    choice.levels.iter().enumerate().flat_map(move |(level, keys)| {
        keys.iter().map(move |key| Offer {
            level: level as u32,
            target: key.slot(),
            key: Key::new(key.distance(), choice.node),
            kept: choice.is_tied(level, key.slot()),
        })
    })
}
