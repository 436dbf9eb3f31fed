//! Files as they were written once, kept below `tests/golden/`: the format is what is read from them for ever.
//!
//! Each is kept as `xxd` prints it, without the lines that are all zeros but for the last: so a change can be read, and
//! `xxd -r` makes the file of it again. `UPDATE=1 cargo test -p diskeyval-core golden` writes them anew, which no version that is
//! released may need: old files stay readable.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::folder::Folder;
use super::opening::{Opening, Origin, Recalled};
use super::{FileName, Record, Store, snapshot, superblock};
use crate::entry::{Entry, Genesis, Payload, Write};
use crate::id::{ClusterId, EntryId, Incarnation, Index, NodeId, Term};
use crate::io::DiskOp;
use crate::kv::{Command, Decoder, Encoder, Machine, Owner, Snapshot};
use crate::members::{Membership, Seat, StorageKind};
use crate::storage;

const OWN: Incarnation = Incarnation(0x1111_2222_3333_4444_5555_6666_7777_8888);

/// The files that are kept.
const KEPT: [FileName; 3] = [FileName::Superblock, FileName::Segment(1), FileName::Snapshot(4)];

fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("a good name")
}

fn origin() -> Origin {
    Origin {
        node: node("node-1"),
        cluster_name: "diskeyval".into(),
        incarnation: OWN,
        salt: 0x5a17,
        segment_bytes: 16 << 10,
    }
}

fn genesis() -> Genesis {
    let seat = |name, bound| Seat { id: node(name), bound, address: None };
    let seats =
        vec![seat("node-1", Some(OWN)), seat("node-2", Some(Incarnation(0x2222))), seat("node-3", None)];
    Genesis { cluster: ClusterId(0xc1), storage: StorageKind::Disk, members: Membership::of(seats) }
}

fn session() -> Payload {
    Payload::OpenSession(Owner { node: node("node-1"), incarnation: OWN, boot: 7 })
}

fn write(seq: u64, key: &'static [u8], value: &'static [u8]) -> Payload {
    let (key, value) = (Bytes::from_static(key), Bytes::from_static(value));
    Payload::Write(Write { session: 3, seq, floor: 1, command: Command::Set { key, value } })
}

/// What a leader sends: the state after entry 5.
fn leaders_state() -> Snapshot {
    let mut machine = Machine::default();
    let log = [
        Payload::Genesis(genesis()),
        Payload::Noop,
        session(),
        write(1, b"greeting", b"hello"),
        write(2, b"lock", b"node-1"),
    ];
    for (index, payload) in (1..).zip(log) {
        machine.apply(Index(index), payload);
    }
    Snapshot { last: EntryId::new(5, 2), genesis: genesis(), configuration: EntryId::new(1, 1), machine }
}

fn entry(index: u64, term: u64, payload: Payload) -> Record {
    Record::Entry { index: Index(index), bytes: Entry::new(Term(term), payload).bytes }
}

fn ballot(term: u64, vote: Option<&str>) -> Record {
    Record::Ballot { term: Term(term), vote: vote.map(node) }
}

/// A node writes every kind of record: four flushes in one segment, and one snapshot.
fn written() -> Folder {
    let mut folder = Folder::default();
    let mut store = folder.open(origin(), Duration::MAX);
    // It leads in term 1, and loses its last entry to the leader of term 2.
    let first = [
        ballot(1, Some("node-1")),
        entry(1, 1, Payload::Genesis(genesis())),
        entry(2, 1, Payload::Noop),
        entry(3, 1, session()),
        Record::Truncate { behind: Index(2) },
        ballot(2, None),
        entry(3, 2, session()),
    ];
    for record in first {
        let _ = store.record(|| record);
    }
    store.set_cluster(genesis().cluster);
    folder.settle(&mut store);
    // It falls behind, and is sent the state.
    let mut encoder = Encoder::new(leaders_state());
    store.begin_snapshot(encoder.last());
    folder.settle(&mut store);
    while !encoder.is_done() {
        store.push_snapshot(encoder.next(200).expect("nothing is wrong with it"));
        folder.settle(&mut store);
    }
    store.end_snapshot();
    folder.settle(&mut store);
    assert_eq!(store.durable_snapshot(), EntryId::new(5, 2));
    for record in [Record::Base { last: EntryId::new(5, 2) }, entry(6, 2, write(3, b"lock", b"node-2"))] {
        let _ = store.record(|| record);
    }
    folder.settle(&mut store);
    store.seal();
    folder.settle(&mut store);
    assert!(store.is_sealed());
    folder
}

/// The superblock of that node when it was damaged, and has begun to give its files up: both slots are void.
fn given_up() -> Vec<u8> {
    let mut folder = written();
    let next = Incarnation(0x9999_aaaa_bbbb_cccc_dddd_eeee_ffff_0000);
    let mut opening = Opening::anew(Origin { incarnation: next, salt: 0x6b28, ..origin() }, 0);
    loop {
        for (op, what) in opening.take_ops() {
            if matches!(what, DiskOp::SetAside { .. }) {
                return folder.files[&FileName::Superblock].clone();
            }
            opening.done(op, folder.perform(&what)).expect("nothing is in the way");
        }
    }
}

fn path_of_void() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/superblock-void.hex")
}

fn kept_void() -> String {
    fs::read_to_string(path_of_void()).expect("UPDATE=1 writes it")
}

/// A node goes on from it as the life that it names, whatever else is there.
#[test]
fn a_golden_void_superblock_is_what_is_written_and_is_read() {
    let lines = dump(&given_up()).join("\n") + "\n";
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path_of_void(), &lines).expect("a folder that can be written to");
    }
    assert_eq!(kept_void(), lines);
    let mut folder = written();
    folder.files.insert(FileName::Superblock, undump(&kept_void()));
    let mut opening = Opening::new(Origin { incarnation: Incarnation(0), salt: 0, ..origin() });
    let mut store = Store::new(StorageKind::Disk, Duration::MAX);
    let recalled = loop {
        if let Some(recalled) = store.open(&mut opening) {
            break recalled;
        }
        for (op, what) in opening.take_ops() {
            opening.done(op, folder.perform(&what)).expect("it is sound");
        }
    };
    let next = Incarnation(0x9999_aaaa_bbbb_cccc_dddd_eeee_ffff_0000);
    assert_eq!((recalled.incarnation, recalled.term, recalled.is_anew), (next, Term(0), true));
    assert!(recalled.entries.is_empty() && folder.aside.len() > 2);
}

fn path_of(file: FileName) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{file}.hex"))
}

/// The lines of `xxd`, 16 bytes each, but for those that are all zeros: of them only the last of the file.
fn dump(bytes: &[u8]) -> Vec<String> {
    let is_blank = |line: &[u8]| line.iter().all(|byte| *byte == 0);
    let count = bytes.chunks(16).len();
    let kept = bytes.chunks(16).enumerate().filter(|(nth, line)| !is_blank(line) || nth + 1 == count);
    let line = |(nth, line): (usize, &[u8])| {
        let hex: Vec<String> =
            line.chunks(2).map(|pair| pair.iter().map(|byte| format!("{byte:02x}")).collect()).collect();
        let text = line.iter().map(|byte| match byte {
            0x20..=0x7e => char::from(*byte),
            _ => '.',
        });
        // No line of a text ends with a space.
        let text: String = text.collect();
        format!("{:08x}: {:<39}  {}", nth * 16, hex.join(" "), text.trim_end())
    };
    kept.map(line).collect()
}

fn undump(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in text.lines() {
        let (place, rest) = line.split_once(": ").expect("a place");
        let (hex, _) = rest.split_once("  ").expect("a text");
        bytes.resize(usize::from_str_radix(place, 16).expect("a number"), 0);
        let hex: Vec<char> = hex.chars().filter(|digit| *digit != ' ').collect();
        bytes.extend(
            hex.chunks(2)
                .map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("a byte")),
        );
    }
    bytes
}

fn kept(file: FileName) -> String {
    fs::read_to_string(path_of(file)).expect("UPDATE=1 writes it")
}

#[test]
fn golden_files_are_what_is_written() {
    let folder = written();
    for file in KEPT {
        let lines = dump(&folder.files[&file]).join("\n") + "\n";
        if std::env::var_os("UPDATE").is_some() {
            fs::write(path_of(file), &lines).expect("a folder that can be written to");
        }
        assert_eq!(kept(file), lines, "{file}");
        assert_eq!(undump(&lines), folder.files[&file], "{file}");
    }
}

#[test]
fn golden_files_are_read() {
    let mut folder = Folder::default();
    for file in KEPT {
        folder.files.insert(file, undump(&kept(file)));
    }
    let given: Vec<(FileName, Bytes)> =
        folder.files.iter().map(|(file, bytes)| (*file, bytes.clone().into())).collect();
    assert_eq!(storage::describe(&given).fault, None);

    let mut opening = Opening::new(Origin { incarnation: Incarnation(0), salt: 0, ..origin() });
    let mut store = Store::new(StorageKind::Disk, Duration::MAX);
    let mut decoder = Decoder::default();
    let recalled = loop {
        if let Some(recalled) = store.open(&mut opening) {
            break recalled;
        }
        for (op, what) in opening.take_ops() {
            opening.done(op, folder.perform(&what)).expect("it is sound");
            for piece in opening.take_pieces() {
                decoder.push(&piece).expect("a part of a state");
            }
        }
    };
    let last = Entry::new(Term(2), write(3, b"lock", b"node-2"));
    let expected = Recalled {
        incarnation: OWN,
        term: Term(2),
        vote: None,
        base: EntryId::new(5, 2),
        entries: vec![last.bytes],
        is_new: false,
        is_anew: false,
    };
    assert_eq!(recalled, expected);
    let state = decoder.finish().expect("a whole state");
    assert_eq!(state.last, EntryId::new(5, 2));
    assert_eq!(state.machine.hash(), leaders_state().machine.hash());
}

fn guide() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/storage.md"))
        .expect("a chapter")
}

/// The examples of `docs/src/storage.md`.
#[test]
fn the_bytes_are_those_of_the_guide() {
    let written: BTreeSet<String> = KEPT
        .iter()
        .map(|file| kept(*file))
        .chain([kept_void()])
        .flat_map(|text| text.lines().map(ToString::to_string).collect::<Vec<_>>())
        .collect();
    let is_dump = |line: &&str| line.split_once(": ").is_some_and(|(place, _)| place.len() == 8);
    let guide = guide();
    let shown: Vec<&str> = guide.lines().filter(is_dump).collect();
    assert!(shown.len() > 20, "a slot, a flush and a chunk are shown");
    for line in shown {
        assert!(written.contains(line), "this is not what is written:\n{line}");
    }
}

/// The tables of `docs/src/storage.md`: each begins at 0, leaves nothing out, and is as long as the code says.
#[test]
fn the_tables_are_those_of_the_guide() {
    let guide = guide();
    for (heading, len) in [
        ("## A flush", super::format::HEADER),
        ("## The superblock", superblock::HEADER),
        ("## Snapshot files", snapshot::HEADER),
    ] {
        let (_, section) = guide.split_once(&format!("\n{heading}\n")).expect(heading);
        let section = section.split("\n## ").next().unwrap_or_default();
        let mut end = 0;
        for line in section.lines() {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let Some(at) = cells.get(1).and_then(|cell| cell.parse::<usize>().ok()) else { continue };
            assert_eq!(at, end, "{heading}: {line}");
            // Behind the header comes the body, whose length it says.
            let Ok(bytes) = cells[2].parse::<usize>() else { break };
            end += bytes;
        }
        assert_eq!(end, len, "{heading}");
    }
    // Where the tables say that something stands, it stands.
    let (slots, log, state) = (undump(&kept(KEPT[0])), undump(&kept(KEPT[1])), undump(&kept(KEPT[2])));
    let number = |bytes: &[u8], at: usize, len: usize| {
        bytes[at..at + len].iter().rev().fold(0_u128, |sum, byte| sum << 8 | u128::from(*byte))
    };
    assert_eq!((&slots[..8], number(&slots, 8, 2)), (&b"dkvsuper"[..], 1));
    assert_eq!(slots[16..4088], slots[4096 + 16..8184], "both slots say the same");
    assert_ne!(slots[4088..4096], slots[8184..], "each with a checksum of its own");
    let second = 4096;
    assert_eq!((&log[second..second + 8], number(&log, second + 8, 2)), (&b"dkvflush"[..], 1));
    assert_eq!(number(&log, second + 12, 4), 7, "records");
    assert_eq!(number(&log, second + 16, 8), 1 << 32 | 2, "its number");
    assert_eq!(number(&log, second + 24, 8), 1 << 32 | 1, "the one before it");
    assert_eq!(number(&log, second + 32, 8), 4096, "its place");
    assert_eq!(number(&log, second + 48, 16), OWN.0);
    assert_eq!((&state[..8], number(&state, 8, 2), number(&state, 10, 1)), (&b"dkvsnaps"[..], 1, 0));
    assert_eq!(
        (number(&state, 16, 8), number(&state, 24, 8)),
        (4, 0),
        "the number of the file, and the place"
    );
}
