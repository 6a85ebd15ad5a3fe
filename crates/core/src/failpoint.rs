//! Lets a test make the code panic at a place of its choice, to see what a bug of ours would look like.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

static ARMED: AtomicBool = AtomicBool::new(false);
static POINT: Mutex<String> = Mutex::new(String::new());

/// Makes whoever passes `point` next in this process panic. For tests.
pub fn fail_next(point: String) {
    *POINT.lock() = point;
    ARMED.store(true, Ordering::Release);
}

/// Panics if a test has asked for it. Costs one relaxed load otherwise.
pub fn pass(point: &str) {
    if ARMED.load(Ordering::Relaxed) {
        trip(point);
    }
}

#[cold]
#[expect(clippy::panic, reason = "the panic is what the test asked for")]
fn trip(point: &str) {
    if *POINT.lock() == point && ARMED.swap(false, Ordering::AcqRel) {
        panic!("the fail point '{point}' was armed");
    }
}
