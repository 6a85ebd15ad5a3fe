//! Lets tests reach into the work of an index: to make it fail where else only a bug of ours or the system could, or to
//! hold it there. Unit tests set a hook for an index; tests of the package arm a fail point of the process by its name.

use crate::error::Result;

/// Where a test may reach in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    /// Before the thread of a migration is started.
    Spawn,
    /// Before a chunk is inserted.
    Chunk,
    /// Before a work unit of a chunk, whose errors are not heard.
    Unit,
    /// Before a slice of a batch is published, whose errors are not heard.
    Publish,
    /// When a write is in the log, and nobody has seen it. Errors are not heard here, nor at the following points.
    Logged,
    /// When a checkpoint has turned to a new segment of the log.
    Rotated,
    /// When a snapshot is in its place, and the log before it is still there.
    Snapshot,
    /// Before what a compaction has made takes the place of what was there.
    Compacted,
}

/// The fail points of one index.
#[derive(Default)]
pub(super) struct Failpoints {
    #[cfg(test)]
    hook: parking_lot::Mutex<Option<Hook>>,
}

impl Point {
    fn name(self) -> &'static str {
        match self {
            Self::Spawn => "spawn",
            Self::Chunk => "chunk",
            Self::Unit => "unit",
            Self::Publish => "commit",
            Self::Logged => "logged",
            Self::Rotated => "rotated",
            Self::Snapshot => "snapshot",
            Self::Compacted => "compacted",
        }
    }
}

#[cfg(not(test))]
impl Failpoints {
    pub(super) fn pass(&self, point: Point) -> Result<()> {
        crate::failpoint::pass(point.name());
        Ok(())
    }
}

/// Called at every point, on whatever thread does the work.
#[cfg(test)]
pub(super) type Hook = std::sync::Arc<dyn Fn(Point) -> Result<()> + Send + Sync>;

#[cfg(test)]
impl Failpoints {
    pub(super) fn pass(&self, point: Point) -> Result<()> {
        crate::failpoint::pass(point.name());
        let hook = self.hook.lock().clone();
        hook.map_or(Ok(()), |hook| hook(point))
    }

    pub(super) fn set(&self, hook: impl Fn(Point) -> Result<()> + Send + Sync + 'static) {
        *self.hook.lock() = Some(std::sync::Arc::new(hook));
    }
}
