//! Walking a graph on level 0, from its entry point along all links.

use crate::error::Result;
use crate::graph::GraphView;
use crate::memory::room;
use crate::work::Work;

/// Nodes whose lists are asked for before they are read.
const AHEAD: usize = 8;

/// Which of the nodes below `limit` are met from `entry`, which is one of them; links to others are not followed. Takes
/// O(n · M).
pub(super) fn walk(view: &GraphView<'_>, entry: u32, limit: usize, work: &Work) -> Result<Vec<bool>> {
    // Each node is put into the queue once.
    let (mut is_met, mut queue, mut neighbors) = (room("a walk", limit)?, room("a walk", limit)?, Vec::new());
    is_met.resize(limit, false);
    is_met[entry as usize] = true;
    queue.push(entry);
    let mut next = 0;
    while let Some(&node) = queue.get(next) {
        work.check()?;
        if let Some(&coming) = queue.get(next + AHEAD) {
            view.prefetch_list(coming);
        }
        next += 1;
        if let Some(list) = view.list(node, 0) {
            list.read(&mut neighbors);
            for &neighbor in &neighbors {
                if is_met.get_mut(neighbor as usize).is_some_and(|is_met| !std::mem::replace(is_met, true)) {
                    queue.push(neighbor);
                }
            }
        }
    }
    Ok(is_met)
}
