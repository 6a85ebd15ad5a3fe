//! Progress of a job, thinned out to what JavaScript may see.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use vicinal_core::Progress;

/// At most one call of `onProgress` in this time.
const INTERVAL: Duration = Duration::from_millis(50);

/// Keeps the latest progress until it is fetched, and says when JavaScript should come to fetch it.
#[derive(Default)]
pub(crate) struct Throttle(Mutex<State>);

#[derive(Default)]
struct State {
    latest: Option<Progress>,
    /// Whether `latest` has been given out.
    fetched: bool,
    /// Whether a call to fetch is on its way.
    called: bool,
    last_call: Option<Instant>,
}

impl Throttle {
    /// Takes note; true if JavaScript is to be called.
    pub(crate) fn report(&self, progress: Progress) -> bool {
        let mut state = self.0.lock();
        state.latest = Some(progress);
        state.fetched = false;
        let now = Instant::now();
        if state.called || state.last_call.is_some_and(|last| now - last < INTERVAL) {
            return false;
        }
        state.called = true;
        state.last_call = Some(now);
        true
    }

    /// Takes note that the work is done; true if JavaScript has not yet seen `done` reach `total`.
    pub(crate) fn finish(&self) -> bool {
        let mut state = self.0.lock();
        let Some(latest) = &mut state.latest else { return false };
        if latest.done < latest.total {
            latest.done = latest.total;
            state.fetched = false;
        }
        !state.fetched && !state.called
    }

    /// The latest progress, if it has not been fetched before.
    pub(crate) fn fetch(&self) -> Option<Progress> {
        let mut state = self.0.lock();
        state.called = false;
        state.last_call = Some(Instant::now());
        if state.fetched {
            return None;
        }
        state.fetched = true;
        state.latest
    }
}

#[cfg(test)]
mod tests {
    use vicinal_core::Phase;

    use super::*;

    fn at(done: usize) -> Progress {
        Progress { done, total: 10, phase: Phase::Copy }
    }

    #[test]
    fn the_first_report_calls_and_the_ones_right_after_wait() {
        let throttle = Throttle::default();
        assert!(throttle.report(at(1)));
        assert!(!throttle.report(at(2)));
        assert_eq!(throttle.fetch(), Some(at(2)));
        assert!(!throttle.report(at(3)));
    }

    #[test]
    fn the_end_is_shown_once() {
        let throttle = Throttle::default();
        throttle.report(at(1));
        throttle.fetch();
        assert!(throttle.finish());
        assert_eq!(throttle.fetch(), Some(at(10)));
        assert!(!throttle.finish());
    }

    #[test]
    fn work_that_reported_nothing_has_no_end_to_show() {
        assert!(!Throttle::default().finish());
    }
}
