//! A job queue with leases: a worker beside each node takes jobs, does them, and says so in the store.
//!
//! Each job is one key. It is absent at first, then `taken by n2`, then `done by n2`. A worker takes a job by a
//! compare-and-set, and the revision of that is its **fencing token**: as long as the key has this revision, the
//! job is its own. If it dies, somebody else takes the job, who has found it taken and unchanged often enough.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use diskeyval_sim::observe::Violation;
use diskeyval_sim::program::{Answer, Change, Event, Expect, Hands, Outcome, Program, Ticket, Versioned};

/// How many jobs there are. One comes every half second.
const JOBS: u64 = 20;
const EVERY_NANOS: u64 = 500_000_000;

/// How long a job takes.
const WORK: Duration = Duration::from_millis(200);

/// How often an idle worker looks at a job, and how many times it looks at one that is taken before it takes it
/// from whoever had it. It counts, and does not measure: clocks jump.
const LOOK: Duration = Duration::from_millis(50);
const LOOKS: u32 = 10;

/// How a worker says that a job is done. This is the whole difference between the bug and its cure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Completion {
    /// By a plain set. The job was its own when it began, so what could go wrong?
    Careless,
    /// By a compare-and-set that expects the fencing token: it has no effect if somebody else has the job by now.
    Fenced,
}

/// The workers, and what the world knows of the jobs.
pub(crate) struct JobQueue {
    completion: Completion,
    /// What each worker has in its memory, which is lost with its node.
    workers: BTreeMap<usize, Worker>,
    /// Held beside the store: at which revision each job was done first, and what the store said then.
    done: BTreeMap<String, (u64, String)>,
    /// What was found wrong.
    wrong: Option<Violation>,
}

#[derive(Default)]
struct Worker {
    doing: Doing,
    job: u64,
    /// The question that it has asked last.
    asked: Option<Ticket>,
    /// Jobs that it knows to be done.
    done: BTreeSet<u64>,
    /// Jobs that it has found taken, at which revision, and how often.
    taken: BTreeMap<u64, (u64, u32)>,
}

/// What a worker does with its job.
#[derive(Clone, Copy, Default)]
enum Doing {
    #[default]
    Nothing,
    Looking,
    Taking,
    /// The job is its own, by this fencing token.
    Working(u64),
    Completing,
}

/// What a worker's timers are for.
const TAG_LOOK: u64 = 0;
const TAG_WORKED: u64 = 1;

impl Program for JobQueue {
    fn up(&mut self, hands: &mut Hands<'_, '_>, node: usize) {
        self.workers.insert(node, Worker::default());
        hands.wake_node_in(node, LOOK, TAG_LOOK);
    }

    fn down(&mut self, _: &mut Hands<'_, '_>, node: usize) {
        self.workers.remove(&node);
    }

    fn wake_node(&mut self, hands: &mut Hands<'_, '_>, node: usize, tag: u64) {
        let Some(worker) = self.workers.get_mut(&node) else { return };
        if tag == TAG_WORKED {
            return worker.complete(hands, node, self.completion);
        }
        hands.wake_node_in(node, LOOK, TAG_LOOK);
        if let Doing::Nothing = worker.doing {
            worker.look(hands, node);
        }
    }

    fn answered(&mut self, hands: &mut Hands<'_, '_>, node: usize, ticket: Ticket, answer: &Answer) {
        let Some(worker) = self.workers.get_mut(&node) else { return };
        if worker.asked != Some(ticket) {
            return;
        }
        match (worker.doing, answer) {
            (Doing::Looking, Answer::Read(Ok(found))) => {
                worker.take(hands, node, found.as_ref());
                // A node that was started anew does not tell again what it had kept: it may be known by looking alone.
                if let Some(found) = found.as_ref().filter(|found| found.value.starts_with(b"done")) {
                    let value = String::from_utf8_lossy(&found.value).into_owned();
                    self.done.entry(key(worker.job)).or_insert((found.revision, value));
                }
            }
            (Doing::Taking, Answer::Written(Ok(Outcome::Swapped { revision }))) => {
                hands.say(node, || format!("works on job {}, token {revision}", worker.job));
                hands.wake_node_in(node, WORK, TAG_WORKED);
                worker.doing = Doing::Working(*revision);
            }
            // Refused, or somebody was faster, or nobody knows: the next look will show.
            _ => worker.doing = Doing::Nothing,
        }
    }

    /// Every node tells every change, in order, but for those that it had kept before it was started anew. A job that is done stays as it is: else it was done twice.
    fn event(&mut self, _: &mut Hands<'_, '_>, _: usize, event: &Event) {
        let Event::Change(Change { key, value: Some(value), revision }) = event else { return };
        let [job, now] = [key, value].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        match self.done.get(&job) {
            Some((before, was)) if revision > before => {
                let what = format!("{job} was {was} at revision {before}, and {now} at revision {revision}");
                self.wrong.get_or_insert(Violation::new("DONE-ONCE", what));
            }
            None if now.starts_with("done") => drop(self.done.insert(job, (*revision, now))),
            _ => {}
        }
    }

    fn check(&self) -> Result<(), Violation> {
        self.wrong.clone().map_or(Ok(()), Err)
    }

    /// In the end all jobs are done, whoever died with one in his hands.
    fn done(&self) -> bool {
        self.done.len() as u64 == JOBS
    }
}

impl Worker {
    /// Looks at one of the jobs that have come and are not done, as far as it knows.
    fn look(&mut self, hands: &mut Hands<'_, '_>, node: usize) {
        let come = JOBS.min(hands.now.0 / EVERY_NANOS);
        let open: Vec<u64> = (0..come).filter(|job| !self.done.contains(job)).collect();
        if open.is_empty() {
            return;
        }
        self.job = *hands.choices().pick(&open);
        self.asked = hands.get(node, key(self.job));
        self.doing = Doing::Looking;
    }

    /// Takes a job that nobody has, or nobody seems to work on.
    fn take(&mut self, hands: &mut Hands<'_, '_>, node: usize, found: Option<&Versioned>) {
        self.doing = Doing::Nothing;
        let expect = match found {
            None => Expect::Absent,
            Some(found) if found.value.starts_with(b"done") => {
                self.done.insert(self.job);
                return;
            }
            Some(found) => {
                let (revision, looks) = self.taken.entry(self.job).or_default();
                *looks = if *revision == found.revision { *looks + 1 } else { 1 };
                *revision = found.revision;
                if *looks < LOOKS {
                    return;
                }
                Expect::Revision(found.revision)
            }
        };
        self.asked = hands.compare_and_set(node, key(self.job), expect, format!("taken by n{}", node + 1));
        self.doing = Doing::Taking;
    }

    /// The work is done, and the store shall know.
    fn complete(&mut self, hands: &mut Hands<'_, '_>, node: usize, completion: Completion) {
        let Doing::Working(token) = self.doing else { return };
        let (key, value) = (key(self.job), format!("done by n{}", node + 1));
        self.asked = match completion {
            Completion::Careless => hands.set(node, key, value),
            Completion::Fenced => hands.compare_and_set(node, key, Expect::Revision(token), value),
        };
        self.doing = Doing::Completing;
    }
}

impl JobQueue {
    /// No jobs are done yet.
    pub(crate) fn new(completion: Completion) -> JobQueue {
        JobQueue { completion, workers: BTreeMap::new(), done: BTreeMap::new(), wrong: None }
    }
}

fn key(job: u64) -> String {
    format!("job {job}")
}
