//! Lets a test make the code panic at a place of its choice, to see what a bug of ours would look like, or the process
//! end there, to see what it leaves.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

static ARMED: AtomicBool = AtomicBool::new(false);
static TRAP: Mutex<Trap> = Mutex::new(Trap { point: String::new(), passes: 0, ends_process: false });

struct Trap {
    point: String,
    /// How often it is passed before it acts.
    passes: usize,
    ends_process: bool,
}

/// Makes whoever passes `point` next in this process panic. For tests.
pub fn fail_next(point: String) {
    arm(Trap { point, passes: 0, ends_process: false });
}

/// Ends this process, as a crash does, where `point` is passed once more after `passes` times. For tests.
pub fn abort_after(point: String, passes: usize) {
    arm(Trap { point, passes, ends_process: true });
}

fn arm(trap: Trap) {
    *TRAP.lock() = trap;
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
    let mut trap = TRAP.lock();
    if trap.point != point || !ARMED.load(Ordering::Acquire) {
        return;
    }
    if trap.passes > 0 {
        trap.passes -= 1;
        return;
    }
    ARMED.store(false, Ordering::Release);
    if trap.ends_process {
        std::process::abort();
    }
    drop(trap);
    panic!("the fail point '{point}' was armed");
}
