//! What each part of the project must never know, checked by reading the sources of the whole repository.
//!
//! The rules are data: [`MAY_NAME`] is the map of `ARCHITECTURE.md` in a form that can be checked (and the map
//! must say the same), [`ABSENT`] and [`LONG_FILES`] are the rest. A rule that is broken for a good reason is changed
//! here, with the reason, in the same commit. That each rule can fail is tested as well, on small bad inputs, beside what
//! reads the sources.

/// How sources and texts are read: in a folder, since a file beside this one would be a test of its own.
mod tidy {
    pub(crate) mod code;
    pub(crate) mod listed;
    pub(crate) mod texts;
    pub(crate) mod wire;
}

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use tidy::code::{code, found, length, strangers, test_modules};
use tidy::listed::{alone, cases, options, script_commands};
use tidy::texts::{headings, leftover, links};
use tidy::wire;

/// A file or folder of the core (below `diskeyval-core/src`), which modules of the core it may name, and why no
/// others. Tests are free. Who is not listed here may name everything: that is [`MAY_NAME_ALL`] alone.
const MAY_NAME: &[(&str, &[&str], &str)] = &[
    ("mutants.rs", &[], "everybody goes wrong by it, so it knows nobody"),
    ("time.rs", &[], "a reading of a clock, nothing else"),
    ("prng.rs", &[], "a generator, nothing else"),
    ("few.rs", &[], "lists of anything"),
    (
        "store/",
        &["entry", "error", "few", "id", "io", "kv", "members", "status", "time"],
        "it keeps what it is given, and decides nothing by what that says",
    ),
    ("id.rs", &["error"], "names and numbers"),
    ("identity.rs", &["id"], "a pure function of a certificate"),
    ("status.rs", &["id"], "plain data"),
    ("explain.rs", &["id", "status"], "a pure function of what nodes say of themselves"),
    ("explain/", &["id", "status"], "a pure function of what nodes say of themselves"),
    ("error.rs", &["id", "store"], "plain data"),
    ("error/", &["id"], "plain data"),
    ("config.rs", &["error", "id", "members"], "what a program writes, and what was checked"),
    ("config/", &["error"], "where a node listens, or is dialled"),
    (
        "tls.rs",
        &["config", "error", "id", "identity", "status"],
        "policy; sessions and sockets are the adapter's",
    ),
    ("tls/", &["identity", "status"], "sentences for errors, and dates"),
    ("members.rs", &["config", "few", "id"], "vocabulary: seats, and who counts"),
    ("members/", &["config", "error", "few", "id"], "what may be asked of them"),
    ("entry.rs", &["id", "kv", "members"], "the byte form of what raft orders and kv applies"),
    (
        "kv/",
        &["entry", "few", "id", "io", "members"],
        "no peers, no links, no time, no chance: the same on every node",
    ),
    (
        "raft/",
        &["config", "entry", "error", "id", "kv", "members", "prng", "status", "store", "time"],
        "no bytes on the wire, no sockets, no requests of the program",
    ),
    (
        "mesh/",
        &[
            "config", "entry", "error", "few", "id", "identity", "io", "members", "prng", "raft", "status",
            "time",
        ],
        "no log, no votes, no keys: from raft/ it names the messages that it carries, no more",
    ),
    ("founding.rs", &["mesh", "time"], "judges by what the mesh has heard"),
    (
        "desk.rs",
        &["config", "entry", "error", "id", "io", "kv", "mesh", "status", "time"],
        "what the program asked for; not how consensus works",
    ),
    (
        "io.rs",
        &["config", "error", "id", "identity", "kv", "members", "status", "store"],
        "the contract, on one page",
    ),
    ("storage.rs", &["error", "io", "kv", "store"], "looks into a directory from outside"),
    (
        "storage/",
        &["entry", "error", "id", "io", "kv", "members", "prng", "store"],
        "has one node go on from its directory, alone: no peers, no time",
    ),
    ("host.rs", &[], "a list of what it offers"),
    (
        "host/",
        &[
            "config", "error", "id", "identity", "io", "kv", "prng", "status", "storage", "store", "time",
            "tls",
        ],
        "a clock, files and certificates for adapters; nothing of what a node does with them",
    ),
    ("lib.rs", &[], "a list of what is public"),
];

/// The engine wires all parts together; `inspect` looks into all of them, and changes nothing.
const MAY_NAME_ALL: &[&str] = &["engine", "inspect"];

/// What everybody may name: nothing of it is left in a build that is no test of a simulator.
const ALL_MAY_NAME: &[&str] = &["mutants"];

/// Words that must not stand in the code (not in comments, texts and tests) of some files.
struct Absent {
    /// Paths from the top of the repository that the rule is about; a `/` at the end means a folder.
    within: &'static [&'static str],
    /// Files that are let off; a `/` at the end means a folder.
    but: &'static [&'static str],
    /// Whole words, or pieces of code with other characters.
    words: &'static [&'static str],
    why: &'static str,
}

const ALL: &[&str] =
    &["diskeyval-core/src/", "diskeyval-mio/src/", "diskeyval-sim/src/", "diskeyval-smol/src/", "fuzz/src/"];
const CORE: &[&str] = &["diskeyval-core/src/"];
/// What the adapters share of the machine below them: the one part of the core that asks it for something.
const HOST: &[&str] = &["diskeyval-core/src/host/", "diskeyval-core/src/host.rs"];
/// The same, and the file in which it is announced.
const HOST_AND_ROOT: &[&str] =
    &["diskeyval-core/src/host/", "diskeyval-core/src/host.rs", "diskeyval-core/src/lib.rs"];
const ADAPTERS: &[&str] = &["diskeyval-mio/src/", "diskeyval-smol/src/"];
const RAFT: &[&str] = &["diskeyval-core/src/raft/"];
const SIM: &[&str] = &["diskeyval-sim/src/"];
const CORE_AND_SIM: &[&str] = &["diskeyval-core/src/", "diskeyval-sim/src/"];
/// The simulator's command: it measures, prints and reads files, and decides nothing of a run.
const SIM_COMMAND: &str = "diskeyval-sim/src/bin/";
/// The suite for adapters, which simulates nothing: it has nodes in processes, sockets, files and a clock.
const SUITE: &str = "diskeyval-sim/src/conformance.rs";
const SUITE_PARTS: &str = "diskeyval-sim/src/conformance/";

const ABSENT: &[Absent] = &[
    Absent {
        within: CORE,
        but: HOST_AND_ROOT,
        words: &["std"],
        why: "no clock, file, socket, thread, path or environment in the core (rustls links std, for `tls`; `host` does)",
    },
    Absent {
        within: CORE,
        but: HOST_AND_ROOT,
        words: &["host::"],
        why: "the machine is for adapters: nothing in the core knows that there is one",
    },
    Absent {
        within: HOST,
        but: &[],
        words: &["Engine", "Effect", "Input", "TcpStream", "Mutex", "Condvar", "async"],
        why: "the engine is driven, and sockets and sessions are owned, by adapters",
    },
    Absent {
        within: CORE_AND_SIM,
        // It remembers what it has seen, by a hasher without a seed, and never asks in which order.
        but: &["diskeyval-sim/src/linear/search.rs", "diskeyval-core/src/host/tickets.rs"],
        words: &["HashMap", "HashSet", "hashbrown", "RandomState", "DefaultHasher"],
        why: "an order that differs from run to run would make replicas, or replays, differ",
    },
    Absent {
        within: CORE_AND_SIM,
        but: &[SIM_COMMAND],
        words: &["f32", "f64"],
        why: "floats are not the same on every machine",
    },
    Absent {
        within: CORE,
        // Which mutant is armed holds for the whole process, and only with the feature.
        but: &["diskeyval-core/src/mutants.rs"],
        words: &["static mut", "thread_local", "OnceLock", "LazyLock", "AtomicU64", "AtomicUsize", "Mutex"],
        why: "two engines in one process share nothing",
    },
    Absent { within: ALL, but: &[], words: &["unsafe"], why: "none is needed" },
    Absent {
        within: ALL,
        but: &[],
        words: &[".unwrap()"],
        why: "`expect` says what was relied on; a peer never makes us panic",
    },
    Absent {
        within: RAFT,
        but: &[],
        words: &["postcard", "Frame", "Cutter", "Hello", "Service", "ConnId", "DialId", "Ticket"],
        why: "raft/ knows neither bytes nor connections nor requests",
    },
    Absent {
        within: RAFT,
        but: &[],
        words: &["Machine", "Command", "Expect", "Outcome", "Versioned", "View", "Map", "Sessions"],
        why: "raft/ orders entries, and does not look at what they do to keys",
    },
    Absent {
        within: RAFT,
        but: &["diskeyval-core/src/raft/common.rs"],
        words: &["store", "Store", "Gate", "Receipt", "Promised", "Durable"],
        why: "persist before promise is held in one place: the two doors of common.rs",
    },
    Absent {
        within: &["diskeyval-core/src/kv/"],
        but: &[],
        words: &["Config", "Settings", "Limits", "Instant", "Duration", "Prng", "Mesh", "Identity", "Term"],
        why: "the state changes by applied entries and by nothing else",
    },
    Absent {
        within: &["diskeyval-core/src/mesh/"],
        but: &[],
        words: &["raft::Raft", "Role", "Log", "Leader", "Candidate", "Common", "Machine", "Command"],
        why: "the mesh carries messages, and does not know what consensus makes of them",
    },
    Absent {
        within: CORE,
        but: &["diskeyval-core/src/mesh/mod.rs", "diskeyval-core/src/mesh/timers.rs"],
        words: &["Effect::Send", "Effect::Dial", "Effect::Close"],
        why: "what leaves a node leaves through the mesh, and so through the gate",
    },
    Absent {
        within: CORE,
        but: &["diskeyval-core/src/store/mod.rs"],
        words: &[".synced()"],
        why: "only the store says what is durable",
    },
    Absent {
        within: ADAPTERS,
        but: &[],
        words: &[
            "Ballot",
            "Vote",
            "vote",
            "quorum",
            "Quorum",
            "Heartbeat",
            "Directive",
            "Pledge",
            "Genesis",
            "Membership",
            "Incarnation",
            "SessionId",
            "EntryId",
            "Index",
            "Hello",
            "Frame",
            "Cutter",
            "back_off",
            "backoff",
            "retry",
        ],
        why: "an adapter moves bytes: no framing, no retry, no knowledge of leaders beyond what the board shows",
    },
    Absent {
        within: ADAPTERS,
        but: &["diskeyval-mio/src/driver.rs", "diskeyval-smol/src/driver.rs"],
        words: &[".turn(", "turn.input", "Effect"],
        why: "one thread or task owns the engine, and one place reads its clock",
    },
    Absent {
        within: &["diskeyval-smol/src/"],
        but: &[],
        words: &["diskeyval_mio", "mio", "tokio", "thread", "block_on"],
        why: "adapters know the core only; it waits for nothing but by being polled, and what may block is unblocked",
    },
    Absent {
        within: &["diskeyval-mio/src/"],
        but: &["diskeyval-mio/src/bin/"],
        words: &["diskeyval_smol", "smol", "async"],
        why: "adapters know the core only, and this one waits on threads",
    },
    Absent {
        within: &["fuzz/src/"],
        but: &["fuzz/src/command.rs"],
        words: &["diskeyval_mio", "diskeyval_smol"],
        why: "of adapters, what is typed to the command is fuzzed, and no more",
    },
    Absent {
        within: &["diskeyval-sim/src/conformance/"],
        but: &[],
        words: &["Engine", "Effect", "Input", "inspect", "invariants"],
        why: "the suite sees nodes from outside, as programs do: what it needs, every adapter has",
    },
    Absent {
        within: SIM,
        but: &[SIM_COMMAND, SUITE, SUITE_PARTS],
        words: &["std::process", "std::env", "std::fs", "std::net", "stdin", "stdout", "stderr"],
        why: "the library judges what it is given",
    },
    Absent {
        within: SIM,
        but: &[SIM_COMMAND, SUITE, SUITE_PARTS],
        words: &["std::time", "SystemTime", "elapsed"],
        why: "a run knows simulated time only; `core::time` has spans",
    },
    Absent {
        within: SIM,
        // A hunt runs each seed on one thread, and adds up what does not depend on their order.
        but: &[SIM_COMMAND, "diskeyval-sim/src/hunt.rs", SUITE, SUITE_PARTS],
        words: &["std::thread", "mpsc", "Mutex", "RwLock", "Condvar"],
        why: "one thread, one queue of what is due: two would race",
    },
];

/// No file has more lines than this (tests, comments and blank lines counted as lines, `#[cfg(test)]` items not).
const MAX_LINES: usize = 600;

/// Files that are longer all the same.
const LONG_FILES: &[(&str, usize, &str)] = &[];

// ---- The tests -----------------------------------------------------------------------------------------

#[test]
fn the_core_names_what_the_map_allows() {
    let root = root();
    let map = fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let mut broken = Vec::new();
    for (part, may_name, why) in MAY_NAME {
        let line = map_line(part, may_name);
        if !map.contains(&line) {
            broken.push(format!("ARCHITECTURE.md lacks the line `{line}`"));
        }
        for (path, code) in sources(&[&format!("diskeyval-core/src/{part}")]) {
            for name in strangers(code, may_name, part) {
                broken.push(format!("{path} names `crate::{name}`: {why}"));
            }
        }
    }
    let listed = |path: &str| {
        let parts = MAY_NAME.iter().map(|(part, ..)| part).chain(MAY_NAME_ALL);
        path.strip_prefix(CORE[0]).is_some_and(|rest| parts.clone().any(|part| rest.starts_with(part)))
    };
    for (path, _) in sources(CORE) {
        if !listed(path) {
            broken.push(format!("{path} is not on the map: give it a line in MAY_NAME"));
        }
    }
    report(&broken);
}

#[test]
fn what_must_be_absent_is_absent() {
    let root = root();
    let mut broken = Vec::new();
    for rule in ABSENT {
        for let_off in rule.but {
            assert!(root.join(let_off).exists(), "{let_off} is let off, and does not exist");
        }
        for (path, code) in sources(rule.within) {
            if !rule.but.iter().any(|let_off| path == let_off || is_within(path, let_off)) {
                for (line, word) in found(code, rule.words) {
                    broken.push(format!("{path}:{line}: `{word}`: {}", rule.why));
                }
            }
        }
    }
    report(&broken);
}

#[test]
fn no_file_is_too_long() {
    let root = root();
    let mut broken = Vec::new();
    for (path, code) in sources(ALL) {
        let limit =
            LONG_FILES.iter().find(|(long, ..)| long == path).map_or(MAX_LINES, |(_, limit, _)| *limit);
        let lines = length(code);
        if lines > limit {
            broken.push(format!("{path} has {lines} lines without its tests, and the limit is {limit}"));
        }
    }
    for (path, ..) in LONG_FILES {
        let code = code(&fs::read_to_string(root.join(path)).expect(path));
        if length(&code) <= MAX_LINES {
            broken.push(format!("{path} needs no exception any more"));
        }
    }
    report(&broken);
}

#[test]
fn every_relative_link_leads_somewhere() {
    let root = root();
    let mut broken = Vec::new();
    for path in files(&root, &["md"]) {
        let text = fs::read_to_string(root.join(&path)).expect("readable");
        let folder = root.join(&path).parent().map(Path::to_path_buf).unwrap_or_default();
        for target in links(&text) {
            let (file, anchor) =
                target.split_once('#').map_or((target.as_str(), None), |(f, a)| (f, Some(a)));
            let file = if file.is_empty() { root.join(&path) } else { folder.join(file) };
            if !file.exists() {
                broken.push(format!("{path}: `{target}` leads nowhere"));
            } else if let Some(anchor) = anchor.filter(|_| file.extension().is_some_and(|e| e == "md")) {
                let headings = headings(&fs::read_to_string(&file).expect("readable"));
                if !headings.contains(anchor) {
                    broken.push(format!("{path}: `{target}` names no heading"));
                }
            }
        }
    }
    report(&broken);
}

#[test]
fn nothing_is_left_lying_about() {
    let root = root();
    let mut broken = Vec::new();
    for path in files(&root, &["rs", "md", "toml", "txt", "yml", "run"]) {
        let text = fs::read_to_string(root.join(&path)).expect("readable");
        for (number, line) in text.lines().enumerate() {
            if let Some(what) = leftover(line) {
                broken.push(format!("{path}:{}: {what}", number + 1));
            }
        }
    }
    report(&broken);
}

/// Of files that stand in one place for people and in another for programs.
#[test]
fn what_stands_twice_is_the_same() {
    let root = root();
    let read = |path: &str| fs::read_to_string(root.join(path)).expect(path);
    for package in ["diskeyval-core", "diskeyval-mio", "diskeyval-sim", "diskeyval-smol"] {
        assert_eq!(read("LICENSE"), read(&format!("{package}/LICENSE")), "a package carries the licence");
    }
    let commands = read("diskeyval-core/src/script.rs");
    let chapter = read("docs/src/scripts.md");
    for command in script_commands(&commands) {
        assert!(chapter.contains(&format!("`{command}")), "docs/src/scripts.md does not explain `{command}`");
    }
    let config = read("diskeyval-core/src/config.rs");
    let chapter = read("docs/src/configuration.md");
    for option in options(&config) {
        assert!(chapter.contains(&format!("| `{option}` |")), "docs/src/configuration.md lacks `{option}`");
    }
    let mut rows = Vec::new();
    for level in ["diskeyval-sim/src/conformance/cases.rs", "diskeyval-sim/src/conformance/api/cases.rs"] {
        rows.extend(cases(&read(level)).iter().map(|(name, demand)| format!("| `{name}` | {demand} |")));
    }
    let chapter = read("docs/src/conformance.md");
    let told: Vec<&str> = chapter.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(
        told, rows,
        "the tables of docs/src/conformance.md list the cases of the suite, in their order"
    );
    for row in alone(&read("diskeyval-sim/src/conformance/api/names.rs")) {
        assert!(chapter.contains(&row), "docs/src/conformance.md lacks {row:?}");
    }
}

/// The rule of identity stands in the code, in the guide, and above the tests that show it, row by row.
#[test]
fn whom_certificates_name_is_one_table() {
    let root = root();
    let rows = |path: &str| -> Vec<String> {
        let text = fs::read_to_string(root.join(path)).expect(path);
        let rows =
            text.lines().map(|line| line.trim_start_matches("/// ")).filter(|line| line.starts_with("| "));
        // The guide has other tables behind this one.
        let rows =
            rows.skip_while(|row| row.contains("It names")).take_while(|row| !row.starts_with("| By its"));
        rows.map(str::to_owned).collect()
    };
    let table = rows("diskeyval-core/src/identity.rs");
    assert!(table.len() > 10, "the table was not found: {table:?}");
    assert_eq!(rows("docs/src/identity.md"), table, "the guide has the table of the code");
    assert_eq!(
        rows("diskeyval-core/src/identity/tests.rs"),
        table,
        "each row stands above the test that shows it"
    );
}

#[test]
fn no_message_names_its_sender() {
    // There are other types of the same names; what stands on the wire comes first.
    let (wire, rest): (Vec<_>, Vec<_>) = sources(CORE)
        .into_iter()
        .partition(|(path, _)| path.ends_with("mesh/wire.rs") || path.ends_with("raft/message.rs"));
    let (names, senders) = wire::names_on_the_wire(wire.iter().chain(&rest).map(|(_, code)| code.as_str()));
    let expected: BTreeSet<String> = wire::NAMES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names, expected, "names on the wire; diskeyval-core/tests/tidy/wire.rs says what each is for");
    assert!(senders.is_empty(), "a receiver knows who speaks by the certificate: {senders:?}");
}

// ---- The checker ---------------------------------------------------------------------------------------

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn report(broken: &[String]) {
    assert!(
        broken.is_empty(),
        "\n{}\n(the rules stand in diskeyval-core/tests/tidy.rs)\n",
        broken.join("\n")
    );
}

fn is_within(path: &str, folder: &str) -> bool {
    folder.ends_with('/') && path.starts_with(folder)
}

/// The line of the map in ARCHITECTURE.md.
fn map_line(part: &str, may_name: &[&str]) -> String {
    let names: Vec<String> = may_name.iter().map(|name| format!("`{name}`")).collect();
    let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    format!("| `{part}` | {names} |")
}

/// Paths, from the top, of all files with one of these endings; a file without one counts by its name.
fn files(root: &Path, endings: &[&str]) -> Vec<String> {
    fn walk(root: &Path, folder: &Path, endings: &[&str], found: &mut Vec<String>) {
        let mut entries: Vec<PathBuf> =
            fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if path.is_dir() {
                if !name.starts_with("target") && !matches!(name.as_str(), ".git" | "book") {
                    walk(root, &path, endings, found);
                }
            } else if name.rsplit('.').next().is_some_and(|ending| endings.contains(&ending)) {
                let path = path.strip_prefix(root).expect("below the top");
                found.push(path.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    let mut found = Vec::new();
    walk(root, root, endings, &mut found);
    assert!(!found.is_empty(), "nothing to check below {}", root.display());
    found
}

/// All sources without comments, texts and tests.
static SOURCES: LazyLock<Vec<(String, String)>> = LazyLock::new(|| {
    let root = root();
    let all: Vec<(String, String)> = files(&root, &["rs"])
        .into_iter()
        .filter(|path| ALL.iter().any(|package| path.starts_with(package)))
        .map(|path| (path.clone(), fs::read_to_string(root.join(path)).expect("readable")))
        .collect();
    let tests: Vec<String> = all.iter().flat_map(|(path, text)| test_modules(path, text)).collect();
    let is_test = |path: &str| {
        let module = path.trim_end_matches(".rs");
        tests.iter().any(|test| module == test || module.starts_with(&format!("{test}/")))
    };
    all.into_iter().filter(|(path, _)| !is_test(path)).map(|(path, text)| (path, code(&text))).collect()
});

/// Of these, the ones within some paths.
fn sources(within: &[&str]) -> Vec<&'static (String, String)> {
    let found: Vec<_> =
        SOURCES.iter().filter(|(path, _)| within.iter().any(|part| path.starts_with(part))).collect();
    assert!(!found.is_empty(), "a rule about {within:?} is about nothing");
    found
}

// ---- That each rule can fail ----------------------------------------------------------------------------

#[test]
fn only_what_is_named_is_let_off() {
    assert!(is_within("a/bin/sim/run.rs", "a/bin/"));
    assert!(!is_within("a/bin.rs", "a/bin/") && !is_within("a/run.rs.bak", "a/run.rs"));
}
