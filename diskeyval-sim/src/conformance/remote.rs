//! A node in a process of its own, as the suite sees it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use diskeyval_core::Config;
use serde::Deserialize;

use super::AGES;
use super::served::{CYCLE, PART, SERVE};
use super::words::{Answered, Ask, Asked, Told};

pub(super) struct Remote {
    name: String,
    child: Mutex<Child>,
    input: Mutex<ChildStdin>,
    waiting: Arc<Mutex<Waiting>>,
}

/// Who waits for which answer.
#[derive(Default)]
struct Waiting {
    last: u64,
    /// Its process says no more.
    over: bool,
    answers: BTreeMap<u64, Sender<Told>>,
}

/// The process was gone before it had answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

impl Remote {
    /// Starts a node. What it writes to its error stream goes to a file.
    pub(super) fn start(config: &Config, log: &Path) -> Result<Remote, String> {
        let (mut child, mut lines) = spawn(SERVE, config, log);
        let first = lines.next();
        let started = first.as_deref().map(parse::<Result<(), String>>);
        if !matches!(started, Some(Ok(()))) {
            let _ = child.kill();
            let _ = child.wait();
            return Err(match started {
                Some(Err(why)) => why,
                _ => format!("its process ended without a word: {}", tail(log)),
            });
        }
        let waiting = Arc::new(Mutex::new(Waiting::default()));
        let handing_out = waiting.clone();
        let input = child.stdin.take().expect("it is piped");
        thread::spawn(move || {
            for line in lines {
                let Answered { number, told } = parse(&line);
                let waits = lock(&handing_out).answers.remove(&number);
                // Whoever has given up does not need it any more.
                waits.map(|waits| waits.send(told));
            }
            let mut waiting = lock(&handing_out);
            waiting.over = true;
            waiting.answers.clear();
        });
        let name = config.node_id.to_string();
        Ok(Remote { name, child: Mutex::new(child), input: Mutex::new(input), waiting })
    }

    /// Asks, and waits for the answer. That it comes at all is demanded here, for every request of every case.
    pub(super) fn ask(&self, ask: Ask, budget: Duration) -> Result<Told, Gone> {
        let what = format!("{:.80}", format!("{ask:?}"));
        match self.begin(ask, budget).recv_timeout(budget + AGES) {
            Ok(told) => Ok(told),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(Gone),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                panic!("{} has not answered {what}, which had {budget:?}", self.name)
            }
        }
    }

    /// Asks without waiting.
    pub(super) fn begin(&self, ask: Ask, budget: Duration) -> Receiver<Told> {
        let (sender, receiver) = mpsc::channel();
        let mut waiting = lock(&self.waiting);
        if waiting.over {
            return receiver;
        }
        waiting.last += 1;
        let number = waiting.last;
        waiting.answers.insert(number, sender);
        drop(waiting);
        let budget_ms = u64::try_from(budget.as_millis()).unwrap_or(u64::MAX);
        let mut line = serde_json::to_vec(&Asked { number, budget_ms, ask }).expect("plain data");
        line.push(b'\n');
        // If it cannot be written, the process is gone, and everybody is told so.
        let _ = lock(&self.input).write_all(&line);
        receiver
    }

    /// Kills it, as the power does: nobody gets a word.
    pub(super) fn kill(&self) {
        let mut child = lock(&self.child);
        // It may be over already.
        let _ = child.kill();
        child.wait().expect("a process of ours");
    }

    /// Waits for its end. Whether it was in order.
    pub(super) fn ended(&self) -> bool {
        let end = Instant::now() + AGES;
        loop {
            if let Some(status) = lock(&self.child).try_wait().expect("a process of ours") {
                return status.success();
            }
            assert!(Instant::now() < end, "the process of {} does not end", self.name);
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Has a process start and stop a node again and again. The error says what was left of it.
pub(super) fn cycle(config: &Config, log: &Path) -> Result<(), String> {
    let (mut child, mut lines) = spawn(CYCLE, config, log);
    let said = lines.next().map(|line| parse::<Result<(), String>>(&line));
    let _ = child.kill();
    let _ = child.wait();
    said.unwrap_or_else(|| Err(format!("its process ended without a word: {}", tail(log))))
}

/// Held while a process is started. Until it has become a program of its own, it has all sockets of this one: none that
/// is let go meanwhile is free.
pub(super) static STARTING: Mutex<()> = Mutex::new(());

fn spawn(part: &str, config: &Config, log: &Path) -> (Child, impl Iterator<Item = String> + use<>) {
    let log = File::options().create(true).append(true).open(log).expect("a file for its log");
    let program: PathBuf = env::current_exe().expect("the path of this program");
    let mut command = Command::new(program);
    command.env(PART, part).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
    let starting = lock(&STARTING);
    let mut child = command.spawn().expect("this program runs, so it can be started");
    drop(starting);
    let mut line = serde_json::to_vec(config).expect("plain data");
    line.push(b'\n');
    // If it cannot be written, the process is gone, and says so by its silence.
    let _ = child.stdin.as_mut().expect("it is piped").write_all(&line);
    let output = BufReader::new(child.stdout.take().expect("it is piped"));
    (child, output.lines().map_while(Result::ok))
}

fn parse<T: for<'de> Deserialize<'de>>(line: &str) -> T {
    serde_json::from_str(line).unwrap_or_else(|error| {
        panic!(
            "what a node's process writes to its standard output is the suite's alone: {error}: {line:.200}"
        )
    })
}

/// The end of a log.
pub(super) fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|text| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
