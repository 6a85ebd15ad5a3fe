//! Refusing a graph in which a search, or an insertion, would go wrong.

use crate::error::Result;
use crate::index::State;
use crate::index::walk::walk;
use crate::storage::FileName;
use crate::work::Work;

/// Walks the graph of `state` from its entry point: every link must lead to another node that reaches its level, and
/// every node must be met on level 0. Slots that equal an earlier one are no nodes and have no links. `levels` are the
/// highest levels of the graph's slots, to which its links are known to lead. Takes O(n · M).
pub(super) fn graph(state: &State, levels: &[u8], name: FileName<'_>, work: &Work) -> Result<()> {
    let followers = state.equals.followers();
    let Some(view) = state.graph.get().map(|graph| graph.view(&state.rows)).filter(|_| !levels.is_empty()) else {
        return Ok(());
    };
    let highest = levels.iter().copied().max().unwrap_or_default();
    let entry = view.entry().filter(|entry| {
        let level = levels.get(entry.node as usize);
        level == Some(&highest) && entry.level == usize::from(highest) && !followers.get(entry.node)
    });
    let Some(entry) = entry else {
        return Err(name.corrupt(format!("entry point {:?}", view.entry()), format!("a node of level {highest}")));
    };

    let check_links = |node: u32| {
        for level in 0..=levels[node as usize] {
            for link in view.list(node, level.into()).into_iter().flat_map(|list| list.links()) {
                let target = link.node();
                if target == node || levels[target as usize] < level || followers.get(target) {
                    let got = format!("a link from slot {node} to slot {target} on level {level}");
                    return Err(name.corrupt(got, "links to other nodes of the level"));
                }
            }
        }
        Ok(())
    };
    let is_met = walk(&view, entry.node, levels.len(), work, check_links)?;
    for (slot, (&is_met, &level)) in (0u32..).zip(is_met.iter().zip(levels)) {
        let is_bare = || level == 0 && view.list(slot, 0).is_none_or(|list| list.links().next().is_none());
        let is_right = is_met || (followers.get(slot) && is_bare());
        if !is_right {
            return Err(name.corrupt(format!("slot {slot}, to which no path leads"), "a path to every node"));
        }
    }
    Ok(())
}
