//! What nodes have promised, they keep: real processes and real files, killed, torn and filled up.

#![cfg(unix)]

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, mem};

use common::*;
use diskeyval_sim::{check, lines};
use rustix::process::Signal;

/// Past the capture of the test harness: whoever reads the log has to see it.
fn skipped(why: &str) {
    let _ = io::stderr().write_all(format!("SKIPPED: {why}\n").as_bytes());
}

/// A place in a directory of a test, as text.
fn inside(dir: &Scratch, name: &str) -> String {
    dir.0.join(name).to_str().expect("text").to_owned()
}

/// Three nodes with a directory each, `data-n1` and so on.
struct Three {
    dir: Scratch,
    ports: [u16; 3],
    more: Vec<&'static str>,
}

impl Three {
    fn new(more: &[&'static str]) -> Three {
        Three { dir: Scratch::with_certs(&NAMES), ports: ports(), more: more.to_vec() }
    }

    fn data(&self, which: usize) -> String {
        inside(&self.dir, &format!("data-{}", NAMES[which]))
    }

    fn start(&self, which: usize) -> Node {
        let data = self.data(which);
        let more: Vec<&str> = [&["--data", &data], &self.more[..]].concat();
        start(&self.dir, self.ports, which, &more)
    }

    /// All of them, each in its seat.
    fn start_all(&self) -> [Node; 3] {
        let mut nodes = [0, 1, 2].map(|which| self.start(which));
        for node in &mut nodes {
            until("every node is in its seat", || node.is_member());
        }
        nodes
    }
}

/// Reads until there is an answer; what comes before there is a leader is refused.
fn value(node: &mut Node, key: &str) -> String {
    let mut answer = String::new();
    until("a read is answered", || {
        answer = node.ask(format!("get {key}"));
        !answer.starts_with("refused: ")
    });
    answer
}

fn kill_all(nodes: [Node; 3]) {
    for node in &nodes {
        node.signal(Signal::KILL);
    }
    // Each is waited for.
    drop(nodes);
}

// ---- Restarts -----------------------------------------------------------------------------------------

#[test]
fn w3_what_was_acknowledged_survives_that_all_are_killed_at_once() {
    let three = Three::new(&[]);
    let mut nodes = three.start_all();
    for number in 0..30 {
        nodes[number % 3].set(&format!("k{number}"), &format!("v{number}"));
    }
    kill_all(nodes);
    let mut nodes = three.start_all();
    for number in 0..30 {
        assert_eq!(value(&mut nodes[(number + 1) % 3], &format!("k{number}")), format!("value v{number}"));
    }
    nodes[0].set("after", "1");
}

/// For as many seconds as `DISKEYVAL_KILL_SECONDS` says.
#[test]
fn w3_nodes_that_are_killed_under_load_lose_no_acknowledged_write() {
    let seconds = env::var("DISKEYVAL_KILL_SECONDS").unwrap_or_else(|_| "12".to_owned());
    let dir = Scratch::new();
    let (data, file) = (inside(&dir, "data"), inside(&dir, "history.jsonl"));
    let args = ["demo", "--seconds", &seconds, "--data", &data, "--history", &file];
    let rhythm = ["--disturb-every", "2", "--disturb-for", "300"];
    let done = run(args.iter().chain(&rhythm));
    let (told, errors) = (text(&done.stdout), text(&done.stderr));
    assert!(done.status.success(), "{told}\n{errors}");
    assert!(errors.contains("the leader, is killed") && errors.contains("all nodes are killed"), "{errors}");
    let history = lines::read(BufReader::new(File::open(&file).expect("a history"))).expect("understood");
    let report = check(&history);
    assert!(report.is_clean() && report.undecided.is_empty(), "{report}");
    assert!(report.unknown > 0 || report.operations > 0, "{report}");
}

// ---- Files --------------------------------------------------------------------------------------------

const BLOCK: usize = 4096;

/// The segment that was written to last.
fn last_segment(data: &str) -> PathBuf {
    let mut segments: Vec<_> = fs::read_dir(data)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("wal-")))
        .filter(|path| end_of_writing(path) > 0)
        .collect();
    segments.sort();
    segments.pop().expect("a segment")
}

/// Where the next flush would begin: behind the last block that holds anything.
fn end_of_writing(path: &Path) -> usize {
    let bytes = fs::read(path).expect("a file");
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| (last / BLOCK + 1) * BLOCK)
}

/// A byte in the middle of what was written is another. Gives the name of the file.
fn spoil_in_the_middle(path: &Path) -> String {
    let bytes = fs::read(path).expect("a file");
    let at = end_of_writing(path) / 2 / BLOCK * BLOCK + 100;
    let file = File::options().write(true).open(path).expect("a file");
    file.write_all_at(&[!bytes[at]], at as u64).expect("written");
    path.file_name().expect("a file").to_str().expect("text").to_owned()
}

/// What stands behind the last sync may be anything when the power goes.
#[test]
fn w4_a_torn_tail_makes_no_node_forget() {
    const HALF_A_HEADER: usize = 40;
    let three = Three::new(&[]);
    let mut nodes = three.start_all();
    for number in 0..20 {
        nodes[number % 3].set(&format!("k{number}"), &format!("v{number}"));
    }
    kill_all(nodes);

    // One has garbage there, one a half of a header of a flush, one a single bit. A whole header would be damage: a
    // crash moves none to where it does not belong.
    let paths = [0, 1, 2].map(|which| last_segment(&three.data(which)));
    let files = paths.each_ref().map(|path| File::options().write(true).open(path).expect("a file"));
    let ends = paths.each_ref().map(|path| end_of_writing(path));
    let garbage: Vec<u8> = (1..=251_u8).cycle().take(3 * BLOCK + 100).collect();
    files[0].write_all_at(&garbage, ends[0] as u64).expect("written");
    let whole = fs::read(&paths[1]).expect("a file");
    files[1].write_all_at(&whole[ends[1] - BLOCK..][..HALF_A_HEADER], ends[1] as u64).expect("written");
    files[2].write_all_at(&[1], (ends[2] + BLOCK / 2) as u64).expect("written");

    let mut nodes = three.start_all();
    for number in 0..20 {
        for node in &mut nodes {
            assert_eq!(value(node, &format!("k{number}")), format!("value v{number}"));
        }
    }
    nodes[1].set("after", "1");
    kill_all(nodes);
    // And what was cut off stays cut off.
    let mut nodes = three.start_all();
    assert_eq!(value(&mut nodes[2], "after"), "value 1");
}

/// What `wal` finds in a directory, and with which exit code.
fn looked_into(command: &str, data: &str, code: i32) -> String {
    let done = run(&["wal", command, data]);
    assert_eq!(done.status.code(), Some(code), "{}\n{}", text(&done.stdout), text(&done.stderr));
    text(&done.stdout)
}

/// What was promised and is not there any more is said, and not passed over.
#[test]
fn w4_a_damaged_file_keeps_its_node_out_and_is_named() {
    let dir = Scratch::with_certs(&["solo"]);
    let data = inside(&dir, "data");
    let mut node = Node::start(&dir, "solo", 0, &[], &["--data", &data]);
    for number in 0..20 {
        node.set(&format!("k{number}"), &"v".repeat(1000));
    }
    let told = looked_into("dump", &data, 0);
    assert!(told.contains("a node is at work") && told.contains("superblock: 8192 bytes"), "{told}");
    assert_eq!(node.ask("quit"), "bye");
    node.ended();
    let told = looked_into("verify", &data, 0);
    assert!(told.contains("sound") && !told.contains("at work"), "{told}");
    assert!(told.contains("node solo, incarnation"), "whose it is: {told}");
    let path = last_segment(&data);
    let name = spoil_in_the_middle(&path);
    let told = looked_into("verify", &data, 1);
    assert!(told.contains(&name) && !told.contains("sound"), "{told}");

    let mut node = Node::start(&dir, "solo", 0, &[], &["--data", &data]);
    let standing = node.json("status")["standing"].clone();
    assert_eq!(standing["is"], "damaged", "{standing}");
    assert!(standing["why"].as_str().is_some_and(|why| why.contains(&name)), "{standing}");
    let refused = node.ask("set k v");
    assert!(refused.starts_with("refused: ") && refused.contains(&name), "{refused}");
    assert!(node.ask("get k1").starts_with("refused: "));
    assert_eq!(node.ask("quit"), "bye");
    assert_eq!(node.ended().code(), Some(0));
    assert!(path.exists(), "it keeps its files");
}

/// Files of a directory that were set aside, by name.
fn set_aside(data: &str) -> Vec<String> {
    let entries = fs::read_dir(data).expect("a directory");
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text"));
    let mut names: Vec<String> = names.filter(|name| name.starts_with("aside-")).collect();
    names.sort();
    names
}

/// With a majority beside it, a damaged node is no loss, and nobody has to do anything.
#[test]
fn a_damaged_node_of_three_is_in_its_seat_again_by_itself_and_its_files_are_still_there() {
    let three = Three::new(&[]);
    let mut nodes = three.start_all();
    for number in 0..20 {
        nodes[0].set(&format!("k{number}"), &format!("v{number}"));
    }
    let value_there = |node: &mut Node| node.ask("getlocal k19") == "value v19";
    until("the third node has all of it", || value_there(&mut nodes[2]));
    let before = nodes[2].json("status")["incarnation"].clone();
    assert_eq!(nodes[2].ask("quit"), "bye");
    let [mut one, other, mut third] = nodes;
    third.ended();
    one.set("meanwhile", "1");

    let data = three.data(2);
    let path = last_segment(&data);
    let name = spoil_in_the_middle(&path);
    let damaged = fs::read(&path).expect("a file");
    assert!(looked_into("verify", &data, 1).contains(&name));
    assert_eq!(set_aside(&data), [] as [String; 0]);

    let mut third = three.start(2);
    until("it is in its seat again", || third.is_member());
    let after = third.json("status")["incarnation"].clone();
    assert_ne!(before, after, "it is another life of its node");
    // Not a byte of what it held is gone.
    let aside = set_aside(&data);
    let old = aside.iter().find(|aside| aside.ends_with(&name)).expect("the damaged file");
    assert_eq!(fs::read(Path::new(&data).join(old)).expect("a file"), damaged);
    for number in 0..20 {
        assert_eq!(value(&mut third, &format!("k{number}")), format!("value v{number}"));
    }
    assert_eq!(value(&mut third, "meanwhile"), "value 1");

    // It counts again: it and the first node go on without the other, and it is who it has become.
    drop(other);
    third.set("afterwards", "1");
    drop(third);
    assert!(looked_into("verify", &data, 0).contains("begun anew"));
    let mut third = three.start(2);
    until("it is back", || third.is_member());
    assert_eq!(third.json("status")["incarnation"], after);
    assert_eq!(value(&mut third, "afterwards"), "value 1");
    assert_eq!(set_aside(&data), aside);
}

// ---- A quorum that is lost for good ----------------------------------------------------------------------

/// All files of a directory but the lock, with what they hold.
fn contents(data: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(data).expect("a directory").map(|entry| entry.expect("an entry"));
    let named = entries.map(|entry| (entry.file_name().into_string().expect("text"), entry.path()));
    let files = named.filter(|(name, _)| name != "lock");
    files.map(|(name, path)| (name, fs::read(path).expect("a file"))).collect()
}

/// What `recover` tells, and with which exit code.
fn recovered(data: &str, more: &[&str], code: i32) -> String {
    let done = run([&["recover", "--data", data], more].concat().iter());
    let told = format!("{}{}", text(&done.stdout), text(&done.stderr));
    assert_eq!(done.status.code(), Some(code), "{told}");
    told
}

#[test]
fn one_survivor_of_three_serves_again_and_the_lost_two_do_not_disturb_it() {
    let three = Three::new(&[]);
    let mut nodes = three.start_all();
    for number in 0..20 {
        nodes[0].set(&format!("k{number}"), &format!("v{number}"));
    }
    until("the third node has all of it", || nodes[2].ask("getlocal k19") == "value v19");
    let former = nodes[2].json("status")["clusterId"].clone();
    let data = three.data(2);
    fails(&["recover", "--data", &data], 1, ["in use"]);
    kill_all(nodes);

    // Who only asks is told, and nothing is changed.
    let before = contents(&data);
    let told = recovered(&data, &[], 4);
    assert!(told.contains("node n3") && told.contains(former.as_str().expect("an id")), "{told}");
    assert!(told.contains("lost: whatever the other nodes") && told.contains("--accept-data-loss"), "{told}");
    assert_eq!(contents(&data), before);
    let told = recovered(&data, &["--accept-data-loss"], 0);
    assert!(told.contains("n3 goes on alone") && told.contains("set aside"), "{told}");
    assert!(looked_into("verify", &data, 0).contains("sound"));
    let after = contents(&data);
    for (name, bytes) in before.iter().filter(|(name, _)| *name != "superblock") {
        let aside = after.iter().find(|(aside, _)| aside.starts_with("aside-") && aside.ends_with(name));
        assert_eq!(aside.map(|(_, bytes)| bytes), Some(bytes), "{name} is not removed");
    }

    let mut survivor = three.start(2);
    until("it serves", || survivor.is_member());
    for number in 0..20 {
        assert_eq!(value(&mut survivor, &format!("k{number}")), format!("value v{number}"));
    }
    survivor.set("alone", "1");
    let cluster = survivor.json("status")["clusterId"].clone();
    assert_ne!(cluster, former);

    // The two come back with what they have, and are a quorum of the former cluster.
    let mut lost = [three.start(0), three.start(1)];
    until("the two serve each other", || lost[0].ask("set theirs 1").starts_with("ok "));
    for node in &mut lost {
        until("it says who is refused, and why", || {
            let status = node.json("status");
            let members = status["members"].as_array().expect("members").iter();
            let mut of_it = members.filter(|member| member["nodeId"] == "n3");
            of_it.any(|member| member["trouble"].to_string().contains("founded apart"))
        });
        assert_eq!(node.json("status")["clusterId"], former);
        assert_eq!(value(node, "alone"), "absent");
    }
    survivor.set("alone", "2");
    assert_eq!(value(&mut survivor, "theirs"), "absent");
    assert_eq!(survivor.leader().as_deref(), Some("n3"));
    assert_eq!(survivor.json("status")["clusterId"], cluster);

    // Wiped, one of them is taken in as anybody else.
    drop(lost);
    fs::remove_dir_all(three.data(0)).expect("nobody is at work there");
    let mut taken_in = three.start(0);
    let announced = survivor.ask(format!("add n1=127.0.0.1:{}", three.ports[0]));
    assert!(announced.starts_with("ok "), "{announced}");
    let promoted = survivor.ask("promote n1");
    assert!(promoted.starts_with("ok "), "{promoted}");
    until("it is in its seat", || taken_in.is_member());
    assert_eq!(value(&mut taken_in, "alone"), "value 2");
    assert_eq!(value(&mut taken_in, "k0"), "value v0");
}

#[test]
fn a_damaged_survivor_goes_on_from_what_can_be_verified_and_says_what_cannot() {
    let three = Three::new(&[]);
    let mut nodes = three.start_all();
    for number in 0..40 {
        nodes[0].set(&format!("k{number}"), &"v".repeat(1000));
    }
    until("the third node has all of it", || nodes[2].ask("getlocal k39").starts_with("value "));
    kill_all(nodes);
    let data = three.data(2);
    let path = last_segment(&data);
    let name = spoil_in_the_middle(&path);
    let damaged = fs::read(&path).expect("a file");
    assert!(looked_into("verify", &data, 1).contains(&name));
    let told = recovered(&data, &[], 4);
    assert!(told.contains(&format!("left out: {name} from byte")), "{told}");
    assert!(told.contains("lost: entries up to"), "{told}");
    recovered(&data, &["--accept-data-loss"], 0);
    let aside = set_aside(&data).into_iter().find(|aside| aside.ends_with(&name)).expect("the damaged file");
    assert_eq!(fs::read(Path::new(&data).join(aside)).expect("a file"), damaged);

    let mut survivor = three.start(2);
    until("it serves", || survivor.is_member());
    let found: Vec<bool> =
        (0..40).map(|number| value(&mut survivor, &format!("k{number}")).starts_with("value ")).collect();
    let kept = found.iter().take_while(|found| **found).count();
    assert!(kept > 0 && kept < 40, "{kept}");
    assert!(found[kept..].iter().all(|found| !found), "up to some entry, and nothing behind: {found:?}");
    survivor.set("k39", "again");
    // It was done, and needs to be done no more.
    drop(survivor);
    assert!(recovered(&data, &["--accept-data-loss"], 1).contains("only voter already"));
}

/// Nobody can take it in again, so somebody has to decide.
#[test]
fn a_damaged_cluster_of_one_goes_on_while_it_runs_when_it_is_told_to() {
    let dir = Scratch::with_certs(&["solo"]);
    let data = inside(&dir, "data");
    let mut node = Node::start(&dir, "solo", 0, &[], &["--data", &data]);
    for number in 0..20 {
        node.set(&format!("k{number}"), &"v".repeat(1000));
    }
    drop(node);
    let name = spoil_in_the_middle(&last_segment(&data));
    let mut node = Node::start(&dir, "solo", 0, &[], &["--data", &data]);
    assert_eq!(node.json("status")["standing"]["is"], "damaged");
    let answer = node.ask("recover --accept-data-loss");
    assert!(answer.starts_with("ok "), "{answer}");
    until("it serves", || node.is_member());
    assert!(value(&mut node, "k0").starts_with("value "));
    assert_eq!(value(&mut node, "k19"), "absent");
    node.set("k19", "again");
    assert!(set_aside(&data).iter().any(|aside| aside.ends_with(&name)));
    drop(node);
    let mut node = Node::start(&dir, "solo", 0, &[], &["--data", &data]);
    assert_eq!(value(&mut node, "k19"), "value again");
}

#[test]
fn what_is_no_directory_of_a_node_is_not_recovered() {
    let dir = Scratch::new();
    let nowhere = inside(&dir, "nowhere");
    fails(&["recover", "--data", &nowhere], 2, [nowhere.as_str()]);
    assert!(!Path::new(&nowhere).exists());
    fails(&["recover", "--data", dir.path()], 1, ["no file of a node", "check the path"]);
}

// ---- Directories --------------------------------------------------------------------------------------

#[test]
fn the_directory_of_another_node_is_refused_by_both_names() {
    let dir = Scratch::with_certs(&["mine", "yours"]);
    let data = inside(&dir, "data");
    let mut node = Node::start(&dir, "yours", 0, &[], &["--data", &data]);
    node.set("k", "v");
    let more = ["--certs", dir.path(), "--data", &data];
    let other = [&["node", "--id", "mine", "--listen", "127.0.0.1:0"][..], &more].concat();
    fails(&other, 1, ["in use", data.as_str()]);
    drop(node);
    fails(&other, 2, ["mine", "yours", "its own"]);
    let renamed =
        [&["node", "--id", "yours", "--listen", "127.0.0.1:0", "--cluster", "x"][..], &more].concat();
    fails(&renamed, 2, ["\"x\"", "\"diskeyval\""]);

    // And whoever was refused has let go of it.
    let mut node = Node::start(&dir, "yours", 0, &[], &["--data", &data]);
    assert_eq!(value(&mut node, "k"), "value v");
}

// ---- A full disk --------------------------------------------------------------------------------------

/// Whether a node whose disk is full can follow a new leader: its first entry has its room.
const FULL_FOLLOWERS_TAKE_WHAT_THE_PROTOCOL_WRITES: bool = true;

/// A file system in memory, with bounds, below a directory that is there.
struct Mounted(String);

impl Mounted {
    /// `None`, and a word on it, where this process must not mount.
    fn new(path: String, size: &str) -> Option<Mounted> {
        fs::create_dir_all(&path).expect("a directory");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "diskeyval-test", &path]);
        let done = mount.stderr(Stdio::null()).status();
        if done.is_ok_and(|done| done.success()) {
            return Some(Mounted(path));
        }
        skipped("only root can mount a small file system");
        None
    }

    /// Leaves no room.
    fn fill(&self) -> PathBuf {
        let path = Path::new(&self.0).join("filler");
        let mut file = File::create(&path).expect("a file");
        while file.write(&[1; 4096]).is_ok_and(|written| written > 0) {}
        path
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", &self.0]).status();
    }
}

#[test]
fn a_full_disk_refuses_writes_and_nothing_else_until_there_is_room() {
    let three = Three::new(&[]);
    let mounts: Vec<_> = (0..3).filter_map(|which| Mounted::new(three.data(which), "80m")).collect();
    if mounts.len() < 3 {
        return;
    }
    let mut nodes = three.start_all();
    nodes[0].set("before", "1");
    let fillers: Vec<_> = mounts.iter().map(Mounted::fill).collect();
    let large = "x".repeat(256 << 10);
    let mut written = 0;
    until("a write is refused for want of room", || {
        let answer = nodes[written % 3].ask(format!("set large-{} {large}", written % 7));
        written += 1;
        let for_room = answer.contains("disk") && answer.contains("full");
        assert!(answer.starts_with("ok ") || answer.starts_with("refused: ") && for_room, "{answer}");
        for_room
    });
    for node in &mut nodes {
        assert_eq!(value(node, "before"), "value 1");
    }
    if FULL_FOLLOWERS_TAKE_WHAT_THE_PROTOCOL_WRITES {
        let leader = leader_of(&mut nodes);
        let which = NAMES.iter().position(|name| *name == leader).expect("a member");
        nodes[which].signal(Signal::KILL);
        nodes[which].ended();
        let other = (which + 1) % 3;
        until("another leads", || nodes[other].leader().is_some_and(|now| now != leader));
        assert_eq!(value(&mut nodes[other], "before"), "value 1");
        drop(mem::replace(&mut nodes[which], three.start(which)));
        assert_eq!(value(&mut nodes[which], "before"), "value 1");
    } else {
        skipped("a follower whose disk is full does not take the first entry of a new leader yet");
    }
    for filler in fillers {
        fs::remove_file(filler).expect("ours");
    }
    nodes[0].set("after", "2");
    for node in &mut nodes {
        assert_eq!(value(node, "after"), "value 2");
    }
    drop(nodes);
}
