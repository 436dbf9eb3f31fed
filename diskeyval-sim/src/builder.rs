//! A program of one's own in the simulator: [`Sim`].

mod outcome;

use core::fmt;
use core::ops::Range;
use core::time::Duration;

use diskeyval_core::MAX_MEMBERS;

use crate::choice::Choices;
use crate::draw::{Wishes, draw};
use crate::faults::Fault;
use crate::notes::Note;
use crate::observe::Checker;
use crate::plan::{Plan, What};
use crate::program::Program;
use crate::run::{Ran, invariants, run_program};
use crate::shrink::{Shrunk, shrink_by};
use crate::world::Watchers;
pub use outcome::{Hunted, Outcome};

/// A simulation of a program of one's own, on top of a whole cluster: how many nodes, which faults, for how long.
///
/// The program is a [`Program`]. Its nodes are real engines; time, network, disks and clocks are simulated, and the seed
/// decides everything that happens to them. What must always hold of the program, the program says itself; what must
/// always hold of the store is watched as well.
///
/// A counter that each node increments: it reads the number, and writes the next one. That is wrong, since two
/// nodes may have read the same number. The simulator finds it out:
///
/// ```
/// use std::time::Duration;
///
/// use diskeyval_sim::Sim;
/// use diskeyval_sim::faults::Fault;
/// use diskeyval_sim::observe::Violation;
/// use diskeyval_sim::program::{Answer, Event, Expect, Hands, Outcome, Program, Ticket};
///
/// const TICK: Duration = Duration::from_millis(100);
///
/// #[derive(Default)]
/// struct Counter {
///     swaps: bool,  // whether this is the version that is right
///     counted: u64, // beside the store: how often somebody was told that it has counted
///     count: u64,   // beside the store: the highest number that was ever there
/// }
///
/// impl Program for Counter {
///     fn up(&mut self, hands: &mut Hands<'_, '_>, node: usize) {
///         hands.wake_node_in(node, TICK, 0);
///     }
///
///     fn wake_node(&mut self, hands: &mut Hands<'_, '_>, node: usize, _: u64) {
///         hands.get(node, "count");
///         hands.wake_node_in(node, TICK, 0);
///     }
///
///     fn answered(&mut self, hands: &mut Hands<'_, '_>, node: usize, _: Ticket, answer: &Answer) {
///         match answer {
///             Answer::Read(Ok(None)) => drop(hands.compare_and_set(node, "count", Expect::Absent, "1")),
///             Answer::Read(Ok(Some(found))) => {
///                 let next = (number(&found.value) + 1).to_string();
///                 match self.swaps {
///                     true => hands.compare_and_set(node, "count", Expect::Revision(found.revision), next),
///                     false => hands.set(node, "count", next),
///                 };
///             }
///             Answer::Written(Ok(Outcome::Set { .. } | Outcome::Swapped { .. })) => self.counted += 1,
///             _ => {} // refused, or nobody knows, or somebody was faster: there is another tick
///         }
///     }
///
///     fn event(&mut self, _: &mut Hands<'_, '_>, _: usize, event: &Event) {
///         if let Event::Change(change) = event && change.key == "count" {
///             self.count = self.count.max(change.value.as_deref().map_or(0, number));
///         }
///     }
///
///     fn finish(&mut self) -> Result<(), Violation> {
///         let what = format!("{} were counted, and the count is {}", self.counted, self.count);
///         if self.count < self.counted { Err(Violation::new("COUNT", what)) } else { Ok(()) }
///     }
/// }
///
/// fn number(text: &[u8]) -> u64 {
///     std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(0)
/// }
///
/// let faults = [Fault::Crash, Fault::Partition];
/// let sim = Sim::builder().nodes(3).faults(faults).time(Duration::from_secs(5)).build()?;
///
/// let hunted = sim.hunt(0..100, Counter::default)?;
/// let failure = hunted.failure.expect("it does not swap");
/// println!("{failure}"); // seed 0: violated: COUNT: 248 were counted, and the count is 104
/// # assert_eq!(failure.violation.map(|violation| violation.rule), Some("COUNT"));
///
/// sim.assert_clean(0..10, || Counter { swaps: true, ..Counter::default() });
/// # Ok::<(), diskeyval_sim::builder::Impossible>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sim {
    seed: u64,
    wishes: Wishes,
    planned_asks: bool,
    off: Vec<&'static str>,
    trace: bool,
    tries: u64,
}

/// Says what a [`Sim`] shall be. What is not said, each seed draws for itself.
#[derive(Clone, Debug)]
#[must_use = "nothing is simulated before `build` and `run`"]
pub struct Builder {
    sim: Sim,
}

/// What was wanted is impossible.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Impossible {
    /// A cluster has 1 to 7 nodes.
    Nodes(usize),
    /// A run takes some time, and at most a day.
    Time(Duration),
    /// There is no seed in this range.
    Seeds(Range<u64>),
    /// A plan that was made by hand cannot be carried out; the sentence says why.
    Plan(String),
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Impossible::Nodes(nodes) => {
                write!(f, "{nodes} nodes are no cluster: take 1 to {MAX_MEMBERS}, or let each seed draw it")
            }
            Impossible::Time(time) => {
                write!(f, "a run cannot be hostile for {time:?}: take more than nothing and at most a day")
            }
            Impossible::Seeds(Range { start, end }) => {
                write!(
                    f,
                    "there is no seed in {start}..{end}: the second number must be the larger, as in 0..100"
                )
            }
            Impossible::Plan(why) => write!(f, "the plan cannot be carried out: {why}"),
        }
    }
}

impl std::error::Error for Impossible {}

/// How many plans shrinking tries, unless something else is said.
const TRIES: u64 = 1000;

/// The longest time that a run may be hostile.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

impl Builder {
    /// How many nodes, 1 to 7.
    pub fn nodes(mut self, nodes: usize) -> Builder {
        self.sim.wishes.nodes = Some(nodes);
        self
    }

    /// Which kinds of faults there are: all of these in each seed, and no others. None at all is possible, too.
    pub fn faults(mut self, faults: impl IntoIterator<Item = Fault>) -> Builder {
        self.sim.wishes.faults = Some(faults.into_iter().collect());
        self
    }

    /// For how long there are faults, in simulated time. After that a majority is left alone, and the run goes on until
    /// everything has settled: some ten seconds more.
    pub fn time(mut self, time: Duration) -> Builder {
        self.sim.wishes.hostile = Some(time);
        self
    }

    /// What everything is drawn from in [`Sim::run`]; 0 otherwise.
    pub fn seed(mut self, seed: u64) -> Builder {
        self.sim.seed = seed;
        self
    }

    /// Looks away from these rules of the store, or of the program: `S11`, say. A rule about how soon things
    /// happen (`V1` to `V6`, `P1`) ends the run where it would be violated.
    pub fn without(mut self, rules: impl IntoIterator<Item = &'static str>) -> Builder {
        self.sim.off.extend(rules);
        self
    }

    /// Has the requests of the standard clients in the plan, and gives them to [`Program::planned`]: a workload that is drawn
    /// from the seed, and shrinks with it.
    pub fn planned_asks(mut self, wanted: bool) -> Builder {
        self.sim.planned_asks = wanted;
        self
    }

    /// Keeps everything that happens, for [`Outcome::trace`] and [`Outcome::html`]. [`Sim::hunt`] does that for
    /// the seed that fails, at no cost for the others.
    pub fn trace(mut self, wanted: bool) -> Builder {
        self.sim.trace = wanted;
        self
    }

    /// How many plans shrinking may try; 1000 otherwise.
    pub fn shrink_tries(mut self, tries: u64) -> Builder {
        self.sim.tries = tries;
        self
    }

    /// Checks what was said.
    ///
    /// # Errors
    /// [`Impossible`] nodes or times.
    pub fn build(self) -> Result<Sim, Impossible> {
        let Wishes { nodes, hostile, .. } = self.sim.wishes;
        if let Some(nodes) = nodes.filter(|nodes| !(1..=MAX_MEMBERS).contains(nodes)) {
            return Err(Impossible::Nodes(nodes));
        }
        if let Some(time) = hostile.filter(|time| time.is_zero() || *time > LONGEST) {
            return Err(Impossible::Time(time));
        }
        Ok(self.sim)
    }

    /// Runs one seed: [`Builder::build`], then [`Sim::run`].
    ///
    /// # Errors
    /// [`Impossible`] nodes or times.
    pub fn run(self, program: &mut dyn Program) -> Result<Outcome, Impossible> {
        Ok(self.build()?.run(program))
    }
}

impl Sim {
    /// A simulation of which everything is left to the seed.
    pub fn builder() -> Builder {
        Builder {
            sim: Sim {
                seed: 0,
                wishes: Wishes { whole: true, ..Wishes::default() },
                planned_asks: false,
                off: Vec::new(),
                trace: false,
                tries: TRIES,
            },
        }
    }

    /// Runs the seed that was set. `program` begins as it is, and is what it has become afterwards.
    pub fn run(&self, program: &mut dyn Program) -> Outcome {
        self.run_seed(self.seed, program)
    }

    /// Runs a seed.
    pub fn run_seed(&self, seed: u64, program: &mut dyn Program) -> Outcome {
        self.outcome(seed, self.plan(seed), program, Vec::new())
    }

    /// What a seed will do, as a plan; its text is a schedule file.
    pub fn plan(&self, seed: u64) -> Plan {
        let mut plan = draw(&mut Choices::from_seed(seed), &self.wishes);
        // A program has to be done in the end, and so has a cluster that serves it.
        plan.setting.ruin = false;
        if !self.planned_asks {
            plan.deeds.retain(|deed| !matches!(deed.what, What::Ask(_)));
        }
        plan
    }

    /// Carries out a plan: one that was shrunk, or read from a schedule file with [`Plan::parse`]. What was wished of
    /// nodes, faults and time does not count then.
    ///
    /// # Errors
    /// [`Impossible::Plan`] if it was made by hand, and not well.
    pub fn run_plan(&self, plan: &Plan, program: &mut dyn Program) -> Result<Outcome, Impossible> {
        self.run_watched(plan, program, Vec::new())
    }

    /// The same, with checkers of one's own that see every turn of every node.
    ///
    /// # Errors
    /// [`Impossible::Plan`] if it was made by hand, and not well.
    pub fn run_watched(
        &self,
        plan: &Plan,
        program: &mut dyn Program,
        checkers: Vec<&mut dyn Checker>,
    ) -> Result<Outcome, Impossible> {
        plan.check().map_err(Impossible::Plan)?;
        Ok(self.outcome(plan.setting.noise, plan.clone(), program, checkers))
    }

    /// Runs one seed after the other, each with a fresh program, up to the first that fails. That one is run
    /// once more, to be told in detail.
    ///
    /// # Errors
    /// [`Impossible::Seeds`] if there are none: a hunt for nothing finds nothing.
    pub fn hunt<P: Program>(
        &self,
        seeds: Range<u64>,
        mut fresh: impl FnMut() -> P,
    ) -> Result<Hunted, Impossible> {
        if seeds.is_empty() {
            return Err(Impossible::Seeds(seeds));
        }
        let mut hunted = Hunted::default();
        for seed in seeds {
            let ran = self.ran(&self.plan(seed), &mut fresh(), Vec::new(), None);
            hunted.seeds += 1;
            hunted.simulated += ran.simulated;
            hunted.coverage.add(&ran.coverage);
            if ran.violation.is_some() {
                let told = Sim { trace: true, ..self.clone() };
                hunted.failure = Some(told.run_seed(seed, &mut fresh()));
                break;
            }
        }
        Ok(hunted)
    }

    /// Makes a plan that fails as small as it can be while it breaks the same rule; each attempt has a fresh program.
    /// `None` if it does not fail.
    pub fn shrink<P: Program>(&self, plan: &Plan, mut fresh: impl FnMut() -> P) -> Option<Shrunk> {
        plan.check().ok()?;
        let mut run = |plan: &Plan| self.ran(plan, &mut fresh(), Vec::new(), None);
        shrink_by(plan, &mut run, &mut |tried| tried < self.tries)
    }

    /// For tests: hunts, and if a seed fails, shrinks it and panics with all that is needed to see it again.
    ///
    /// # Panics
    /// If a seed fails, or there is none.
    pub fn assert_clean<P: Program>(&self, seeds: Range<u64>, mut fresh: impl FnMut() -> P) {
        match self.hunt(seeds, &mut fresh) {
            Err(impossible) => panic!("{impossible}"),
            Ok(Hunted { failure: None, .. }) => {}
            Ok(Hunted { failure: Some(failure), .. }) => match self.shrink(&failure.plan, fresh) {
                None => panic!(
                    "{failure}\nThe same seed then passed: the program takes time or chance from elsewhere than its hands."
                ),
                Some(shrunk) => panic!(
                    "{failure}\nThe smallest schedule that was found breaks it, too: {}\n\n{}\n\
                     To see it again: Sim::run_seed({}, …), or Plan::parse of the schedule and Sim::run_plan.",
                    shrunk.violation, shrunk.plan, failure.seed
                ),
            },
        }
    }

    fn outcome(
        &self,
        seed: u64,
        plan: Plan,
        program: &mut dyn Program,
        checkers: Vec<&mut dyn Checker>,
    ) -> Outcome {
        let mut notes = Vec::new();
        let ran = self.ran(&plan, program, checkers, self.trace.then_some(&mut notes));
        let Ran { violation, coverage, digest, simulated, .. } = ran;
        Outcome { seed, plan, violation, simulated, digest, coverage, notes }
    }

    /// Carries out a plan that is possible.
    fn ran(
        &self,
        plan: &Plan,
        program: &mut dyn Program,
        checkers: Vec<&mut dyn Checker>,
        notes: Option<&mut Vec<Note>>,
    ) -> Ran {
        let mut invariants = invariants(plan).without(&self.off);
        let mut watchers = Watchers::new(vec![&mut invariants], None);
        for checker in checkers {
            watchers.checkers.push(checker);
        }
        if let Some(notes) = notes {
            watchers.notes = Some(Box::new(|note| notes.push(note)));
        }
        let noise = Choices::from_seed(plan.setting.noise);
        let mut ran = run_program(plan, noise, program, watchers);
        ran.violation = ran.violation.filter(|violation| !self.off.contains(&violation.rule));
        ran
    }
}
