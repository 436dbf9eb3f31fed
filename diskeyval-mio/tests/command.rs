//! The command `diskeyval`, as a process among processes.

#![cfg(unix)]

mod common;

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use common::*;
use diskeyval_mio::certs::Authority;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType, date_time_ymd};
use rustix::process::{Pid, Signal, kill_process};

// ---- Certificates -------------------------------------------------------------------------------------

#[test]
fn certificates_are_written_and_never_overwritten() {
    let dir = Scratch::new();
    let path = |name: &str| dir.0.join(name);
    let done = run(&["certs", "--dir", dir.path(), "n1", "n2", "--client", "ops"]);
    assert!(done.status.success(), "{}", text(&done.stderr));
    let told = text(&done.stdout);
    for name in ["ca", "n1", "n2", "client-ops"] {
        let key = path(&format!("{name}-key.pem"));
        assert!(
            told.contains(key.to_str().expect("text")) && path(&format!("{name}.pem")).exists(),
            "{told}"
        );
        let mode = fs::metadata(&key).expect("a key").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }

    let ca = fs::read(path("ca.pem")).expect("a CA");
    fails(&["certs", "--dir", dir.path(), "n2", "n3"], 1, ["n2.pem is there", "move it away"]);
    assert!(!path("n3.pem").exists());
    let done = run(&["certs", "--dir", dir.path(), "n3"]);
    assert!(done.status.success() && text(&done.stdout).contains("was there"), "{}", text(&done.stdout));
    assert_eq!(fs::read(path("ca.pem")).expect("a CA"), ca);

    fs::remove_file(path("ca-key.pem")).expect("a key");
    fails(&["certs", "--dir", dir.path(), "n4"], 1, ["ca-key.pem is not"]);
}

#[test]
fn names_that_are_none_get_no_certificate() {
    let dir = Scratch::new();
    fails(&["certs", "--dir", dir.path(), "a b"], 2, ["\"a b\" is no node id", "A-Z"]);
    fails(&["certs", "--dir", dir.path(), "client"], 2, ["reserved"]);
    fails(&["certs", "--dir", dir.path(), "--client", "a/b"], 2, ["\"a/b\" is no name for a client"]);
    fails(&["certs", "--dir", dir.path(), "ca"], 2, ["the CA and ca", "ca.pem"]);
    fails(&["certs", "--dir", dir.path()], 2, ["NODE"]);
    assert_eq!(fs::read_dir(&dir.0).expect("a directory").count(), 0);
}

// ---- Clusters -----------------------------------------------------------------------------------------

#[test]
fn three_processes_are_one_store() {
    let dir = Scratch::with_certs(&NAMES);
    let [mut n1, mut n2, mut n3] = three(&dir, &[]);
    n1.set("greeting", "good  day ");
    assert_eq!(n2.ask("get greeting"), "value good  day ");
    assert_eq!(n3.ask("get nothing"), "absent");
    let revision = n1.ask("set k one");
    assert!(revision.strip_prefix("ok ").is_some_and(|number| number.parse::<u64>().is_ok()), "{revision}");
    assert_eq!(n1.ask("getlocal k"), "value one");
    assert!(n2.ask("cas k - two").starts_with("mismatch "));
    assert!(n2.ask("cas k one two words").starts_with("ok "));
    assert!(n3.ask("cas new - x").starts_with("ok "));
    assert_eq!(n1.ask("get k"), "value two words");
    assert!(n1.ask("delete k").ends_with(" found"));
    assert!(n1.ask("delete k").ends_with(" absent"));

    for wanted in ["n3", "n1", "n2"] {
        assert_eq!(n3.ask(format!("transfer {wanted}")), "ok");
    }
    let refused = n1.ask("transfer n4");
    assert!(refused.starts_with("refused: ") && refused.contains("n4 is not a member"), "{refused}");
    let mut nodes = [n1, n2, n3];
    let leader = leader_of(&mut nodes);
    let [mut n1, ..] = nodes;
    assert_eq!(n1.json("leader")["isLeader"], leader == "n1");
    assert_eq!(n1.json("state"), serde_json::json!({"greeting": "good  day ", "new": "x"}));
    let peers = n1.json("peers");
    assert_eq!((&peers[0]["nodeId"], &peers[1]["nodeId"]), (&"n2".into(), &"n3".into()), "{peers}");
    let status = n1.json("status");
    assert_eq!(status["nodeId"], "n1");
    let explanation = status["explanation"].as_str().unwrap_or_default();
    assert!(explanation.starts_with(&format!("there is a leader, {leader}, in term ")), "{explanation}");
    assert!(n1.json("metrics")["commitsApplied"].as_u64().is_some_and(|count| count > 0));
    assert_eq!(n1.ask("quit"), "bye");
    assert_eq!(n1.ended().code(), Some(0));
}

#[test]
fn whatever_comes_in_one_line_is_answered() {
    let dir = Scratch::with_certs(&["solo"]);
    let mut node = Node::start(&dir, "solo", 0, &[], &[]);
    until("one alone leads", || node.leader().is_some());
    assert_eq!(node.ask("frobnicate"), "error: \"frobnicate\" is no command: `help` lists them");
    assert!(node.ask("set k").starts_with("error: ") && node.ask("get a b").starts_with("error: "));
    assert!(node.ask(b"\xff\x00\x1b[2J").starts_with("error: "));

    assert!(node.ask(b"set k a\\b\x1b\xff\r").starts_with("ok "));
    assert_eq!(node.ask("get k"), r"value a\\b\x1b\xff");
    assert!(node.ask("set k ").starts_with("ok "));
    // No answer to a blank line: the next answer is that of the next command.
    assert_eq!(node.ask("\n\nget k"), "value ");

    let large = "x".repeat((1 << 20) + 1);
    let refused = node.ask(format!("set large {large}"));
    assert!(refused.starts_with("refused: ") && refused.contains("1048577"), "{refused}");
    assert!(node.ask(format!("set large {large}{large}{large}")).starts_with("error: the line is longer"));
    assert_eq!(node.ask("get k"), "value ");
    let help = node.ask("help");
    assert!(help.contains("cas K OLD NEW") && help.contains("quit"), "{help}");
}

#[test]
fn an_option_file_is_read_and_options_go_before_it() {
    let dir = Scratch::with_certs(&["a", "b"]);
    let file = dir.0.join("node.json");
    fs::write(&file, r#"{"nodeId": "a", "port": 1, "cluster": "test", "electionTimeoutMs": 200}"#)
        .expect("a file");
    let config = file.to_str().expect("text");
    let mut node = Node::start(&dir, "b", 0, &[], &["--config", config]);
    assert_eq!(node.json("status")["nodeId"], "b");

    fs::write(&file, r#"{"nodeId": "a", "prot": 1}"#).expect("a file");
    fails(&["node", "--config", config], 2, ["node.json", "`prot`", "`port`"]);
    fs::write(&file, "{").expect("a file");
    fails(&["node", "--config", config], 2, ["node.json", "line 1"]);
    fs::write(&file, r#"{"nodeId": "a"}"#).expect("a file");
    fails(&["node", "--config", config], 2, ["no certificates", "--certs"]);
    fs::remove_file(&file).expect("a file");
    fails(&["node", "--config", config], 2, ["cannot read --config", "node.json"]);
}

#[test]
fn a_node_is_given_a_directory_which_is_its_own() {
    let dir = Scratch::with_certs(&["a", "b"]);
    let data = dir.0.join("data/a");
    let data = data.to_str().expect("text");
    let file = dir.0.join("node.json");
    let text = format!(r#"{{"nodeId": "a", "persistence": {{"dir": "{data}", "compactEvery": 65536}}}}"#);
    fs::write(&file, text).expect("a file");
    let config = file.to_str().expect("text");
    let mut node = Node::start(&dir, "a", 0, &[], &["--config", config]);
    assert_eq!(node.json("status")["nodeId"], "a");
    let second = ["node", "--id", "a", "--listen", "127.0.0.1:0", "--certs", dir.path(), "--data", data];
    let holder = format!("process {}", node.child.id());
    fails(&second, 1, [data, "in use", holder.as_str()]);
    node.signal(Signal::KILL);
    node.ended();
    // Nothing that a killed process leaves keeps the next one away; and options go before the file.
    let elsewhere = dir.0.join("elsewhere");
    let other = elsewhere.to_str().expect("text");
    let more = ["--config", config, "--data", other, "--compact-every", "131072"];
    drop(Node::start(&dir, "a", 0, &[], &more));
    assert!(elsewhere.is_dir());
    drop(Node::start(&dir, "a", 0, &[], &["--data", data]));

    let node = |more: &[&'static str], code, said: &[&'static str]| {
        let mut args = vec!["node", "--id", "a", "--listen", "127.0.0.1:0", "--certs", dir.path()];
        args.extend(more);
        fails(&args, code, said.iter().copied());
    };
    node(&["--compact-every", "65536"], 2, &["--compact-every", "--data"]);
    node(&["--data", "/dev/null"], 1, &["/dev/null", "something else", "another directory"]);
    node(&["--data", "x", "--compact-every", "1"], 2, &["compactEvery", "64 KiB"]);
    node(&["--data", "x", "--compact-every", "1G"], 2, &["'1G'", "--compact-every"]);
    fs::write(&file, r#"{"nodeId": "a", "persistence": {"path": "x"}}"#).expect("a file");
    fails(&["node", "--config", config], 2, ["node.json", "`path`", "`dir`"]);
}

#[test]
fn what_is_no_directory_of_a_node_cannot_be_looked_into() {
    let dir = Scratch::new();
    let nowhere = dir.0.join("nowhere");
    for command in ["dump", "verify"] {
        fails(&["wal", command, nowhere.to_str().expect("text")], 2, ["nowhere", "--data"]);
        fails(&["wal", command, dir.path()], 2, [dir.path(), "no files of a node"]);
        fails(&["wal", command], 2, ["<DIR>"]);
    }
    fails(&["wal", "mend", dir.path()], 2, ["'mend'"]);
}

#[test]
fn a_third_node_that_comes_late_is_given_its_seat() {
    let dir = Scratch::with_certs(&NAMES);
    let ports = ports();
    let hasty = ["--founding-grace-ms", "200"];
    let mut n1 = start(&dir, ports, 0, &hasty);
    let n2 = start(&dir, ports, 1, &hasty);
    n1.set("early", "1");
    let mut n3 = start(&dir, ports, 2, &hasty);
    until("the late one is in its seat", || n3.is_member());
    assert_eq!(n3.ask("get early"), "value 1");
    // Now any one can be lost.
    drop(n2);
    n3.set("late", "2");
    assert_eq!(n1.ask("get late"), "value 2");
}

#[test]
fn writes_go_on_when_the_leader_is_killed() {
    let dir = Scratch::with_certs(&NAMES);
    let (mut leader, mut others) = split_leader(three(&dir, &[]));
    leader.set("before", "1");
    leader.signal(Signal::KILL);
    assert_eq!(leader.ended().code(), None);
    others[0].set("after", "2");
    assert_eq!(others[1].ask("get before"), "value 1");
    assert_eq!(others[1].ask("get after"), "value 2");
}

// ---- Members ------------------------------------------------------------------------------------------

#[test]
fn one_joins_by_what_it_says_is_promoted_and_is_removed() {
    let dir = Scratch::with_certs(&["n1", "n2", "n3", "n4"]);
    let ports = ports::<4>();
    let three = [ports[0], ports[1], ports[2]];
    let mut nodes = [0, 1, 2].map(|which| start(&dir, three, which, &[]));
    for node in &mut nodes {
        until("every seat is filled", || node.is_member());
    }
    nodes[0].set("k", "v");
    let join = format!("n1=127.0.0.1:{},n2=127.0.0.1:{}", ports[0], ports[1]);
    let mut n4 = Node::start(&dir, "n4", ports[3], &[], &["--join", &join]);
    let told = n4.error("waiting to be announced");
    let (_, rest) = told.split_once('`').expect("a command");
    let (command, _) = rest.split_once('`').expect("its end");
    assert_eq!(command, format!("add n4=127.0.0.1:{}", ports[3]));
    assert_eq!(n4.json("members"), serde_json::json!([]));

    // Typed as it is told, at any member.
    assert!(nodes[2].ask(command).starts_with("ok "));
    let told = n4.error("taken in");
    assert!(told.contains("`promote n4`"), "{told}");
    assert_eq!(n4.json("status")["standing"]["is"], "learner");
    assert_eq!(n4.ask("get k"), "value v");
    let members = nodes[1].json("members");
    let parts: Vec<_> = members.as_array().expect("a list").iter().map(|one| &one["part"]).collect();
    assert_eq!(parts, ["voter", "voter", "voter", "learner"], "{members}");
    assert_eq!(members[3]["address"], format!("127.0.0.1:{}", ports[3]));
    assert!(nodes[0].ask("promote n4").starts_with("ok "));
    until("it votes", || n4.is_member());

    for (line, said) in [
        ("promote n9", "`add n9=HOST:PORT`"),
        ("reconfigure n1 n2 n1", "n1 is named twice"),
        ("address n9=127.0.0.1:1", "n9 is no member"),
    ] {
        let answer = nodes[0].ask(line);
        assert!(answer.starts_with("refused: ") && answer.contains(said), "{line}: {answer}");
    }
    assert!(nodes[0].ask("reconfigure").starts_with("error: "));

    assert!(nodes[0].ask("remove n4").starts_with("ok "));
    assert_eq!(n4.ended().code(), Some(3), "removed");
    let last = n4.error("error: ");
    assert!(last.contains("was removed from its cluster"), "{last}");
    // All of it in one line, the one that is asked included.
    assert!(nodes[0].ask("reconfigure n2 n3").starts_with("ok "));
    assert_eq!(nodes[0].ended().code(), Some(3));
    nodes[1].set("k", "w");
    assert_eq!(nodes[2].ask("get k"), "value w");
}

/// Its unit file may go on saying that it joins.
#[test]
fn who_has_joined_comes_back_as_what_it_was() {
    let dir = Scratch::with_certs(&["n1", "n2"]);
    let ports: [u16; 2] = ports();
    let mut n1 =
        Node::start(&dir, "n1", ports[0], &[], &["--data", dir.0.join("d1").to_str().expect("text")]);
    let (join, data) = (format!("n1=127.0.0.1:{}", ports[0]), dir.0.join("d2"));
    let advertised = format!("localhost:{}", ports[1]);
    let more = ["--join", &join, "--data", data.to_str().expect("text"), "--advertise", &advertised];
    let n2 = Node::start(&dir, "n2", ports[1], &[], &more);
    assert!(n2.error("waiting to be announced").contains(&format!("`add n2={advertised}`")));
    n1.set("k", "v");
    assert!(n1.ask(format!("add n2={advertised}")).starts_with("ok "));
    n2.error("taken in");
    n2.signal(Signal::KILL);
    drop(n2);
    let mut n2 = Node::start(&dir, "n2", ports[1], &[], &more);
    until("it is a learner", || n2.json("status")["standing"]["is"] == "learner");
    assert_eq!(n2.ask("get k"), "value v");
    assert!(n2.ask("promote n2").starts_with("ok "));
    assert!(n2.errors_so_far().iter().all(|line| !line.contains("announced")), "it was before");

    // It ends when it is removed. Started again, it does not, but waits.
    assert!(n1.ask("remove n2").starts_with("ok "));
    assert_eq!(n2.ended().code(), Some(3));
    let mut n2 = Node::start(&dir, "n2", ports[1], &[], &more);
    until("it says what is to be done", || {
        n2.errors_so_far().iter().any(|line| line.contains("announced") && line.contains("type `add n2"))
    });
    assert!(n1.ask("add n2").starts_with("ok "));
    until("it is a learner", || n2.json("status")["standing"]["is"] == "learner");
    n2.signal(Signal::TERM);
    assert_eq!(n2.ended().code(), Some(0));
}

// ---- The end ------------------------------------------------------------------------------------------

#[test]
fn a_signal_ends_a_node_in_order() {
    let dir = Scratch::with_certs(&NAMES);
    let (mut leader, mut others) = split_leader(three(&dir, &["--election-timeout-ms", "1500"]));
    leader.set("k", "v");
    let asked = pre_votes(&mut others);
    leader.signal(Signal::TERM);
    assert_eq!(leader.ended().code(), Some(0));
    assert_eq!(others[0].ask("get k"), "value v");
    // Leadership was handed over: nobody had to wait for an election timeout.
    assert_eq!(pre_votes(&mut others), asked);
    others[1].signal(Signal::INT);
    assert_eq!(others[1].ended().code(), Some(0));
}

fn pre_votes(nodes: &mut [Node]) -> u64 {
    nodes.iter_mut().map(|node| node.json("metrics")["preVotesStarted"].as_u64().expect("a count")).sum()
}

#[test]
fn a_second_signal_ends_a_node_at_once() {
    let dir = Scratch::with_certs(&NAMES);
    let (mut leader, others) = split_leader(three(&dir, &["--election-timeout-ms", "1500"]));
    // Nobody is there to hand leadership to, so that the end in order takes its time.
    for other in &others {
        other.signal(Signal::STOP);
    }
    let mut status = None;
    until("the process ends", || {
        status = leader.child.try_wait().expect("a child");
        if status.is_none() {
            leader.signal(Signal::TERM);
        }
        status.is_some()
    });
    assert_eq!(status.and_then(|status| status.code()), Some(143));
}

#[test]
fn a_node_goes_on_when_stdin_ends() {
    let dir = Scratch::with_certs(&NAMES);
    let ports: [u16; 2] = ports();
    let two = [("n1", ports[0]), ("n2", ports[1])];
    let mut n1 = Node::start(&dir, "n1", ports[0], &two[1..], &[]);
    n1.input = None;
    let mut n2 = Node::start(&dir, "n2", ports[1], &two[..1], &[]);
    // Both are needed for this.
    n2.set("k", "v");
    n1.signal(Signal::TERM);
    assert_eq!(n1.ended().code(), Some(0));
}

// ---- The prompt ---------------------------------------------------------------------------------------

#[cfg(target_os = "linux")]
#[test]
fn at_a_terminal_there_is_a_prompt_and_the_terminal_is_given_back() {
    use std::fs::File;
    use std::io::Read;

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::tcgetattr;

    let dir = Scratch::with_certs(&["solo"]);
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("a terminal");
    let path = ptsname(&ours, Vec::new()).expect("a terminal").into_string().expect("text");
    // Held open here: what is read from a terminal that nobody has open is an error.
    let theirs = File::options().read(true).write(true).open(path).expect("a terminal");
    let end = || theirs.try_clone().expect("a terminal");
    let found = tcgetattr(&theirs).expect("a terminal").local_modes;
    let mut child = diskeyval()
        .args(["node", "--id", "solo", "--listen", "127.0.0.1:0", "--certs", dir.path()])
        .env("TERM", "xterm")
        .stdin(end())
        .stdout(end())
        .stderr(end())
        .spawn()
        .expect("it runs");

    let mut ours = File::from(ours);
    let mut reader = ours.try_clone().expect("a terminal");
    let (sender, shown) = mpsc::channel();
    thread::spawn(move || {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = reader.read(&mut chunk) {
            if sender.send(text(&chunk[..count])).is_err() {
                break;
            }
        }
    });
    let mut screen = String::new();
    let mut wait_for = |what: &str| {
        while !screen.contains(what) {
            screen += &shown.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no {what:?} in {screen:?}"));
        }
    };
    wait_for("solo> ");
    wait_for("this node leads");
    ours.write_all(b"set a b\rget a\rhelp\r").expect("a terminal");
    wait_for("value b");
    wait_for("cas K OLD NEW");
    ours.write_all(b"unfinished").expect("a terminal");
    wait_for("unfinished");
    // What was typed may have been shown by the terminal itself, before the prompt took over.
    until("the prompt is there", || tcgetattr(&theirs).expect("a terminal").local_modes != found);
    kill_process(Pid::from_child(&child), Signal::TERM).expect("a process that runs");
    assert_eq!(child.wait().expect("a child").code(), Some(0));
    assert_eq!(tcgetattr(&theirs).expect("a terminal").local_modes, found);
}

// ---- Bad input ----------------------------------------------------------------------------------------

#[test]
fn wrong_options_are_named_in_one_line() {
    let dir = Scratch::with_certs(&["n1"]);
    let node = |more: &[&'static str], code, said: &[&'static str]| {
        let mut args = vec!["node", "--id", "n1", "--listen", "127.0.0.1:0", "--certs", dir.path()];
        args.extend(more);
        fails(&args, code, said.iter().copied());
    };
    node(&["--peer", "n1=127.0.0.1:1"], 2, &["names n1", "only the others"]);
    node(&["--peer", "n2=127.0.0.1:1", "n2=127.0.0.1:2"], 2, &["n2 twice"]);
    node(&["--peer", "n 2=127.0.0.1:1"], 2, &["\"n 2\" is no node id"]);
    node(&["--peer", "n2=127.0.0.1"], 2, &["there is no port"]);
    node(&["--peer", "127.0.0.1:1"], 2, &["ID=HOST:PORT"]);
    node(&["--peer", "n2=127.0.0.1:0"], 2, &["port 0"]);
    node(&["--join", "n1=127.0.0.1:1"], 2, &["names n1", "only the others"]);
    node(&["--join", "n2=127.0.0.1"], 2, &["there is no port"]);
    node(&["--join", "127.0.0.1:1"], 2, &["ID=HOST:PORT"]);
    node(&["--join", "n2=127.0.0.1:1", "--peer", "n3=127.0.0.1:2"], 2, &["--join", "--peer"]);
    node(&["--advertise", "127.0.0.1:0"], 2, &["port 0"]);
    node(&["--advertise", "127.0.0.1"], 2, &["there is no port"]);
    node(&["--frobnicate"], 2, &["'--frobnicate'", "--help"]);
    node(&["--heartbeat-ms", "150"], 2, &["heartbeatMs", "a third"]);
    node(&["--heartbeat-ms", "soon"], 2, &["'soon'", "--heartbeat-ms"]);
    node(&["--log", "loud"], 2, &["'loud'", "warn"]);
    node(&["--cluster", ""], 2, &["name of a cluster"]);
    let peers: Vec<_> = (2..9).map(|n| format!("n{n}=127.0.0.1:{n}")).collect();
    let mut many = vec!["node", "--id", "n1", "--listen", "127.0.0.1:0", "--certs", dir.path(), "--peer"];
    many.extend(peers.iter().map(String::as_str));
    fails(&many, 2, ["8 members", "at most 7"]);
    fails(&["node", "--id", "client", "--listen", "a:1", "--certs", "x"], 2, ["reserved"]);
    fails(&["node", "--id", "n1", "--listen", "::1:0", "--certs", "x"], 2, ["IPv6", "brackets"]);
    fails(&["node", "--listen", "a:1", "--certs", "x"], 2, ["--id"]);
    fails(&["frobnicate"], 2, ["'frobnicate'"]);
}

#[test]
fn an_address_in_use_is_named() {
    let dir = Scratch::with_certs(&["n1"]);
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound").to_string();
    let args = ["node", "--id", "n1", "--listen", &address, "--certs", dir.path()];
    fails(&args, 1, [address.as_str(), "another port"]);
}

#[test]
fn wrong_certificates_are_named_with_a_remedy() {
    let dir = Scratch::with_certs(&["n1", "n2"]);
    let other = Scratch::with_certs(&["n1"]);
    let node = |id: &str, dir: &Path, said: &[&str]| {
        let dir = dir.to_str().expect("text");
        fails(&["node", "--id", id, "--listen", "127.0.0.1:0", "--certs", dir], 2, said.iter().copied());
    };
    node("n1", &dir.0.join("nowhere"), &["nowhere/ca.pem", "diskeyval certs --dir"]);
    node("n3", &dir.0, &["n3.pem", "diskeyval certs --dir", "n3"]);
    // Another node's, under this node's name.
    dir.copy("n2.pem", "n4.pem");
    dir.copy("n2-key.pem", "n4-key.pem");
    node("n4", &dir.0, &["n4.pem", "certificate of n2"]);
    // Another key's.
    dir.copy("n1.pem", "n5.pem");
    dir.copy("n2-key.pem", "n5-key.pem");
    node("n5", &dir.0, &["n5-key.pem", "does not belong"]);
    // Another CA's.
    fs::copy(other.0.join("ca.pem"), dir.0.join("ca.pem")).expect("a CA");
    node("n1", &dir.0, &["n1.pem", "of one CA"]);
    // No certificate at all.
    fs::write(dir.0.join("n1.pem"), "n1").expect("a file");
    node("n1", &dir.0, &["n1.pem", "no PEM text"]);
    fs::write(dir.0.join("n1.pem"), [0xff; 10]).expect("a file");
    node("n1", &dir.0, &["n1.pem", "PEM text"]);
    fs::remove_file(dir.0.join("n1.pem"))
        .and_then(|()| fs::create_dir(dir.0.join("n1.pem")))
        .expect("a directory");
    node("n1", &dir.0, &["cannot read", "n1.pem"]);
}

#[test]
fn an_expired_certificate_is_named_with_a_remedy() {
    let dir = Scratch::new();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().expect("a key");
    let ca_pem = ca.self_signed(&ca_key).expect("a CA").pem();
    let mut leaf = CertificateParams::default();
    leaf.subject_alt_names = vec![SanType::URI("spiffe://diskeyval/n1".try_into().expect("ASCII"))];
    leaf.not_after = date_time_ymd(2020, 1, 1);
    let key = KeyPair::generate().expect("a key");
    let pem = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).expect("a certificate").pem();
    for (name, pem) in [("ca.pem", ca_pem), ("n1.pem", pem), ("n1-key.pem", key.serialize_pem())] {
        fs::write(dir.0.join(name), pem).expect("a file");
    }
    let args = ["node", "--id", "n1", "--listen", "127.0.0.1:0", "--certs", dir.path()];
    fails(&args, 2, ["n1.pem", "expired", "issue a new one"]);

    // And an expired CA issues nothing.
    let mut old = CertificateParams::default();
    old.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    old.not_after = date_time_ymd(2020, 1, 1);
    let key = KeyPair::generate().expect("a key");
    let old = old.self_signed(&key).expect("a CA").pem();
    assert!(Authority::from_pem(&old, &key.serialize_pem()).is_err());
    fs::write(dir.0.join("ca.pem"), old).expect("a file");
    fs::write(dir.0.join("ca-key.pem"), key.serialize_pem()).expect("a file");
    fails(&["certs", "--dir", dir.path(), "n2"], 2, ["CA", "expired"]);
}

#[test]
fn help_and_version_are_no_errors() {
    for (args, said) in [
        (&["--help"][..], &["Examples:", "Exit codes:", "certs", "node"][..]),
        (&["certs", "--help"], &["Examples:", "--client"]),
        (
            &["node", "--help"],
            &[
                "Examples:",
                "cas K OLD NEW",
                "ready HOST:PORT",
                "--data <DIR>",
                "--compact-every",
                "--leader-priority",
                "--join <ID=HOST:PORT>",
                "--advertise",
                "promote ID",
            ],
        ),
        (&["wal", "--help"], &["dump", "verify", "Exit codes:", "changes nothing"]),
        (&["wal", "dump", "--help"], &["<DIR>", "--data"]),
        (&["--version"], &[env!("CARGO_PKG_VERSION")]),
    ] {
        let done = run(args);
        let told = text(&done.stdout);
        assert!(done.status.success() && done.stderr.is_empty(), "{args:?}");
        assert!(said.iter().all(|part| told.contains(part)), "{args:?}: {told}");
    }
}

/// In memory there is no directory: whoever is left is told so at its prompt.
#[test]
fn a_survivor_that_keeps_nothing_on_a_disk_goes_on_alone_when_it_is_told_to() {
    let dir = Scratch::with_certs(&NAMES);
    let [mut one, two, mut third] = three(&dir, &[]);
    one.set("k", "v");
    until("it has heard of it", || third.ask("getlocal k") == "value v");
    let refused = third.ask("recover --accept-data-loss");
    assert!(refused.starts_with("refused: ") && refused.contains("there is a quorum"), "{refused}");
    drop((one, two));
    let mistake = third.ask("recover");
    assert!(mistake.starts_with("error: ") && mistake.contains("--accept-data-loss"), "{mistake}");
    until("it gives its leader up, and goes on", || {
        let answer = third.ask("recover --accept-data-loss");
        assert!(answer.starts_with("ok ") || answer.starts_with("refused: "), "{answer}");
        answer.starts_with("ok ")
    });
    assert_eq!(third.ask("get k"), "value v");
    third.set("k", "w");
    assert_eq!(third.leader().as_deref(), Some("n3"));
}
