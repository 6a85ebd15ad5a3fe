//! Random histories that end in a power loss, or in a crash of the process, at any operation of the disk.

use super::*;
use crate::storage::simulated::Fault;

/// What a history may find after a crash: the contents after each write since the last that must be there.
struct Expected {
    /// The first is the least that must be there.
    possible: Vec<Contents>,
}

impl Expected {
    fn now(&self) -> &Contents {
        &self.possible[self.possible.len() - 1]
    }

    fn written(&mut self, contents: Contents) {
        self.possible.push(contents);
    }

    /// All so far must be there.
    fn settle(&mut self) {
        self.possible.drain(..self.possible.len() - 1);
    }
}

/// What is lost, and what is promised against it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Crash {
    Process,
    Power,
}

const BOTH: [Crash; 2] = [Crash::Process, Crash::Power];

struct History {
    random: Random,
    durability: Durability,
    /// How lives may end.
    crashes: &'static [Crash],
    /// How this one ends.
    crash: Crash,
    expected: Expected,
}

impl History {
    /// Works on the index, as one that its disk may fail at any time, until it does or the calls are done.
    fn work(&mut self, index: &Index) -> Result<()> {
        for _ in 0..3 + self.random.below(25) {
            match self.random.below(16) {
                0 => {
                    index.checkpoint(&Work::default())?;
                    self.expected.settle();
                }
                1 => {
                    index.flush()?;
                    self.expected.settle();
                }
                2 => {
                    index.migrate_step(1 + self.random.below(40))?;
                }
                3 => {
                    index.compact(&Work::default())?;
                    assert_eq!(contents(index), *self.expected.now());
                }
                _ => {
                    let write = Write::random(&mut self.random, self.expected.now());
                    let mut after = self.expected.now().clone();
                    write.apply(&mut after);
                    let done = write.run(index);
                    // One that fails in its sync may be there or not.
                    self.expected.written(after);
                    done?;
                    if self.durability == Durability::Fsync || self.crash == Crash::Process {
                        self.expected.settle();
                    }
                }
            }
        }
        Ok(())
    }

    /// Opens, works, crashes, and again. The disk at the end; the number of crashes that came in the middle of something.
    fn run(&mut self, disk: Simulated, sync: impl Fn(&Simulated)) -> usize {
        let mut disk = disk;
        let mut crashes = 0;
        for round in 0..6 {
            sync(&disk);
            self.crash = self.crashes[self.random.below(self.crashes.len())];
            // The last opening is left alone, so that a history ends with a look at all of it.
            if round < 5 {
                let fault = if self.random.below(2) == 0 { Fault::Full } else { Fault::Broken };
                disk.fail_as(self.random.below(120), true, fault);
            }
            match open_on(&disk, self.durability) {
                Ok(index) => {
                    let found = contents(&index);
                    let position = self.expected.possible.iter().rposition(|possible| *possible == found);
                    let Some(position) = position else {
                        panic!(
                            "{found:?} is none of {} contents, the last {:?}",
                            self.expected.possible.len(),
                            self.expected.now()
                        );
                    };
                    self.expected.possible.truncate(position + 1);
                    // What was seen after an opening is made durable by it.
                    self.expected.settle();
                    assert_sound(&index);
                    let worked = self.work(&index);
                    if worked.is_ok() && self.random.below(3) == 0 && index.close().is_ok() {
                        self.expected.settle();
                    }
                }
                Err(error) => assert!(disk.has_failed(), "round {round}: {error}"),
            }
            crashes += usize::from(disk.has_failed());
            disk = match self.crash {
                Crash::Process => disk.after_crash(),
                Crash::Power => {
                    let kept = [0, 2, 50, 90, 100][self.random.below(5)];
                    disk.after_power_loss(|| self.random.below(100) < kept)
                }
            };
        }
        crashes
    }
}

/// As many histories as asked for; `VICINAL_HISTORIES` for more.
fn count(default: u64) -> u64 {
    std::env::var("VICINAL_HISTORIES").ok().and_then(|count| count.parse().ok()).unwrap_or(default)
}

fn check(histories: u64, crashes: &'static [Crash], sync: impl Fn(&Simulated)) -> usize {
    let mut count = 0;
    for seed in 0..histories {
        // What is buffered may go with the power until an opening has succeeded, also after a crash of the process.
        let is_buffered = seed % 3 == 0 && crashes.len() == 1;
        let durability = if is_buffered { Durability::Buffered } else { Durability::Fsync };
        let expected = Expected { possible: vec![Vec::new()] };
        let mut history = History { random: Random(seed), durability, crashes, crash: crashes[0], expected };
        let run = std::panic::AssertUnwindSafe(|| history.run(Simulated::new(), &sync));
        match std::panic::catch_unwind(run) {
            Ok(more) => count += more,
            Err(panic) => {
                eprintln!("history {seed} ({durability:?}) went wrong");
                std::panic::resume_unwind(panic);
            }
        }
    }
    count
}

#[test]
fn a_power_loss_leaves_what_was_acknowledged() {
    let histories = count(500);
    let crashes = check(histories, &[Crash::Power], |_| {});
    assert!(crashes as u64 > histories, "{crashes} crashes in {histories} histories");
}

#[test]
fn a_crash_of_the_process_leaves_what_was_acknowledged() {
    let histories = count(200);
    let crashes = check(histories, &[Crash::Process], |_| {});
    assert!(crashes as u64 > histories, "{crashes} crashes in {histories} histories");
}

/// What a process has left unsynced when it crashed is what the next one builds on, until the power goes.
#[test]
fn a_power_loss_after_a_crash_leaves_what_was_acknowledged() {
    let histories = count(500);
    let crashes = check(histories, &BOTH, |_| {});
    assert!(crashes as u64 > histories, "{crashes} crashes in {histories} histories");
}

/// The null control: on a disk that does not sync, histories go wrong.
#[test]
fn without_syncs_power_losses_are_noticed() {
    let outcome = std::panic::catch_unwind(|| check(50, &[Crash::Power], Simulated::ignore_syncs));
    assert!(outcome.is_err(), "a disk that syncs nothing went unnoticed");
}
