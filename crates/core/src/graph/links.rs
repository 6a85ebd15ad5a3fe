//! The neighbor lists of one level: fixed-stride blocks of atomics, so that searches read while an insertion writes.
//!
//! A list ends at its capacity or at the first empty entry. A search may see a list half rewritten; every entry that it
//! sees is still a node that was linked once, and the fence in [`List::read`] makes that node's row visible.

use crate::sync::{AtomicU32, Ordering, fence};

use crate::error::Result;
use crate::vectors::{Blocks, View};

/// A cache line of links; blocks are padded to whole ones.
const LINE: usize = 16;

/// What `place` holds; what was written before it was stored is seen. Not by an acquiring load: what lies in a file is memory
/// that is only read, for which relaxed ones are promised to do.
pub(super) fn acquired(place: &AtomicU32) -> u32 {
    let value = place.load(Ordering::Relaxed);
    fence(Ordering::Acquire);
    value
}

/// Bytes of a list of at most `capacity` links.
pub(crate) fn list_bytes(capacity: usize) -> usize {
    capacity.next_multiple_of(LINE) * size_of::<u32>()
}

/// A directed edge: its target, and whether pruning must keep it (see `insert::tree`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Link(u32);

impl Link {
    /// Set where pruning must keep the link.
    pub(crate) const KEPT: u32 = 1 << 31;

    pub(crate) fn new(node: u32, kept: bool) -> Self {
        Self((node + 1) | if kept { Self::KEPT } else { 0 })
    }

    pub(crate) fn node(self) -> u32 {
        (self.0 & !Self::KEPT) - 1
    }

    pub(crate) fn is_kept(self) -> bool {
        self.0 & Self::KEPT != 0
    }

    /// As it stands in a list, in memory and in a file; 0 is a free place.
    pub(crate) fn stored(self) -> u32 {
        self.0
    }

    /// What [`Link::stored`] gave; `None` for a free place.
    pub(crate) fn restored(stored: u32) -> Option<Self> {
        (stored & !Self::KEPT != 0).then_some(Self(stored))
    }
}

/// All neighbor lists of a level.
pub(crate) struct Links {
    lists: Blocks<AtomicU32>,
    capacity: usize,
}

impl Links {
    /// Lists of at most `capacity` links.
    pub(crate) fn new(capacity: usize) -> Self {
        Self::of(capacity, Blocks::new("links", capacity.next_multiple_of(LINE)))
    }

    /// Lists of at most `capacity` links, which are there.
    pub(super) fn of(capacity: usize, lists: Blocks<AtomicU32>) -> Self {
        Self { lists, capacity }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes of one list.
    pub(crate) fn list_bytes(&self) -> usize {
        list_bytes(self.capacity)
    }

    /// Makes room for `lists` lists, empty at first.
    pub(crate) fn reserve(&self, lists: usize) -> Result<()> {
        self.lists.reserve(lists)
    }

    pub(crate) fn view(&self) -> LinksView<'_> {
        LinksView { lists: self.lists.shared(), capacity: self.capacity }
    }
}

/// The lists that memory existed for when it was taken.
#[derive(Clone, Copy)]
pub(crate) struct LinksView<'a> {
    lists: View<'a, AtomicU32>,
    capacity: usize,
}

impl<'a> LinksView<'a> {
    /// List `index`, which must have been reserved before the view was taken.
    #[inline]
    pub(crate) fn list(&self, index: usize) -> List<'a> {
        self.lists.touch(index);
        List(&self.lists.block(index)[..self.capacity])
    }

    /// Lists that memory existed for.
    pub(crate) fn len(&self) -> usize {
        self.lists.len()
    }

    /// Whether memory for list `index` existed when the view was taken.
    #[inline]
    pub(crate) fn contains(&self, index: usize) -> bool {
        index < self.lists.len()
    }

    /// Brings list `index` towards the cache.
    #[inline]
    pub(crate) fn prefetch(&self, index: usize) {
        let list: *const u8 = self.lists.pointer(index).cast();
        crate::distance::prefetch(list);
        crate::distance::prefetch(list.wrapping_add(64));
    }
}

/// One node's neighbors.
#[derive(Clone, Copy)]
pub(crate) struct List<'a>(&'a [AtomicU32]);

impl List<'_> {
    /// Puts the nodes that it leads to in `links`, and `u32::MAX`, which is no node, for each free place. What their rows
    /// hold is visible from then on.
    #[inline]
    pub(crate) fn read(self, links: &mut Vec<u32>) {
        links.clear();
        links.extend(self.0.iter().map(|link| (link.load(Ordering::Relaxed) & !Link::KEPT).wrapping_sub(1)));
        // Pairs with the release of `write`: whoever wrote a link had seen its target's row.
        fence(Ordering::Acquire);
    }

    /// All links.
    pub(crate) fn links(self) -> impl Iterator<Item = Link> {
        self.0.iter().map(acquired).map_while(Link::restored)
    }

    /// Links that it holds at most.
    pub(crate) fn capacity(self) -> usize {
        self.0.len()
    }

    /// Replaces the link at `place`, or adds one behind the last; one writer at a time.
    pub(crate) fn set(self, place: usize, link: Link) {
        self.0[place].store(link.0, Ordering::Release);
    }

    /// Removes the link at `place`, one writer at a time; those behind it move up.
    pub(crate) fn remove(self, place: usize) {
        for pair in self.0[place..].windows(2) {
            pair[0].store(pair[1].load(Ordering::Relaxed), Ordering::Release);
        }
        if let Some(last) = self.0.last() {
            last.store(0, Ordering::Release);
        }
    }

    /// Replaces the list; one writer at a time. More links than the capacity are a caller's mistake.
    pub(crate) fn write(self, links: &[Link]) {
        debug_assert!(links.len() <= self.0.len(), "{} links in a list of {}", links.len(), self.0.len());
        for (entry, link) in self.0.iter().zip(links) {
            entry.store(link.0, Ordering::Release);
        }
        for entry in self.0.iter().skip(links.len()).take_while(|entry| entry.load(Ordering::Relaxed) != 0) {
            entry.store(0, Ordering::Release);
        }
    }
}
