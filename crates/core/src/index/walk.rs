//! Walking a graph on level 0, from its entry point along all links.

use crate::error::Result;
use crate::graph::GraphView;
use crate::memory::room;
use crate::work::Work;

/// Which of the nodes below `limit` are met from `entry`, which is one of them. `visit` is told of each before its links
/// are followed; links to others are not followed. Takes O(n · M).
pub(super) fn walk(
    view: &GraphView<'_>,
    entry: u32,
    limit: usize,
    work: &Work,
    mut visit: impl FnMut(u32) -> Result<()>,
) -> Result<Vec<bool>> {
    // Each node is put on the stack once.
    let (mut is_met, mut stack, mut neighbors) = (room("a walk", limit)?, room("a walk", limit)?, Vec::new());
    is_met.resize(limit, false);
    is_met[entry as usize] = true;
    stack.push(entry);
    while let Some(node) = stack.pop() {
        work.check()?;
        visit(node)?;
        if let Some(list) = view.list(node, 0) {
            list.read(&mut neighbors);
            for &neighbor in &neighbors {
                if is_met.get_mut(neighbor as usize).is_some_and(|is_met| !std::mem::replace(is_met, true)) {
                    stack.push(neighbor);
                }
            }
        }
    }
    Ok(is_met)
}
