//! A child process, as its parent holds it.

use std::collections::BTreeMap;
use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::process::{Child as Process, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use diskeyval_sim::history::{Event, Operation, Record};
use diskeyval_sim::lines;
use rustix::process::{Pid, Signal, kill_process};

use super::kind::{Kind, answered};
use super::words::{MARK, Order, Setup, Tiding};

/// What a parent hears of a child.
pub(super) enum News {
    /// It says so.
    Told(Tiding),
    /// It reported the change that carries this mark.
    SawMark(String),
    /// It says nothing any more.
    Gone,
}

/// A child process. It never outlives this.
pub(super) struct Child {
    process: Process,
    orders: ChildStdin,
    notes: Arc<Mutex<Notes>>,
    reader: Option<JoinHandle<()>>,
}

/// What a child has written of the history, and what progress is told by.
#[derive(Default)]
pub(super) struct Notes {
    /// The lines, in their order.
    pub(super) records: Vec<Record>,
    /// How many operations were answered.
    pub(super) answered: usize,
    /// When the latest write was answered.
    pub(super) last_write: Option<u64>,
    /// What each client has begun, and not heard the end of.
    begun: BTreeMap<u64, Operation>,
}

impl Notes {
    fn add(&mut self, record: Record) {
        if let Record::Operation(operation) = &record {
            if operation.returned.is_none() {
                self.begun.insert(operation.client, operation.clone());
                return;
            }
            self.begun.remove(&operation.client);
        }
        if let Record::Operation(operation) = &record
            && let Some(kind) = answered(operation)
        {
            self.answered += 1;
            if kind != Kind::Get {
                self.last_write = self.last_write.max(operation.returned);
            }
        }
        self.records.push(record);
    }

    /// Nothing more is heard: what was begun is of unknown fate.
    pub(super) fn settle(&mut self) {
        let begun = std::mem::take(&mut self.begun);
        self.records.extend(begun.into_values().map(Record::Operation));
    }
}

impl Child {
    /// Starts one. What it says goes to `inbox`, under its number.
    pub(super) fn spawn(number: usize, inbox: Sender<(usize, News)>) -> io::Result<Child> {
        Child::spawn_with(Arc::default(), number, None, inbox)
    }

    /// Starts another in the place of one that is gone. It goes on with its notes, and listens there if it can.
    pub(super) fn replace(
        &mut self,
        number: usize,
        at: Option<SocketAddr>,
        inbox: Sender<(usize, News)>,
    ) -> io::Result<()> {
        // With its reader, all is noted that it has said.
        self.wait()?;
        self.notes(Notes::settle);
        *self = Child::spawn_with(self.notes.clone(), number, at, inbox)?;
        Ok(())
    }

    fn spawn_with(
        notes: Arc<Mutex<Notes>>,
        number: usize,
        at: Option<SocketAddr>,
        inbox: Sender<(usize, News)>,
    ) -> io::Result<Child> {
        let at = at.map(|address| ["--at".to_owned(), address.to_string()]);
        let mut process = Command::new(env::current_exe()?)
            // What a node has to warn of is known here: it is done to it.
            .args(["--log", "error", "demo-node"])
            .args(at.iter().flatten())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // An interrupt from the terminal is for the parent, which then ends its children in order.
            .process_group(0)
            .spawn()?;
        let (Some(orders), Some(told)) = (process.stdin.take(), process.stdout.take()) else {
            unreachable!("both were asked for")
        };
        let mut child = Child { process, orders, notes: notes.clone(), reader: None };
        let reader = thread::Builder::new().name(format!("reader-{number}"));
        child.reader = Some(reader.spawn(move || read(number, told, &notes, &inbox))?);
        Ok(child)
    }

    /// Tells it what to start.
    pub(super) fn set_up(&mut self, setup: &Setup) -> io::Result<()> {
        self.write(&serde_json::to_string(setup)?)
    }

    pub(super) fn order(&mut self, order: &Order) -> io::Result<()> {
        self.write(&order.to_line())
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        self.orders.write_all(format!("{line}\n").as_bytes())
    }

    /// Stops its threads where they are.
    pub(super) fn freeze(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets them go on.
    pub(super) fn thaw(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Ends it on the spot. That can be done again.
    pub(super) fn kill(&mut self) -> io::Result<()> {
        self.process.kill()
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.process), signal)?)
    }

    /// Waits for its end, once it has been told to end.
    pub(super) fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.process.wait()?;
        self.join_reader();
        Ok(status)
    }

    /// Looks into what it has written.
    pub(super) fn notes<T>(&self, look: impl FnOnce(&mut Notes) -> T) -> T {
        look(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn join_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            // If it panicked, the inbox says that the child is gone.
            let _ = reader.join();
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended long ago.
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.join_reader();
    }
}

/// Says that the child is gone, however reading ends.
struct Goodbye<'a>(usize, &'a Sender<(usize, News)>);

impl Drop for Goodbye<'_> {
    fn drop(&mut self) {
        // At the end nobody may want to know.
        let _ = self.1.send((self.0, News::Gone));
    }
}

fn read(number: usize, told: ChildStdout, notes: &Mutex<Notes>, inbox: &Sender<(usize, News)>) {
    let _goodbye = Goodbye(number, inbox);
    let mut told = BufReader::with_capacity(64 << 10, told);
    let mut line = Vec::new();
    while told.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        // A line that is cut off is the last thing that a killed process has begun to say.
        if line.pop() == Some(b'\n') {
            let news = match line.first() {
                Some(b'{') => match lines::parse_line(&line) {
                    Ok(record) => {
                        let mark = mark(&record).map(|value| News::SawMark(value.to_owned()));
                        notes.lock().unwrap_or_else(PoisonError::into_inner).add(record);
                        mark
                    }
                    Err(why) => Some(News::Told(Tiding::Trouble(format!("it wrote a bad line: {why}")))),
                },
                _ => Some(News::Told(tiding(&line))),
            };
            if news.is_some_and(|news| inbox.send((number, news)).is_err()) {
                return;
            }
        }
        line.clear();
    }
}

fn tiding(line: &[u8]) -> Tiding {
    let text = String::from_utf8_lossy(line);
    Tiding::parse(&text).unwrap_or_else(|| Tiding::Trouble(format!("it said something odd: {text:?}")))
}

fn mark(record: &Record) -> Option<&str> {
    match record {
        Record::Event(Event { key, value, .. }) if key == MARK => value.as_deref(),
        _ => None,
    }
}
