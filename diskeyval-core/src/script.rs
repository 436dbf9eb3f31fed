//! Conversation scripts: what a few nodes are told, and every word that they say.
//!
//! A script is a file below `tests/scripts/`: blocks of commands, `---`, and the conversation that follows.
//! `UPDATE=1 cargo test -p diskeyval-core scripts` writes the conversations anew; read the difference
//! before you keep it. The commands are those of [`run_command`]; `docs/src/scripts.md` explains them.

mod disk;
mod print;
mod soak;
mod world;

use std::fmt::Write as _;
use std::format;
use std::path::{Path, PathBuf};
use std::string::String;
use std::vec::Vec;

use self::world::World;
use crate::io::Read;

#[test]
fn scripts_say_what_they_said() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    let update = std::env::var_os("UPDATE").is_some();
    arm();
    let mut files = Vec::new();
    collect(&root, &mut files);
    assert!(!files.is_empty(), "no scripts below {}", root.display());
    let mut differing = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a readable script");
        let played = play(&file, &text);
        if played == text {
            continue;
        }
        if update {
            std::fs::write(&file, played).expect("a writable script");
        } else {
            differing.push(format!("{}:\n{}", file.display(), first_difference(&text, &played)));
        }
    }
    assert!(differing.is_empty(), "{}\nUPDATE=1 writes them anew", differing.join("\n"));
}

/// With the feature `mutants`, `ARMED=no-resync cargo test … scripts` shows which scripts find that out.
fn arm() {
    #[cfg(feature = "mutants")]
    if let Ok(name) = std::env::var("ARMED") {
        crate::mutants::arm(Some(crate::mutants::Mutant::from_name(&name).expect("a mutant of this name")));
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("a folder of scripts")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "txt") {
            files.push(path);
        }
    }
}

/// Plays a script and gives it back with the conversation as it was.
fn play(file: &Path, text: &str) -> String {
    let mut world = World::default();
    let mut out = String::new();
    for block in text.trim_end().split("\n\n") {
        let commands: Vec<&str> = block.lines().take_while(|line| *line != "---").collect();
        if !out.is_empty() {
            out.push('\n');
        }
        let silent = commands.iter().all(|line| line.starts_with('#'));
        for line in &commands {
            writeln!(out, "{line}").expect("a string takes it");
            if !line.starts_with('#') {
                let ran =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run_command(&mut world, line)));
                assert!(ran.is_ok(), "{}: at `{line}`, after:\n{out}", file.display());
            }
        }
        if !silent {
            writeln!(out, "---").expect("a string takes it");
            for line in world.take_lines() {
                writeln!(out, "{line}").expect("a string takes it");
            }
        }
    }
    out
}

/// The command language of the scripts.
fn run_command(world: &mut World, line: &str) {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        // Nodes n1, n2, … that know each other, and are not started yet.
        ["cluster", size] => world.cluster(size.parse().expect("a number of nodes")),
        ["option", name, value] => world.set_option(name, value),
        // Options of one node only; before it is started.
        ["members", node, rest @ ..] => world.set_members(node, rest),
        // How much a node should rather lead than others; before it is started.
        ["priority", node, priority] => world.set_priority(node, priority.parse().expect("a priority")),
        // A node that is no initial member, and joins the cluster of these; before it is started.
        ["joins", node, rest @ ..] => world.joins(node, rest),
        // Where others reach a node; before it is started. It announces that.
        ["address", node, port] => world.set_port(node, port.parse().expect("a port")),
        // Another process `n3+` under the name of n3, memory-only and not started yet.
        ["twin", node] => world.twin(node),
        ["start", nodes @ ..] => world.each(nodes, World::start),
        // As `start`: memory-only nodes remember nothing, others what their disk has kept.
        ["restart", nodes @ ..] => world.each(nodes, World::start),
        ["crash", nodes @ ..] => world.each(nodes, World::crash),
        // These nodes are on disks; before they are started.
        ["disk", nodes @ ..] => world.each(nodes, World::use_disk),
        // What is written from now on is not durable before it is let go.
        ["hold-disk", nodes @ ..] => world.each(nodes, World::hold_disk),
        ["release-disk", nodes @ ..] => world.each(nodes, World::release_disk),
        // There is no room for new files on these disks, until there is.
        ["fill-disk", nodes @ ..] => world.each(nodes, World::fill_disk),
        ["free-disk", nodes @ ..] => world.each(nodes, World::free_disk),
        // A byte of a file on the disk of a dead node is another.
        ["spoil", node, file, at] => world.spoil(node, file, at.parse().expect("a place")),
        // A dead node loses its disk.
        ["wipe", nodes @ ..] => world.each(nodes, World::wipe),
        // A frozen node takes no turns; what is sent to it waits.
        ["freeze", nodes @ ..] => world.each(nodes, World::freeze),
        ["thaw", nodes @ ..] => world.each(nodes, World::thaw),
        // Cuts all links of a node, or one; dials across it are silent.
        ["cut", node] => world.cut(node, None),
        ["cut", node, other] => world.cut(node, Some(other)),
        ["heal"] => world.heal(),
        // Lets what one node sends to another wait, until it is let go or cut.
        ["hold", from, to] => world.hold(from, to, true),
        ["release", from, to] => world.hold(from, to, false),
        ["advance", span] => world.advance(parse_span(span)),
        ["run"] => world.run(),
        // What is on its way now arrives, and is answered; the answers are on their way then.
        ["step"] => world.step(),
        ["elect", node] => world.elect(node),
        ["set", node, key, value] => world.write(node, world::set(key, value)),
        ["setbig", node, key, size] => {
            world.write(node, world::set(key, &"x".repeat(size.parse().expect("a size"))));
        }
        ["delete", node, key] => world.write(node, world::delete(key)),
        ["cas", node, key, old, new] => world.write(node, world::compare_and_set(key, old, new)),
        ["get", node, key] => world.get(node, key, Read::Linearizable),
        ["getlease", node, key] => world.get(node, key, Read::Lease),
        ["getlocal", node, key] => world.get(node, key, Read::Local),
        // Asks for a snapshot of the state as it is now.
        ["snapshot", node] => world.snapshot(node),
        // Asks that a node lead; a dash for whoever is most advanced.
        ["transfer", node, to] => world.transfer(node, to),
        // Asks for a change of the members: `reconfigure n1 n2=n2:1`, `add n4`, `promote n4`, `remove n2`.
        ["change", node, what @ ..] => world.change(node, what),
        // Has this node go on alone, as another cluster.
        ["recover", node] => world.recover(node),
        // From now on they speak by other certificates.
        ["renew", nodes @ ..] => world.each(nodes, World::renew),
        ["stop", node] => world.stop(node),
        ["listen", nodes @ ..] => world.each(nodes, World::listen),
        ["status", nodes @ ..] => world.each(nodes, World::status),
        ["standing", nodes @ ..] => world.each(nodes, World::standing),
        // Which part each has in the members, as these nodes know them, and where it is dialled.
        ["membership", nodes @ ..] => world.each(nodes, World::membership),
        // What the statuses of these nodes together come to.
        ["explain", nodes @ ..] => world.explain(nodes),
        // Which words are shown: all, or all but heartbeats, hellos and pings (the default).
        ["show", "all"] => world.show_all(true),
        ["show", "some"] => world.show_all(false),
        other => panic!("no such command: {other:?}"),
    }
}

fn parse_span(span: &str) -> core::time::Duration {
    let number = |unit: &str| span.strip_suffix(unit).and_then(|number| number.parse().ok());
    match (number("ms"), number("s")) {
        (Some(millis), _) => core::time::Duration::from_millis(millis),
        (None, Some(seconds)) => core::time::Duration::from_secs(seconds),
        (None, None) => panic!("{span} is no span of time"),
    }
}

fn first_difference(old: &str, new: &str) -> String {
    for (number, (old, new)) in old.lines().zip(new.lines()).enumerate() {
        if old != new {
            return format!("  line {}:\n  - {old}\n  + {new}", number + 1);
        }
    }
    format!("  one of the two is longer: {} and {} lines", old.lines().count(), new.lines().count())
}
