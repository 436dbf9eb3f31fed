//! Runs cases, and says how they went in the words of Rust's own harness.

use std::collections::VecDeque;
use std::env;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use super::remote::lock;

/// A case, ready to be run.
pub(super) struct Ready<'a> {
    pub(super) name: &'static str,
    pub(super) run: Box<dyn Fn() + Sync + 'a>,
}

/// How a run went.
pub(super) enum Verdict {
    /// There was nothing to be run, or something was wrong.
    Over(ExitCode),
    /// Every case there is was run, and passes.
    AllPass,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> ExitCode {
        match verdict {
            Verdict::Over(code) => code,
            Verdict::AllPass => ExitCode::SUCCESS,
        }
    }
}

/// What the command line says.
struct Options {
    /// What names have to hold, or be.
    wanted: Vec<String>,
    exact: bool,
    list: bool,
    /// How many cases run at once. They mostly wait.
    lanes: usize,
}

/// Runs what the command line asks for, on so many threads at the most.
pub(super) fn run(cases: &[Ready<'_>], most: usize) -> Verdict {
    let options = match Options::read(env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            say(&why);
            return Verdict::Over(ExitCode::FAILURE);
        }
    };
    let wanted: Vec<&Ready<'_>> = cases.iter().filter(|case| options.wants(case.name)).collect();
    if options.list {
        for case in wanted {
            say(&format!("{}: test", case.name));
        }
        return Verdict::Over(ExitCode::SUCCESS);
    }
    say(&format!("\nrunning {} tests", wanted.len()));
    let (count, left, begin) = (cases.len(), wanted.len(), Instant::now());
    let (queue, failed) = (Mutex::new(VecDeque::from(wanted)), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..options.lanes.min(most) {
            scope.spawn(|| {
                while let Some(case) = next(&queue) {
                    if !passes(case) {
                        lock(&failed).push(case.name);
                    }
                }
            });
        }
    });
    let failed = lock(&failed);
    let result = if failed.is_empty() { "ok" } else { "FAILED" };
    let (bad, out) = (failed.len(), count - left);
    say(&format!(
        "\ntest result: {result}. {} passed; {bad} failed; 0 ignored; 0 measured; {out} filtered out; finished in {:.2?}\n",
        left - bad,
        begin.elapsed()
    ));
    if !failed.is_empty() {
        say(&format!("failed: {}", failed.join(", ")));
        return Verdict::Over(ExitCode::FAILURE);
    }
    if out > 0 { Verdict::Over(ExitCode::SUCCESS) } else { Verdict::AllPass }
}

fn next<'c, 'a>(queue: &Mutex<VecDeque<&'c Ready<'a>>>) -> Option<&'c Ready<'a>> {
    lock(queue).pop_front()
}

/// Runs a case on a thread of its name, so that its panic says whose it is.
fn passes(case: &Ready<'_>) -> bool {
    let begin = Instant::now();
    let passed = thread::scope(|scope| {
        let thread = thread::Builder::new().name(case.name.to_owned());
        let running = thread.spawn_scoped(scope, || (case.run)());
        running.expect("a thread").join().is_ok()
    });
    let result = if passed { "ok" } else { "FAILED" };
    say(&format!("test {} ... {result} ({:.1?})", case.name, begin.elapsed()));
    passed
}

impl Options {
    fn read(args: impl IntoIterator<Item = String>) -> Result<Options, String> {
        let mut options = Options { wanted: Vec::new(), exact: false, list: false, lanes: 2 };
        let mut args = args.into_iter();
        while let Some(arg) = args.next() {
            let (name, value) =
                arg.split_once('=').map_or((arg.as_str(), None), |(name, value)| (name, Some(value)));
            match name {
                "--exact" => options.exact = true,
                "--list" => options.list = true,
                "--test-threads" => {
                    let value = value.map(str::to_owned).or_else(|| args.next());
                    let lanes = value.and_then(|value| value.parse().ok()).filter(|lanes| *lanes > 0);
                    options.lanes = lanes.ok_or("--test-threads: a number above 0 is wanted")?;
                }
                // No case is ever left out.
                "--ignored" => options.wanted.push("\0".to_owned()),
                "--format" | "--color" | "-Z" | "--logfile" | "--skip" if value.is_none() => {
                    args.next();
                }
                _ if name.starts_with('-') => {}
                _ => options.wanted.push(arg),
            }
        }
        Ok(options)
    }

    fn wants(&self, name: &str) -> bool {
        let one = |wanted: &String| if self.exact { name == wanted } else { name.contains(wanted.as_str()) };
        self.wanted.is_empty() || self.wanted.iter().any(one)
    }
}

/// A line for people. Nobody may be there to read it.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Options {
        Options::read(line.split_whitespace().map(str::to_owned)).expect("understood")
    }

    #[test]
    fn a_name_is_wanted_as_a_whole_or_in_part() {
        assert!(options("").wants("torn"));
        assert!(options("--nocapture --test-threads=1 tor").wants("torn"));
        assert!(!options("--exact tor").wants("torn") && options("--exact torn").wants("torn"));
        assert!(!options("--ignored").wants("torn"));
        assert_eq!(options("--format terse --test-threads 3 a").lanes, 3);
        assert_eq!(options("--format terse --test-threads 3 a").wanted, ["a"]);
        assert!(Options::read(["--test-threads".to_owned()]).is_err());
    }
}
