//! Progress of a job, thinned out to what JavaScript may see.

use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use vicinal_core::Progress;

/// Between the end of one call of `onProgress` and the next, but for the last.
const INTERVAL: Duration = Duration::from_millis(50);

/// How long a job waits for JavaScript before it looks again whether it still should.
const PATIENCE: Duration = Duration::from_millis(2);

/// Keeps the latest progress until it is fetched, and says when JavaScript should come to fetch it.
#[derive(Default)]
pub(crate) struct Throttle {
    state: Mutex<State>,
    heard: Condvar,
}

#[derive(Default)]
struct State {
    latest: Option<Progress>,
    /// Whether `latest` has been given out.
    fetched: bool,
    call: Call,
    last_call: Option<Instant>,
}

/// A call of `onProgress`.
#[derive(Default, PartialEq, Eq)]
enum Call {
    #[default]
    None,
    /// JavaScript was told to fetch.
    Posted,
    /// JavaScript has fetched, and the listener may still run.
    Running,
}

impl Throttle {
    /// Takes note; true if JavaScript is to be called.
    pub(crate) fn report(&self, progress: Progress) -> bool {
        let mut state = self.state.lock();
        state.note(progress);
        let is_early = state.last_call.is_some_and(|last| last.elapsed() < INTERVAL);
        if state.fetched || is_early || state.call == Call::Running {
            return false;
        }
        state.post()
    }

    /// Takes note of what is the last; true if JavaScript is to be called, however short the time since the call before.
    pub(crate) fn conclude(&self, progress: Progress) -> bool {
        let mut state = self.state.lock();
        state.note(progress);
        state.post()
    }

    /// Waits until JavaScript has heard the latest, or `given_up` says that it may not.
    pub(crate) fn wait(&self, given_up: impl Fn() -> bool) {
        let mut state = self.state.lock();
        while (!state.fetched || state.call != Call::None) && !given_up() {
            self.heard.wait_for(&mut state, PATIENCE);
        }
    }

    /// Takes note that the work is done; true if JavaScript is to be called, since it will not have seen `done` reach
    /// `total` otherwise.
    pub(crate) fn finish(&self) -> bool {
        let mut state = self.state.lock();
        let Some(latest) = state.latest else { return false };
        state.note(Progress { done: latest.total, ..latest });
        state.post()
    }

    /// The latest progress, if it has not been fetched before.
    pub(crate) fn fetch(&self) -> Option<Progress> {
        let mut state = self.state.lock();
        if state.fetched {
            state.call = Call::None;
            return None;
        }
        state.fetched = true;
        state.call = Call::Running;
        state.latest
    }

    /// The listener has returned from what was fetched.
    pub(crate) fn heard(&self) {
        let mut state = self.state.lock();
        state.last_call = Some(Instant::now());
        if state.call == Call::Running {
            state.call = Call::None;
        }
        self.heard.notify_all();
    }
}

impl State {
    /// What says the same as the latest is no news.
    fn note(&mut self, progress: Progress) {
        let seen = |progress: Progress| (progress.phase, progress.done, progress.total);
        if self.latest.map(seen) != Some(seen(progress)) {
            self.fetched = false;
        }
        self.latest = Some(progress);
    }

    /// Whether JavaScript has to be told that there is something to fetch.
    fn post(&mut self) -> bool {
        if self.fetched || self.call == Call::Posted {
            return false;
        }
        self.call = Call::Posted;
        true
    }
}

#[cfg(test)]
mod tests {
    use vicinal_core::Phase;

    use super::*;

    fn at(done: usize) -> Progress {
        Progress { done, total: 10, phase: Phase::Copy, is_last: false }
    }

    #[test]
    fn the_first_report_calls_and_the_ones_right_after_wait() {
        let throttle = Throttle::default();
        assert!(throttle.report(at(1)));
        assert!(!throttle.report(at(2)));
        assert_eq!(throttle.fetch(), Some(at(2)));
        assert!(!throttle.report(at(3)), "the listener runs");
        throttle.heard();
        assert!(!throttle.report(at(3)));
        std::thread::sleep(INTERVAL);
        assert!(throttle.report(at(4)));
    }

    #[test]
    fn the_time_between_calls_is_counted_from_the_end_of_the_first() {
        let throttle = Throttle::default();
        throttle.report(at(1));
        throttle.fetch();
        std::thread::sleep(INTERVAL);
        throttle.heard();
        assert!(!throttle.report(at(2)));
    }

    #[test]
    fn the_end_is_shown_once() {
        let throttle = Throttle::default();
        throttle.report(at(1));
        throttle.fetch();
        assert!(throttle.finish());
        assert_eq!(throttle.fetch(), Some(at(10)));
        throttle.heard();
        assert!(!throttle.finish() && !throttle.conclude(at(10)));
    }

    #[test]
    fn work_that_reported_nothing_has_no_end_to_show() {
        assert!(!Throttle::default().finish());
    }

    #[test]
    fn the_last_is_waited_for_until_the_listener_has_returned_or_nobody_will_listen() {
        let throttle = Throttle::default();
        assert!(throttle.report(at(1)));
        throttle.fetch();
        assert!(throttle.conclude(at(10)), "the listener runs, and will not fetch what came since");
        throttle.heard();
        throttle.wait(|| true);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| throttle.wait(|| false));
            assert_eq!(throttle.fetch(), Some(at(10)));
            std::thread::sleep(10 * PATIENCE);
            assert!(!waiting.is_finished());
            throttle.heard();
        });
    }
}
