//! `demo` and `failover`, as their users run them: whole clusters of processes, disturbed and judged.
#![cfg(unix)]

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use diskeyval_sim::{check, lines};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long anything may take on a busy machine. No test waits for it to pass.
const AGES: Duration = Duration::from_secs(120);

/// Several clusters at once would be a test of the machine.
fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn diskeyval() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_diskeyval"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What a command said, and with which code it ended.
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Done {
    /// The figures in the last line.
    fn figures(&self) -> Value {
        let last = self.stdout.lines().last().unwrap_or_else(|| panic!("no report: {}", self.stderr));
        serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

/// Waits for the end of a process, but not for ever.
fn finish(mut process: Child) -> Done {
    let (mut stdout, mut stderr) =
        (process.stdout.take().expect("piped"), process.stderr.take().expect("piped"));
    let (sender, ended) = mpsc::channel();
    let pid = Pid::from_child(&process);
    thread::spawn(move || {
        let reading = thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).map(|_| text)
        });
        let mut text = String::new();
        stdout.read_to_string(&mut text).expect("text");
        let stderr = reading.join().expect("no panic").expect("text");
        let code = process.wait().expect("an end").code();
        // Whoever waited may have given up.
        let _ = sender.send(Done { code, stdout: text, stderr });
    });
    ended.recv_timeout(AGES).unwrap_or_else(|_| {
        kill_process(pid, Signal::KILL).expect("killed");
        panic!("it does not end");
    })
}

/// The next line that has this in it.
fn line_with(words: &str, stderr: &mut impl BufRead) -> String {
    let mut line = String::new();
    while !line.contains(words) {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).expect("text"), 0, "it ended too early");
    }
    line
}

#[test]
fn a_demo_loses_its_leader_and_nothing_else() {
    let _alone = alone();
    let file = std::env::temp_dir().join(format!("diskeyval-demo-{}.jsonl", std::process::id()));
    let run =
        diskeyval().args(["demo", "--memory", "--seconds", "6", "--json", "--history"]).arg(&file).spawn();
    let done = finish(run.expect("a process"));
    let history = lines::read(BufReader::new(File::open(&file).expect("a history")));
    std::fs::remove_file(&file).expect("removed");
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);

    let figures = done.figures();
    let figure = |name: &str| figures[name].as_f64().unwrap_or_else(|| panic!("{name}: {figures}"));
    for name in ["lost", "duplicated", "stale", "other_violations", "undecided"] {
        assert_eq!(figure(name), 0.0, "{name}: {figures}");
    }
    for name in ["writes", "reads", "longest_pause_ms", "leader_changes", "disturbances"] {
        assert!(figure(name) > 0.0, "{name}: {figures}");
    }
    assert!(figure("elections") >= 2.0, "{figures}");
    assert!(done.stderr.contains("the leader, is frozen"), "{}", done.stderr);

    let report = check(&history.expect("a history that is understood"));
    assert!(report.is_clean() && report.undecided.is_empty(), "{report}");
    assert_eq!(report.nodes, 3, "every node reported");
    assert_eq!(report.operations as f64, figure("operations"));
}

#[test]
fn an_interrupt_ends_a_demo_early_with_a_report() {
    let _alone = alone();
    let mut process = diskeyval().args(["demo", "--seconds", "600", "--json"]).spawn().expect("a process");
    let mut stderr = BufReader::new(process.stderr.take().expect("piped"));
    line_with("the leader, is ", &mut stderr);
    process.stderr = Some(stderr.into_inner());
    kill_process(Pid::from_child(&process), Signal::INT).expect("signalled");
    let done = finish(process);
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    let figures = done.figures();
    assert!(figures["writes"].as_u64() > Some(0), "{figures}");
    assert!(figures["seconds"].as_f64() < Some(600.0), "{figures}");
}

/// Not even one that is frozen when its parent is killed stays behind.
#[cfg(target_os = "linux")]
#[test]
fn children_end_with_their_parent() {
    let _alone = alone();
    let args = ["demo", "--memory", "--seconds", "600"];
    let mut process = diskeyval().args(args).spawn().expect("a process");
    let mut stderr = BufReader::new(process.stderr.take().expect("piped"));
    line_with("is frozen", &mut stderr);
    let children = children_of(process.id());
    assert_eq!(children.len(), 3, "{children:?}");
    process.kill().expect("killed");
    process.wait().expect("an end");
    let end = std::time::Instant::now() + AGES;
    // They are nobody's children now, so their end can only be looked for.
    while let Some(pid) = children.iter().find(|pid| is_alive(**pid)) {
        assert!(std::time::Instant::now() < end, "{pid:?} is still there");
        thread::yield_now();
    }
}

/// Writes went on without a pause of note, where the npm package stopped for nine seconds.
#[cfg(target_os = "linux")]
#[test]
fn a_frozen_follower_does_not_slow_the_writes_of_others() {
    let _alone = alone();
    let args = ["demo", "--seconds", "6", "--disturb-every", "0", "--json"];
    let mut process = diskeyval().args(args).spawn().expect("a process");
    let mut stderr = BufReader::new(process.stderr.take().expect("piped"));
    let leads = line_with(" leads", &mut stderr);
    // Started in the order of their names.
    let follower = (0..3).find(|number| !leads.contains(&format!("node-{} leads", number + 1)));
    let follower = children_of(process.id())[follower.expect("one that does not lead")];
    kill_process(follower, Signal::STOP).expect("frozen");
    line_with("the clients end", &mut stderr);
    kill_process(follower, Signal::CONT).expect("let go on");
    process.stderr = Some(stderr.into_inner());
    let done = finish(process);
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    let figures = done.figures();
    assert!(figures["longest_pause_ms"].as_f64() < Some(2_000.0), "{figures}");
}

/// A process that has ended, and for which nobody has waited yet, does not count.
#[cfg(target_os = "linux")]
fn is_alive(pid: Pid) -> bool {
    if rustix::process::test_kill_process(pid).is_err() {
        return false;
    }
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with(['Z', 'X']) && !rest.is_empty())
}

#[cfg(target_os = "linux")]
fn children_of(parent: u32) -> Vec<Pid> {
    let file = format!("/proc/{parent}/task/{parent}/children");
    let text = std::fs::read_to_string(file).expect("a list of children");
    text.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)).collect()
}

#[test]
fn a_killed_leader_is_replaced_in_time_and_nothing_is_lost() {
    let _alone = alone();
    let done = finish(diskeyval().args(["failover", "--rounds", "1", "--json"]).spawn().expect("a process"));
    let figures = done.figures();
    assert_eq!(figures["rounds"].as_u64(), Some(1), "{figures}");
    for name in ["lost", "duplicated", "stale", "other_violations"] {
        assert_eq!(figures[name].as_u64(), Some(0), "{name}: {figures}");
    }
    assert!(figures["median_ms"].as_f64() > Some(0.0), "{figures}");
    // Whether the aim is met is up to the machine, but the exit code has to say the same as the figures.
    let expected = if figures["within_limits"] == true { 0 } else { 1 };
    assert_eq!(done.code, Some(expected), "{figures}\n{}", done.stderr);
}

/// Each node in turn forgets everything, is taken in again, and nothing that was acknowledged is lost.
#[cfg(unix)]
#[test]
fn a_rolling_restart_in_memory_loses_nothing() {
    let _alone = alone();
    let args =
        ["demo", "--seconds", "8", "--memory", "--kills", "--disturb-every", "1", "--disturb-for", "200"];
    let done = finish(diskeyval().args(args).arg("--json").spawn().expect("a process"));
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    let figures = done.figures();
    assert!(figures["disturbances"].as_u64() > Some(1), "{figures}\n{}", done.stderr);
    for name in ["lost", "duplicated", "stale", "other_violations"] {
        assert_eq!(figures[name].as_u64(), Some(0), "{name}: {figures}");
    }
}

/// From three to five and back, the leader among those who go, while others are killed.
#[test]
fn members_come_and_go_under_load_and_nothing_is_lost() {
    let _alone = alone();
    let args = ["demo", "--seconds", "15", "--reshape", "--disturb-every", "2", "--disturb-for", "400"];
    let done = finish(diskeyval().args(args).arg("--json").spawn().expect("a process"));
    assert_eq!(done.code, Some(0), "{}\n{}", done.stdout, done.stderr);
    let figures = done.figures();
    for (name, least) in
        [("grown_and_shrunk", 1), ("member_changes", 6), ("leaders_removed", 1), ("disturbances", 2)]
    {
        assert!(figures[name].as_u64() >= Some(least), "{name}: {figures}\n{}", done.stderr);
    }
    for name in ["lost", "duplicated", "stale", "other_violations", "undecided"] {
        assert_eq!(figures[name].as_u64(), Some(0), "{name}: {figures}");
    }
    assert!(done.stderr.contains("know that they are removed, and have disturbed nobody"), "{}", done.stderr);
}

/// Nodes announce where they listen, and could be met there. Who is cut off must be met nowhere.
#[test]
fn a_leader_that_is_cut_off_is_replaced() {
    let _alone = alone();
    let args = ["demo", "--memory", "--seconds", "600", "--disturb-every", "1"];
    let mut process = diskeyval().args(args).spawn().expect("a process");
    let mut stderr = BufReader::new(process.stderr.take().expect("piped"));
    let cut_off = line_with("is cut off", &mut stderr);
    let name = cut_off.split_whitespace().find(|word| word.starts_with("node-")).expect("a name");
    let next = line_with("node-", &mut stderr);
    assert!(
        next.contains(" leads, in term") && !next.contains(name.trim_end_matches(',')),
        "{cut_off}{next}"
    );
    process.kill().expect("killed");
    process.wait().expect("an end");
}

#[test]
fn what_cannot_be_is_refused_before_anything_starts() {
    for (args, word) in [
        (&["demo", "--nodes", "2"][..], "--nodes"),
        (&["demo", "--disturb-every", "often"], "--disturb-every"),
        (&["demo", "--seconds", "0"], "--seconds"),
        (&["failover", "--rounds", "none"], "--rounds"),
        (&["demo", "--memory", "--data", "x"], "--data"),
        (&["demo", "--memory", "--reshape"], "--reshape"),
        (&["demo", "--nodes", "6", "--reshape"], "--nodes"),
    ] {
        let done = finish(diskeyval().args(args).spawn().expect("a process"));
        assert_eq!(done.code, Some(2), "{args:?}: {}", done.stderr);
        assert!(done.stderr.contains(word) && done.stdout.is_empty(), "{args:?}: {}", done.stderr);
    }
    let run = diskeyval().args(["demo", "--history", "/no/such/directory/file"]).spawn();
    let done = finish(run.expect("a process"));
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(done.stderr.contains("/no/such/directory/file"), "{}", done.stderr);
    let full = std::env::temp_dir();
    let run = diskeyval().args(["demo", "--data"]).arg(&full).spawn();
    let done = finish(run.expect("a process"));
    assert_eq!(done.code, Some(1), "{}", done.stderr);
    assert!(done.stderr.contains("is not empty"), "{}", done.stderr);
}
