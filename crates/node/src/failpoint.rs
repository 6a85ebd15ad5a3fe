//! The core's fail points, for the tests of the package.

use napi_derive::napi;

/// Makes whoever passes `point` next in this process panic: a job by its name (`'add'`, `'search'`, `'migrate'` …), a
/// batch of rows in the middle of its `'commit'`, a `'chunk'` of a migration just before it is published. For tests.
#[napi]
#[cfg_attr(test, allow(dead_code, reason = "only JavaScript calls it"))]
pub fn fail_next(point: String) {
    vicinal_core::failpoint::fail_next(point);
}
