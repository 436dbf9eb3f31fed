//! A node's directory whose bytes were tampered with by somebody who knows the format: checksums are right where that is
//! wanted. The form of files is taken from `docs/src/storage.md`, not from the code that is tested.

use arbitrary::{Result, Unstructured};
use diskeyval_core::FileName;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::write::{self, Scene, varint};

/// Files, and what is in them.
pub type Files = Vec<(FileName, Vec<u8>)>;

/// Checksums of segments and snapshots are seeded with this in the files that are kept.
const SALT: u64 = 0x5a17;

const BLOCK: usize = 4096;

const KEPT: [(FileName, &str); 3] = [
    (FileName::Superblock, include_str!("../../diskeyval-core/tests/golden/superblock.hex")),
    (FileName::Segment(1), include_str!("../../diskeyval-core/tests/golden/wal-0000000000000001.hex")),
    (FileName::Snapshot(4), include_str!("../../diskeyval-core/tests/golden/snapshot-0000000000000004.hex")),
];

const VOID: &str = include_str!("../../diskeyval-core/tests/golden/superblock-void.hex");

/// What a node has once kept.
pub fn kept() -> Files {
    KEPT.iter().map(|(file, dump)| (*file, undump(dump))).collect()
}

/// The bytes of a dump as `xxd` prints it, without lines of zeros.
fn undump(dump: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in dump.lines() {
        let (place, rest) = line.split_once(": ").expect("a place");
        let (hex, _) = rest.split_once("  ").expect("a text");
        bytes.resize(usize::from_str_radix(place, 16).expect("a number"), 0);
        let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
        let byte = |pair: &[u32]| pair.iter().fold(0, |sum, digit| sum << 4 | digit);
        bytes.extend(digits.chunks(2).map(|pair| u8::try_from(byte(pair)).expect("two digits")));
    }
    bytes
}

/// Somebody tampers with what was kept.
pub fn tampered(chance: &mut Unstructured<'_>) -> Result<Files> {
    let mut files = kept();
    if chance.ratio(1u8, 8u8)? {
        files[0].1 = undump(VOID);
    }
    for _ in 0..chance.int_in_range(1..=4u8)? {
        tamper(&mut files, chance)?;
    }
    Ok(files)
}

fn tamper(files: &mut Files, chance: &mut Unstructured<'_>) -> Result<()> {
    let which = chance.choose_index(files.len().max(1))?;
    match chance.int_in_range(0..=9u8)? {
        0 => return rename(files, chance),
        1 if files.len() > 1 => drop(files.remove(which)),
        2 => return name_anew(files, chance),
        3 | 4 => return write_flush(files, chance),
        _ => {}
    }
    let Some((_, bytes)) = files.get_mut(which) else { return Ok(()) };
    for _ in 0..chance.int_in_range(0..=4u8)? {
        spoil(bytes, chance)?;
    }
    if chance.ratio(7u8, 8u8)? {
        seal(bytes);
    }
    Ok(())
}

/// A file has another name, or there is a copy of it.
fn rename(files: &mut Files, chance: &mut Unstructured<'_>) -> Result<()> {
    let (_, bytes) = chance.choose(files)?.clone();
    let number = u64::from(chance.int_in_range(1..=6u8)?);
    let name = if chance.arbitrary()? { FileName::Segment(number) } else { FileName::Snapshot(number) };
    files.retain(|(file, _)| *file != name);
    files.push((name, bytes));
    Ok(())
}

/// Some bytes are others; near the beginning, where most of what matters stands.
fn spoil(bytes: &mut Vec<u8>, chance: &mut Unstructured<'_>) -> Result<()> {
    let block = chance.int_in_range(0..=bytes.len() / BLOCK)?;
    let at =
        block * BLOCK + usize::from(chance.arbitrary::<u8>()?) * usize::from(chance.int_in_range(1..=16u8)?);
    let Some(byte) = bytes.get_mut(at) else {
        bytes.truncate(at);
        return Ok(());
    };
    match chance.int_in_range(0..=4u8)? {
        0 => *byte = chance.arbitrary()?,
        1 => *byte = byte.wrapping_add(1),
        2 => *byte = 0xff,
        3 => bytes.insert(at, chance.arbitrary()?),
        _ => {
            let end = (at + 80).min(bytes.len());
            bytes[at..end].fill(0);
        }
    }
    Ok(())
}

/// Makes all checksums of a file right, whatever it holds.
fn seal(bytes: &mut [u8]) {
    let starts = |bytes: &[u8], magic: &[u8]| bytes.starts_with(magic);
    if starts(bytes, b"dkvsuper") || starts(bytes.get(BLOCK..).unwrap_or_default(), b"dkvsuper") {
        for (nth, slot) in (0..).zip(bytes.chunks_exact_mut(BLOCK)) {
            seal_slot(slot, nth);
        }
    } else if starts(bytes, b"dkvsnaps") {
        seal_state(bytes);
        chunks(bytes).into_iter().for_each(|(at, end)| seal_chunk(&mut bytes[at..end]));
    } else {
        for at in (0..bytes.len()).step_by(BLOCK) {
            if starts(&bytes[at..], b"dkvflush") {
                seal_flush(&mut bytes[at..]);
            }
        }
    }
}

fn seal_slot(slot: &mut [u8], nth: u64) {
    if let Some((body, sum)) = slot.split_last_chunk_mut::<8>() {
        *sum = xxh3_64_with_seed(body, nth).to_le_bytes();
    }
}

fn seal_flush(rest: &mut [u8]) {
    let Some((header, behind)) = rest.split_first_chunk_mut::<80>() else { return };
    let len = usize::try_from(number(header, 40)).unwrap_or(usize::MAX);
    let body = behind.get(..len).unwrap_or_default();
    header[64..72].copy_from_slice(&xxh3_64_with_seed(body, SALT).to_le_bytes());
    let sum = xxh3_64_with_seed(&header[..72], SALT);
    header[72..].copy_from_slice(&sum.to_le_bytes());
}

/// Where the chunks of a snapshot file begin and end.
fn chunks(bytes: &[u8]) -> Vec<(usize, usize)> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(header) = bytes.get(at..).and_then(|rest| rest.first_chunk::<40>()) {
        let len = u32::from_le_bytes([header[12], header[13], header[14], header[15]]) as usize;
        let end = (at + 40).saturating_add(len);
        if end > bytes.len() {
            break;
        }
        found.push((at, end));
        at = end;
    }
    found
}

fn seal_chunk(chunk: &mut [u8]) {
    let sum = xxh3_64_with_seed(&[&chunk[..32], &chunk[40..]].concat(), SALT);
    chunk[32..40].copy_from_slice(&sum.to_le_bytes());
}

/// The state has a checksum of its own, at its end: in the last chunk that is not empty.
fn seal_state(bytes: &mut [u8]) {
    let chunks = chunks(bytes);
    let bodies: Vec<(usize, usize)> =
        chunks.iter().skip(1).map(|(at, end)| (at + 40, *end)).filter(|(at, end)| at < end).collect();
    let mut state: Vec<u8> = bodies.iter().flat_map(|(at, end)| bytes[*at..*end].to_vec()).collect();
    crate::state::seal(&mut state);
    let mut state = state.into_iter();
    for (at, end) in bodies {
        bytes[at..end].iter_mut().zip(&mut state).for_each(|(byte, sealed)| *byte = sealed);
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Both slots, or one, say something else.
fn name_anew(files: &mut Files, chance: &mut Unstructured<'_>) -> Result<()> {
    let mut body = Vec::new();
    let small = |chance: &mut Unstructured<'_>| -> Result<u128> {
        Ok(match chance.int_in_range(0..=15u8)? {
            0 => u64::MAX.into(),
            1 => u128::from(chance.arbitrary::<u64>()?),
            few => u128::from(few) - 2,
        })
    };
    varint(&mut body, small(chance)?);
    text(&mut body, b"node-1");
    text(&mut body, b"diskeyval");
    varint(&mut body, INCARNATION);
    varint(&mut body, SALT.into());
    body.push(u8::from(chance.arbitrary::<bool>()?));
    if body.last() == Some(&1) {
        varint(&mut body, 0xc1);
    }
    let segments = match chance.int_in_range(0..=7u8)? {
        0 => 119 + u128::from(chance.int_in_range(0..=3u8)?),
        few => u128::from(few) / 2,
    };
    varint(&mut body, segments);
    for nth in 0..segments {
        varint(&mut body, nth + 1);
        varint(&mut body, if chance.ratio(1u8, 8u8)? { small(chance)? } else { 16384 });
        let behind = if chance.ratio(1u8, 4u8)? { small(chance)? << 32 | small(chance)? } else { 0 };
        varint(&mut body, behind & u128::from(u64::MAX));
    }
    body.push(u8::from(chance.arbitrary::<bool>()?));
    if body.last() == Some(&1) {
        varint(&mut body, 4);
        varint(&mut body, small(chance)?);
        varint(&mut body, small(chance)?);
        varint(&mut body, if chance.arbitrary()? { 437 } else { small(chance)? });
    }
    let mark = chance.int_in_range(0..=3u8)?;
    let Some((_, file)) = files.iter_mut().find(|(file, _)| *file == FileName::Superblock) else {
        return Ok(());
    };
    file.resize(2 * BLOCK, 0);
    let last = if chance.ratio(1u8, 4u8)? { 1 } else { 2 };
    for (nth, slot) in (0..).zip(file.chunks_exact_mut(BLOCK)).take(last) {
        slot.fill(0);
        slot[..16].copy_from_slice(&[b"dkvsuper", &[1, 0, mark, 0, 0, 0, 0, 0][..]].concat());
        let len = u32::try_from(body.len()).unwrap_or(0);
        slot[12..16].copy_from_slice(&len.to_le_bytes());
        let len = body.len().min(BLOCK - 24);
        slot[16..16 + len].copy_from_slice(&body[..len]);
        seal_slot(slot, nth);
    }
    Ok(())
}

const INCARNATION: u128 = 0x1111_2222_3333_4444_5555_6666_7777_8888;

fn text(out: &mut Vec<u8>, text: &[u8]) {
    varint(out, text.len() as u128);
    out.extend_from_slice(text);
}

/// A flush with whatever in it stands somewhere in a segment, and is whole.
fn write_flush(files: &mut Files, chance: &mut Unstructured<'_>) -> Result<()> {
    let segments: Vec<usize> =
        (0..files.len()).filter(|at| matches!(files[*at].0, FileName::Segment(_))).collect();
    let Some(&which) = segments.get(chance.choose_index(segments.len().max(1))?) else { return Ok(()) };
    let (FileName::Segment(segment), bytes) = &mut files[which] else { return Ok(()) };
    let block = chance.int_in_range(0..=3u8)?;
    let nth = if chance.ratio(1u8, 8u8)? { chance.int_in_range(0..=6u8)? } else { block + 1 };
    let number = *segment << 32 | u64::from(nth);
    let previous = match chance.int_in_range(0..=4u8)? {
        0 => 0,
        1 => 1 << 32 | u64::from(chance.int_in_range(0..=6u8)?),
        _ => number.saturating_sub(1),
    };
    let body = records(chance)?;
    let at = usize::from(block) * BLOCK;
    let mut flush = b"dkvflush".to_vec();
    flush.extend_from_slice(&[1, 0, 0, 0, 1, 0, 0, 0]);
    for number in
        [number, if nth == 1 && previous + 1 == number { 0 } else { previous }, at as u64, body.len() as u64]
    {
        flush.extend_from_slice(&number.to_le_bytes());
    }
    flush.extend_from_slice(&INCARNATION.to_le_bytes());
    flush.resize(80, 0);
    flush.extend_from_slice(&body);
    seal_flush(&mut flush);
    if bytes.len() < at + flush.len() {
        return Ok(());
    }
    bytes[at..at + flush.len()].copy_from_slice(&flush);
    Ok(())
}

/// Records of all kinds, as they stand in a flush.
fn records(chance: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let scene = Scene {
        term: 2,
        last: (6, 2),
        commit: 3,
        cluster: 0xc1,
        names: ["node-1", "node-2", "node-3"].map(str::to_owned).to_vec(),
    };
    let mut body = Vec::new();
    for _ in 0..chance.int_in_range(0..=4u8)? {
        let kind = chance.int_in_range(0..=7u8)?;
        let mut record = vec![kind];
        let near = |chance: &mut Unstructured<'_>| -> Result<u128> {
            Ok(if chance.ratio(1u8, 8u8)? { u64::MAX.into() } else { chance.int_in_range(0..=9u128)? })
        };
        match kind {
            1 => {
                text(&mut record, b"node-1");
                varint(&mut record, INCARNATION);
                varint(&mut record, near(chance)?);
                varint(&mut record, near(chance)?);
            }
            2 => {
                varint(&mut record, near(chance)?);
                record.push(1);
                text(&mut record, b"node-2");
            }
            3 => {
                let index = u64::try_from(near(chance)?).unwrap_or(u64::MAX);
                record.extend_from_slice(&index.to_le_bytes());
                record.extend_from_slice(&write::entry(&scene, chance)?);
            }
            4 => varint(&mut record, near(chance)?),
            6 => {
                varint(&mut record, near(chance)?);
                varint(&mut record, near(chance)?);
            }
            _ => {}
        }
        body.extend_from_slice(&write::framed(&record));
    }
    Ok(body)
}
