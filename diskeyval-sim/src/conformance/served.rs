//! The process of a node: it starts the adapter's node, and does what it is told by lines on its input.

use std::io::{self, BufRead, Write};
use std::process::{self, ExitCode};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};
use std::{env, thread};

use diskeyval_core::{Answer, Config, Request, Standing};
use serde::Serialize;

use super::leftovers::left;
use super::remote::lock;
use super::words::{Answered, Ask, Asked, Told};
use super::{AGES, Adapter, Node};

/// Tells a program that it is to be a node, and of what kind.
pub(super) const PART: &str = "DISKEYVAL_CONFORMANCE";

/// To be a node that does what it is told.
pub(super) const SERVE: &str = "serve";

/// To start and stop a node again and again, and to say what was left.
pub(super) const CYCLE: &str = "cycle";

/// How often a node is started for [`CYCLE`].
const CYCLES: usize = 5;

/// What this process is to be, if it is a node.
pub(super) fn part() -> Option<String> {
    env::var(PART).ok()
}

pub(super) fn serve(adapter: &impl Adapter, part: &str) -> ExitCode {
    let mut input = io::stdin().lock();
    let mut line = String::new();
    let config = match input.read_line(&mut line).map(|_| serde_json::from_str::<Config>(&line)) {
        Ok(Ok(config)) => config,
        other => {
            say(&Err::<(), _>(format!("no configuration: {other:?}")));
            return ExitCode::FAILURE;
        }
    };
    if part == CYCLE {
        drop(input);
        // If whoever has started this is gone, nobody wants to know.
        thread::spawn(|| {
            let _ = io::copy(&mut io::stdin(), &mut io::sink());
            process::exit(1)
        });
        say(&cycle(adapter, &config));
        return ExitCode::SUCCESS;
    }
    let node = match adapter.start(config) {
        Ok(node) => node,
        Err(why) => {
            say(&Err::<(), _>(why));
            return ExitCode::FAILURE;
        }
    };
    say(&Ok::<(), String>(()));
    let open = Open::default();
    thread::scope(|scope| {
        for line in input.lines() {
            let Some(asked) = line.ok().and_then(|line| serde_json::from_str::<Asked>(&line).ok()) else {
                break;
            };
            let (node, open) = (&node, &open);
            open.one_more();
            scope.spawn(move || answer(node, asked, open));
        }
        // Whoever has started this is gone, or wants it to be.
        process::exit(1)
    })
}

fn answer(node: &impl Node, asked: Asked, open: &Open) {
    let Asked { number, budget_ms, ask } = asked;
    let stops = matches!(ask, Ask::Stop);
    let told = match ask.request() {
        _ if stops => {
            node.stop();
            // Whatever was asked before has an answer by now, or gets it now: a node that has ended keeps nobody waiting.
            open.wait_for_the_others();
            Told::Stopped
        }
        Some(request) => node.ask(request, Duration::from_millis(budget_ms)).into(),
        None => Told::Strange("this cannot be asked".into()),
    };
    say(&Answered { number, told });
    if stops {
        process::exit(0)
    }
    open.one_less();
}

/// How many requests are being answered.
#[derive(Default)]
struct Open {
    count: Mutex<usize>,
    changed: Condvar,
}

impl Open {
    fn one_more(&self) {
        *lock(&self.count) += 1;
    }

    fn one_less(&self) {
        *lock(&self.count) -= 1;
        self.changed.notify_all();
    }

    /// Until no other is being answered. If that does not come about, the suite will miss the answer to this one.
    fn wait_for_the_others(&self) {
        let count = lock(&self.count);
        let _last = self.changed.wait_while(count, |count| *count > 1);
    }
}

/// A line to whoever has started this, whole and at once.
fn say(what: &impl Serialize) {
    static OUTPUT: Mutex<()> = Mutex::new(());
    let _one = OUTPUT.lock();
    let Ok(mut line) = serde_json::to_vec(what) else { process::exit(1) };
    line.push(b'\n');
    let mut output = io::stdout().lock();
    if output.write_all(&line).and_then(|()| output.flush()).is_err() {
        process::exit(1)
    }
}

/// Starts and stops a node that is alone in its cluster, several times. The error says what went wrong.
fn cycle(adapter: &impl Adapter, config: &Config) -> Result<(), String> {
    let left = || left(&|thread| adapter.is_of_the_process(thread));
    let mut first = None;
    for _ in 0..CYCLES {
        let node = adapter.start(config.clone())?;
        poll("the node serves", || match node.ask(Request::Status, AGES) {
            Answer::Status(status) => status.standing == Standing::Member,
            _ => false,
        })?;
        node.stop();
        drop(node);
        // Whatever belongs to the process, and not to a node, is there after the first.
        let first = *first.get_or_insert_with(&left);
        let is_back = || {
            let now = left();
            now.0 <= first.0 && now.1 <= first.1
        };
        poll("threads and descriptors are given back", is_back)
            .map_err(|why| format!("{why}: {:?} are left of {first:?}", left()))?;
    }
    Ok(())
}

fn poll(what: &str, mut holds: impl FnMut() -> bool) -> Result<(), String> {
    let end = Instant::now() + AGES;
    while !holds() {
        if Instant::now() > end {
            return Err(format!("in vain: {what}"));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
