//! Refusing a graph in which a search, or an insertion, would go wrong.

use crate::error::Result;
use crate::graph::GraphView;
use crate::index::State;
use crate::index::walk::walk;
use crate::memory::room;
use crate::storage::FileName;
use crate::work::Work;

/// The `slots` of nodes: below `migrated`, each once, and all of those that equal no earlier one.
pub(super) fn nodes(state: &State, slots: &[u32], migrated: usize, name: FileName<'_>) -> Result<()> {
    let followers = state.equals.followers();
    let mut is_node = room("links", migrated)?;
    is_node.resize(migrated, false);
    for &slot in slots {
        let is_new = is_node.get_mut(slot as usize).is_some_and(|is_node| !std::mem::replace(is_node, true));
        if !is_new || followers.get(slot) {
            let expected = format!("slots below {migrated} that equal no earlier one, each once");
            return Err(name.corrupt(format!("a node of slot {slot}"), expected));
        }
    }
    match (0..).zip(&is_node).find(|&(slot, &is_node)| !is_node && !followers.get(slot)) {
        Some((slot, _)) => Err(name.corrupt(format!("slot {slot} without a node"), "a node for every row")),
        None => Ok(()),
    }
}

/// Walks a graph from its entry point: every link above level 0 must lead to another node that reaches its level, and
/// every node must be met on level 0, whose links were looked at before. `levels` are the highest levels of the nodes. Takes O(n · M).
pub(super) fn graph(view: &GraphView<'_>, levels: &[u8], name: FileName<'_>, work: &Work) -> Result<()> {
    let Some(highest) = levels.iter().copied().max() else {
        return Ok(());
    };
    let entry = view.entry().filter(|entry| {
        let level = levels.get(entry.node as usize);
        level == Some(&highest) && entry.level == usize::from(highest)
    });
    let Some(entry) = entry else {
        return Err(name.corrupt(format!("entry point {:?}", view.entry()), format!("a node of level {highest}")));
    };

    for (node, &highest) in (0..).zip(levels).filter(|&(_, &highest)| highest > 0) {
        for level in 1..=highest {
            for link in view.list(node, level.into()).into_iter().flat_map(|list| list.links()) {
                let target = link.node();
                if target == node || levels.get(target as usize).is_none_or(|&reached| reached < level) {
                    let got = format!("a link from node {node} to node {target} on level {level}");
                    return Err(name.corrupt(got, "links to other nodes of the level"));
                }
            }
        }
    }
    let is_met = walk(view, entry.node, levels.len(), work)?;
    match is_met.iter().position(|&is_met| !is_met) {
        Some(node) => Err(name.corrupt(format!("node {node}, to which no path leads"), "a path to every node")),
        None => Ok(()),
    }
}
