//! Lets a unit test of the index reach into its work: to make it fail where else only a bug of ours or the system could,
//! or to hold it there. A build that is no test has nothing of it.

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
}

/// The fail points of one index.
#[derive(Default)]
pub(super) struct Failpoints {
    #[cfg(test)]
    hook: parking_lot::Mutex<Option<Hook>>,
}

#[cfg(not(test))]
impl Failpoints {
    #[inline(always)]
    pub(super) fn pass(&self, _point: Point) -> Result<()> {
        Ok(())
    }
}

/// Called at every point, on whatever thread does the work.
#[cfg(test)]
pub(super) type Hook = std::sync::Arc<dyn Fn(Point) -> Result<()> + Send + Sync>;

#[cfg(test)]
impl Failpoints {
    pub(super) fn pass(&self, point: Point) -> Result<()> {
        let hook = self.hook.lock().clone();
        hook.map_or(Ok(()), |hook| hook(point))
    }

    pub(super) fn set(&self, hook: impl Fn(Point) -> Result<()> + Send + Sync + 'static) {
        *self.hook.lock() = Some(std::sync::Arc::new(hook));
    }
}
