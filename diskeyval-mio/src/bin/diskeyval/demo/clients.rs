//! The clients of one node: threads that use its handle, and write down what they were told.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::Bytes;
use diskeyval_mio::{Error, Expect, Read, Swap};
use diskeyval_sim::history::{Action, Operation, Outcome, Record};
use diskeyval_sim::lines;

use super::clock;
use super::dice::Dice;
use super::node::Node;
use super::words::Work;

/// The clients at work.
pub(super) struct Crew {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl Crew {
    /// Sets them to work, until they are told to stop, or the node is no member any more.
    pub(super) fn start(node: &Node, work: &Work, removed: &Arc<AtomicBool>) -> io::Result<Crew> {
        let mut crew = Crew { stop: Arc::new(AtomicBool::new(false)), threads: Vec::new() };
        for &number in &work.clients {
            let (stop, removed, work) = (crew.stop.clone(), removed.clone(), work.clone());
            let client = Client::new(number, node.clone());
            let thread = thread::Builder::new().name(format!("client-{number}"));
            crew.threads.push(thread.spawn(move || client.work(&work, &[&stop, &removed]))?);
        }
        Ok(crew)
    }

    /// Lets each finish what it has begun.
    pub(super) fn stop(self) -> Result<(), String> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            match thread.join() {
                Ok(ended) => ended.map_err(|error| error.to_string())?,
                Err(_) => return Err("a client panicked".into()),
            }
        }
        Ok(())
    }
}

/// One client: it does one thing at a time.
pub(super) struct Client {
    number: u64,
    node: Node,
    /// How many values it has made up: no two are the same.
    values: u64,
}

impl Client {
    pub(super) fn new(number: u64, node: Node) -> Client {
        Client { number, node, values: 0 }
    }

    fn work(mut self, work: &Work, ends: &[&AtomicBool]) -> io::Result<()> {
        // Far enough apart for as many clients as there can be.
        let mut dice = Dice::new(work.seed ^ self.number.wrapping_mul(0xd6e8_feb8_6659_fd93));
        while !ends.iter().any(|end| end.load(Ordering::Relaxed)) {
            let key = format!("key-{}", dice.below(work.keys.max(1)));
            let chosen = if work.only_writes { 99 } else { dice.below(100) };
            match chosen {
                0..40 => {
                    self.get(&key)?;
                }
                40..50 => self.delete(&key)?,
                // Mostly of what is there, or hardly one would swap.
                50..65 => {
                    if let Some(found) = self.get(&key)? {
                        self.compare_and_set(&key, found)?;
                    }
                }
                65..67 => self.compare_and_set(&key, None)?,
                _ => {
                    let value = self.new_value();
                    self.set(&key, value)?;
                }
            }
            let (from, to) = work.pause;
            let pause = from + dice.below(to.saturating_sub(from) + 1);
            thread::sleep(Duration::from_micros(pause));
        }
        Ok(())
    }

    fn new_value(&mut self) -> String {
        self.values += 1;
        format!("{}-{}", self.number, self.values)
    }

    /// Writes the value, which must be new; tells whether that succeeded.
    pub(super) fn set(&self, key: &str, value: String) -> io::Result<bool> {
        self.begin(key, Action::Set { value: value.clone(), outcome: Outcome::Unknown })?;
        let call = clock::now();
        let answer = self.node.set(key.to_owned(), value.clone());
        let returned = clock::now();
        let revision = answer.as_ref().ok().map(|commit| commit.revision);
        let is_written = answer.is_ok();
        let action = Action::Set { value, outcome: outcome(answer, |_| ()) };
        self.record(key, action, (call, returned), revision)?;
        Ok(is_written)
    }

    /// What was found (inner `None`: absent), if there was an answer.
    fn get(&self, key: &str) -> io::Result<Option<Option<String>>> {
        let call = clock::now();
        let answer = self.node.get_with(key.to_owned(), Read::Linearizable);
        let returned = clock::now();
        let revision = answer.as_ref().ok().and_then(|found| Some(found.as_ref()?.revision));
        let told = answer.ok().map(|found| found.map(|versioned| text(&versioned.value)));
        // A read has no effect: if it fails, it fails for certain.
        let outcome = told.clone().map_or(Outcome::Refused, Outcome::Ok);
        self.record(key, Action::Get { outcome }, (call, returned), revision)?;
        Ok(told)
    }

    fn delete(&self, key: &str) -> io::Result<()> {
        self.begin(key, Action::Delete { outcome: Outcome::Unknown })?;
        let call = clock::now();
        let answer = self.node.delete(key.to_owned());
        let returned = clock::now();
        let revision = answer.as_ref().ok().map(|deleted| deleted.revision);
        let action = Action::Delete { outcome: outcome(answer, |deleted| deleted.found) };
        self.record(key, action, (call, returned), revision)
    }

    fn compare_and_set(&mut self, key: &str, expect: Option<String>) -> io::Result<()> {
        let value = self.new_value();
        let (expected, new) = (expect.clone(), Some(value.clone()));
        self.begin(key, Action::CompareAndSet { expect: expected, value: new, outcome: Outcome::Unknown })?;
        let expected = expect.clone().map_or(Expect::Absent, |value| Expect::Value(value.into()));
        let call = clock::now();
        let answer = self.node.compare_and_set(key.to_owned(), expected, value.clone());
        let returned = clock::now();
        let revision = answer.as_ref().ok().map(|swap| match swap {
            Swap::Swapped { revision } | Swap::Mismatch { revision, .. } => *revision,
        });
        let outcome = outcome(answer, |swap| swap.swapped());
        let action = Action::CompareAndSet { expect, value: Some(value), outcome };
        self.record(key, action, (call, returned), revision)
    }

    /// Writes down what is about to be tried: should this process be killed, it may have had its effect. (A read
    /// has none.)
    fn begin(&self, key: &str, action: Action) -> io::Result<()> {
        tell(&Record::Operation(Operation {
            client: self.number,
            key: key.to_owned(),
            action,
            call: clock::now(),
            returned: None,
            revision: None,
        }))
    }

    fn record(
        &self,
        key: &str,
        action: Action,
        (call, returned): (u64, u64),
        revision: Option<u64>,
    ) -> io::Result<()> {
        tell(&Record::Operation(Operation {
            client: self.number,
            key: key.to_owned(),
            action,
            call,
            returned: Some(returned),
            revision,
        }))
    }
}

/// Writes a line of the history for the parent.
pub(super) fn tell(record: &Record) -> io::Result<()> {
    say(lines::to_line(record))
}

/// Writes a line for the parent: whole lines only, whichever thread it is.
pub(super) fn say(mut line: String) -> io::Result<()> {
    line.push('\n');
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.flush()
}

/// Keys and values as text: only text is ever written.
pub(super) fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn outcome<T, U>(answer: Result<T, Error>, told: impl FnOnce(T) -> U) -> Outcome<U> {
    match answer {
        Ok(answer) => Outcome::Ok(told(answer)),
        Err(Error::Refused(_)) => Outcome::Refused,
        Err(Error::Unknown(_)) => Outcome::Unknown,
    }
}
