//! How much memory is taken for bytes from elsewhere, whatever they claim to be: twice as much as they are, and a constant.
//!
//! What is counted is all that is allocated while they are read, and not only what is held at a time, which is less. This is
//! a test of its own, alone in its process, since others would be counted as well.

use std::alloc::System;

use bytes::Bytes;
use diskeyval_core::identity::of_certificate;
use diskeyval_core::inspect::decode::{Format, Frames};
use diskeyval_core::inspect::state::State;
use diskeyval_core::{Command, Incarnation, NodeId};
use diskeyval_fuzz::directory::kept;
use diskeyval_fuzz::seeds::{every_word, noise};
use diskeyval_fuzz::{TARGETS, write};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Something that reads bytes from elsewhere.
struct Decoder {
    name: &'static str,
    /// Tells whether it has read all of them as what it reads.
    read: fn(&Bytes) -> bool,
    /// So many times as many bytes may be allocated as there are.
    times: usize,
    /// And so many more.
    more: usize,
}

/// What comes from a peer, or whoever says that it is one, is bounded by twice its size. A log and a state are a node's own, or
/// were agreed on: what stands in them is kept item by item, and the smallest items take more memory than room. A list
/// that lies about its length has no part in that.
const DECODERS: &[Decoder] = &[
    Decoder { name: "stream", read: stream, times: 2, more: 1 << 10 },
    Decoder { name: "frame", read: |bytes| Format::Frame.decode(bytes).is_some(), times: 2, more: 512 << 10 },
    Decoder { name: "entry", read: |bytes| Format::Entry.decode(bytes).is_some(), times: 2, more: 4 << 10 },
    Decoder { name: "batch", read: |bytes| Format::Batch.decode(bytes).is_some(), times: 2, more: 512 << 10 },
    Decoder { name: "slot", read: |bytes| Format::Slot.decode(bytes).is_some(), times: 2, more: 4 << 10 },
    Decoder { name: "certificate", read: |bytes| of_certificate(bytes).is_ok(), times: 2, more: 4 << 10 },
    Decoder {
        name: "records",
        read: |bytes| Format::Records.decode(bytes).is_some(),
        times: 26,
        more: 4 << 10,
    },
    Decoder { name: "state", read: |bytes| Format::State.decode(bytes).is_some(), times: 40, more: 4 << 10 },
];

/// The first frame, byte by byte.
fn stream(bytes: &Bytes) -> bool {
    let mut frames = Frames::up_to(1 << 20);
    let read = (0..bytes.len()).find_map(|at| {
        frames.push(bytes.slice(at..=at));
        frames.next_frame().transpose()
    });
    read.is_some_and(|frame| frame.is_ok())
}

/// What everybody is to read.
fn inputs() -> Vec<Bytes> {
    let mut inputs: Vec<Vec<u8>> = vec![Vec::new()];
    for (name, _) in TARGETS {
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        for entry in std::fs::read_dir(corpus).expect("a corpus") {
            let bytes = std::fs::read(entry.expect("an entry").path()).expect("readable");
            // Of some targets the first bytes say what the others are.
            inputs.extend([
                bytes.get(1..).unwrap_or_default().to_vec(),
                bytes.get(2..).unwrap_or_default().to_vec(),
            ]);
            inputs.push(bytes);
        }
    }
    let words: Vec<Vec<u8>> = every_word().into_values().collect();
    inputs.extend(words.iter().cloned());
    inputs.extend(words.iter().map(|word| write::framed(word)));
    inputs.extend((0..64).map(|seed| noise(seed, 1 << (seed % 12))));
    inputs.extend(kept().into_iter().map(|(_, bytes)| bytes));
    inputs.extend(
        kept()
            .into_iter()
            .flat_map(|(_, bytes)| [bytes[80..].to_vec(), bytes[..4096.min(bytes.len())].to_vec()]),
    );
    inputs.extend(lists());
    inputs.extend(states());
    inputs.push(write::framed(&noise(1, 100_000)));
    // Every byte of each is another: among them are all lengths, which are then as large as can be.
    let small: Vec<Vec<u8>> = inputs.iter().filter(|bytes| bytes.len() < 600).cloned().collect();
    for bytes in &small {
        for at in 0..bytes.len().min(120) {
            for lie in [&[0xff_u8][..], &[0xff, 0xff, 0xff, 0x7f], &[0x80, 0x80, 0x80, 0x80, 0x04]] {
                let mut lying = bytes.clone();
                lying.splice(at..=at, lie.iter().copied());
                inputs.push(lying);
            }
        }
    }
    inputs.into_iter().map(Bytes::from).collect()
}

/// Lists as long as a frame allows, of the smallest things that there are.
fn lists() -> Vec<Vec<u8>> {
    let many = 20_000_u32;
    let list = |front: &[u8], item: &[u8]| {
        let mut bytes = front.to_vec();
        write::varint(&mut bytes, many.into());
        (0..many).for_each(|_| bytes.extend_from_slice(item));
        bytes
    };
    let append = [5, 0, 1, 9, 0, 0, 0, 0, 0].to_vec();
    let entries = |entry: &[u8]| write::framed(entry).repeat(many as usize);
    vec![
        // Members to be met, and members that are to be: nameless, and with a name.
        list(&[7, 11], &[1, b'n', 0]),
        list(&[7, 8, 1, 0], &[1, b'n', 0]),
        // A membership, in an entry.
        list(&[5, 2], &[1, b'n', 0, 0]),
        list(&[5, 0, 9, 0], &[1, b'n', 0, 0]),
        [append.clone(), entries(&[1, 1])].concat(),
        [append, entries(&[1, 2, 0, 0, 0])].concat(),
        entries(&[1, 1]),
        // Records: seals, and empty entries.
        entries(&[5]),
        entries(&[3, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]),
    ]
}

/// States with as many of the smallest things as can be: keys, answers, and numbers that wait for theirs.
fn states() -> Vec<Vec<u8>> {
    let many = 5_000_u32;
    let state = |numbers: &[u64], has_keys: bool| {
        let mut state = State::founded(NodeId::new("n").expect("a good name"));
        let session = state.open_session(Incarnation(1), 1).expect("a member");
        for seq in numbers {
            let key = if has_keys { Bytes::copy_from_slice(&seq.to_be_bytes()[5..]) } else { Bytes::new() };
            let floor = if has_keys { *seq } else { 1 };
            state.write(session, *seq, floor, Command::Set { key, value: Bytes::new() });
        }
        state.snapshot(1 << 16).expect("its keys add up").to_vec()
    };
    let all: Vec<u64> = (1..=many.into()).collect();
    vec![state(&all, true), state(&all, false), state(&[1, many.into()], false)]
}

#[test]
fn nobody_allocates_more_than_twice_what_has_come_and_a_constant() {
    let inputs = inputs();
    let mut broken = Vec::new();
    for Decoder { name, read, times, more } in DECODERS {
        let (mut understood, mut worst, mut most) = (0, 0, 0);
        for bytes in &inputs {
            let region = Region::new(&INSTRUMENTED_SYSTEM);
            let is_read = read(bytes);
            let taken = region.change().bytes_allocated;
            understood += usize::from(is_read);
            let beyond = taken.saturating_sub(times * bytes.len());
            if beyond > worst {
                (worst, most) = (beyond, bytes.len());
            }
        }
        assert!(understood > 0, "no input is one for {name}");
        if worst > *more {
            broken
                .push(format!("{name} allocates {worst} bytes more than {times} times the {most} that came"));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}
