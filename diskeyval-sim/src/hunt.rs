//! Many seeds, on several threads.

use core::ops::Range;
use core::time::Duration;
use std::sync::Mutex;

use xxhash_rust::xxh3::xxh3_128;

use crate::choice::Choices;
use crate::coverage::Coverage;
use crate::draw::{Wishes, draw};
use crate::observe::Violation;
use crate::run::{Ran, Wanted, run_without};

/// What a hunt is for.
#[derive(Clone, Debug)]
pub struct Quarry {
    /// The seeds.
    pub seeds: Range<u64>,
    /// What is not left to chance in any of them.
    pub wishes: Wishes,
    /// How many threads.
    pub jobs: usize,
    /// After so many seeds that fail, no more are begun.
    pub enough: usize,
    /// One of so many seeds has its whole history searched for an order, too. 0 for none.
    pub searched: u64,
    /// Rules that are looked away from.
    pub off: Vec<&'static str>,
}

/// What a hunt has come to. It does not depend on the number of threads, unless it ended early.
#[derive(Clone, Debug, Default)]
pub struct Bag {
    /// How many seeds were run.
    pub seeds: u64,
    /// Those that failed, in order.
    pub failed: Vec<(u64, Violation)>,
    /// What came about.
    pub coverage: Coverage,
    /// How much time was simulated.
    pub simulated: Duration,
    /// How many requests the clients made.
    pub asked: u64,
    /// How many of them were of unknown fate.
    pub unknown: u64,
    /// In how many seeds at least four requests were in flight at some moment.
    pub concurrent: u64,
    /// All runs in one number.
    pub digest: u128,
}

/// Draws the plan of a seed, and runs it.
pub fn run_seed(seed: u64, wishes: &Wishes, wanted: Wanted<'_>, off: &[&str]) -> Ran {
    let plan = draw(&mut Choices::from_seed(seed), wishes);
    run_without(&plan, wanted, off)
}

/// Hunts. `go_on` is asked before each seed, and is told what the bag holds by then.
pub fn hunt(quarry: &Quarry, go_on: &(dyn Fn(&Bag) -> bool + Sync)) -> Bag {
    let shared = Mutex::new((quarry.seeds.clone(), Bag::default()));
    let work = || {
        loop {
            let seed = {
                let (seeds, bag) = &mut *shared.lock().expect("no thread panics");
                if bag.failed.len() >= quarry.enough || !go_on(bag) {
                    return;
                }
                match seeds.next() {
                    Some(seed) => seed,
                    None => return,
                }
            };
            let searched = quarry.searched > 0 && seed % quarry.searched == 0;
            let wanted = Wanted { notes: None, history: searched };
            let ran = run_seed(seed, &quarry.wishes, wanted, &quarry.off);
            let (_, bag) = &mut *shared.lock().expect("no thread panics");
            bag.add(seed, ran);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..quarry.jobs.max(1) {
            scope.spawn(work);
        }
    });
    let (_, mut bag) = shared.into_inner().expect("no thread panics");
    bag.failed.sort_by_key(|(seed, _)| *seed);
    bag
}

impl Bag {
    fn add(&mut self, seed: u64, ran: Ran) {
        self.seeds += 1;
        self.coverage.add(&ran.coverage);
        self.simulated += ran.simulated;
        self.asked += ran.asked;
        self.unknown += ran.unknown;
        self.concurrent += u64::from(ran.most_in_flight >= 4);
        // A sum, so that the order in which threads finish does not matter.
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        bytes[8..].copy_from_slice(&ran.digest.to_le_bytes());
        self.digest = self.digest.wrapping_add(xxh3_128(&bytes));
        self.failed.extend(ran.violation.map(|violation| (seed, violation)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hunt_comes_to_the_same_on_one_thread_and_on_three() {
        let quarry = Quarry {
            seeds: 0..12,
            wishes: Wishes { hostile: Some(Duration::from_secs(3)), ..Wishes::default() },
            jobs: 1,
            enough: 1,
            searched: 4,
            off: Vec::new(),
        };
        let one = hunt(&quarry, &|_| true);
        let three = hunt(&Quarry { jobs: 3, ..quarry }, &|_| true);
        assert_eq!(one.failed, []);
        assert_eq!((one.seeds, one.digest, &one.coverage), (12, three.digest, &three.coverage));
    }
}
