//! The command as a process among processes, as its tests use it.

// Each of them uses a part.
#![allow(dead_code)]

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Nothing here takes nearly as long; a machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A directory that is gone at the end.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("diskeyval-command-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a directory");
        Scratch(path)
    }

    /// With certificates of these nodes.
    pub(crate) fn with_certs(nodes: &[&str]) -> Scratch {
        let dir = Scratch::new();
        let done = run(["certs", "--dir", dir.path()].iter().chain(nodes));
        assert!(done.status.success(), "{}", text(&done.stderr));
        dir
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("a name that is text")
    }

    pub(crate) fn copy(&self, from: &str, to: &str) {
        fs::copy(self.0.join(from), self.0.join(to)).expect(from);
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn diskeyval() -> Command {
    Command::new(env!("CARGO_BIN_EXE_diskeyval"))
}

/// Runs a command that ends by itself.
pub(crate) fn run<'a>(args: impl IntoIterator<Item = &'a &'a str>) -> Output {
    diskeyval().args(args).stdin(Stdio::null()).output().expect("it runs")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "in vain: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Ports that are free, each given once. They are none of those that systems give to whoever dials (from
/// 32768 on, or 49152): such a one, once let go, could be taken by a connection before its node starts.
pub(crate) fn ports<const N: usize>() -> [u16; N] {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    [(); N].map(|()| {
        loop {
            // Another run of these tests begins elsewhere.
            let place =
                std::process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
            let port = 10_000 + u16::try_from(place % 20_000).expect("small");
            if TcpListener::bind(("127.0.0.1", port)).is_ok() {
                return port;
            }
        }
    })
}

/// A node in a process of its own.
pub(crate) struct Node {
    pub(crate) child: Child,
    pub(crate) input: Option<ChildStdin>,
    answers: Receiver<String>,
    errors: Receiver<String>,
}

impl Node {
    pub(crate) fn start(dir: &Scratch, id: &str, listen: u16, peers: &[(&str, u16)], more: &[&str]) -> Node {
        let mut command = diskeyval();
        command.args(["node", "--id", id, "--certs", dir.path()]);
        command.args(["--listen", &format!("127.0.0.1:{listen}")]);
        for (peer, port) in peers {
            command.args(["--peer", &format!("{peer}=127.0.0.1:{port}")]);
        }
        let piped = command.args(more).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().expect("it runs");
        let input = child.stdin.take();
        let answers = lines(child.stdout.take().expect("piped"));
        let errors = lines(child.stderr.take().expect("piped"));
        let node = Node { child, input, answers, errors };
        node.error("ready 127.0.0.1:");
        node
    }

    /// Waits for a line on stderr that begins so.
    pub(crate) fn error(&self, start: &str) -> String {
        let end = Instant::now() + PATIENCE;
        let mut seen = Vec::new();
        loop {
            match self.errors.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) if line.starts_with(start) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("no line {start:?} on stderr ({error}): {seen:#?}"),
            }
        }
    }

    /// What it has said on stderr, and nobody has waited for.
    pub(crate) fn errors_so_far(&self) -> Vec<String> {
        self.errors.try_iter().collect()
    }

    pub(crate) fn ask(&mut self, line: impl AsRef<[u8]>) -> String {
        let input = self.input.as_mut().expect("not closed");
        input.write_all(line.as_ref()).and_then(|()| input.write_all(b"\n")).expect("it reads");
        self.answer()
    }

    pub(crate) fn answer(&self) -> String {
        self.answers.recv_timeout(PATIENCE).expect("an answer")
    }

    pub(crate) fn json(&mut self, line: &str) -> Value {
        let answer = self.ask(line);
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{line}: {error}: {answer}"))
    }

    /// Writes until it is committed; what came before the quorum was there is refused without effect. On a slow machine
    /// an answer may come too late, and the same is written again.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        until("a write is committed", || {
            let answer = self.ask(format!("set {key} {value}"));
            let is_known = ["ok ", "refused: ", "unknown: "].iter().any(|word| answer.starts_with(word));
            assert!(is_known, "{answer}");
            answer.starts_with("ok ")
        });
    }

    pub(crate) fn is_member(&mut self) -> bool {
        self.json("status")["standing"]["is"] == "member"
    }

    pub(crate) fn leader(&mut self) -> Option<String> {
        self.json("leader")["leader"].as_str().map(str::to_owned)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a process that runs");
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("the process ends", || {
            status = self.child.try_wait().expect("a child");
            status.is_some()
        });
        status.expect("just looked")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn lines(from: impl io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines() {
            if line.is_ok_and(|line| sender.send(line).is_ok()) {
                continue;
            }
            break;
        }
    });
    receiver
}

pub(crate) const NAMES: [&str; 3] = ["n1", "n2", "n3"];

/// One of three nodes that know each other.
pub(crate) fn start(dir: &Scratch, ports: [u16; 3], which: usize, more: &[&str]) -> Node {
    let members = NAMES.iter().copied().zip(ports);
    let peers: Vec<_> = members.filter(|(name, _)| *name != NAMES[which]).collect();
    Node::start(dir, NAMES[which], ports[which], &peers, more)
}

pub(crate) fn three(dir: &Scratch, more: &[&str]) -> [Node; 3] {
    let ports = ports();
    let mut nodes = [0, 1, 2].map(|which| start(dir, ports, which, more));
    for node in &mut nodes {
        until("every seat is filled", || node.is_member());
    }
    nodes
}

pub(crate) fn leader_of(nodes: &mut [Node]) -> String {
    let mut leader = None;
    until("all know the same leader", || {
        let known: Vec<_> = nodes.iter_mut().map(Node::leader).collect();
        leader = known[0].clone().filter(|_| known.iter().all(|other| *other == known[0]));
        leader.is_some()
    });
    leader.expect("just found")
}

pub(crate) fn split_leader(nodes: [Node; 3]) -> (Node, Vec<Node>) {
    let mut nodes = Vec::from(nodes);
    let leader = leader_of(&mut nodes);
    let place = NAMES.iter().position(|name| *name == leader).expect("a member");
    (nodes.remove(place), nodes)
}

/// One line on stderr, which says all of this, and an exit code.
pub(crate) fn fails<'a>(args: &[&str], code: i32, said: impl IntoIterator<Item = &'a str>) {
    let done = run(args);
    let errors = text(&done.stderr);
    assert_eq!(done.status.code(), Some(code), "{args:?}: {errors}");
    let [line] = errors.lines().collect::<Vec<_>>()[..] else { panic!("{args:?}: {errors}") };
    assert!(line.starts_with("error: "), "{args:?}: {line}");
    for part in said {
        assert!(line.contains(part), "{args:?}: no {part:?} in: {line}");
    }
    assert!(done.stdout.is_empty(), "{args:?}: {}", text(&done.stdout));
}
