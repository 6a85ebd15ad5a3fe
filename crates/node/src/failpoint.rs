//! The core's fail points, for the tests of the package.

use napi_derive::napi;

/// Makes whoever passes `point` next in this process panic: a job by its name (`'add'`, `'search'`, `'migrate'` …), a
/// batch of rows in the middle of its `'commit'`, a `'chunk'` of a migration just before it is published. For tests.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "only JavaScript calls it"))]
pub fn fail_next(point: String) {
    vicinal_core::failpoint::fail_next(point);
}

/// Ends the process, as a crash does, where `point` is passed once more after `passes` times: besides those above, where a
/// write is `'logged'` and not seen yet, where a checkpoint has `'rotated'` the log, where its `'snapshot'` is in place, and
/// where what was `'compacted'` is about to take its place.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "only JavaScript calls it"))]
pub fn abort_after(point: String, passes: u32) {
    vicinal_core::failpoint::abort_after(point, passes as usize);
}
