//! A storage that is given up, cut short at every operation.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::*;
use crate::error::StorageFault;
use crate::id::Incarnation;
use crate::id::NodeId;
use crate::io::DiskDone;
use crate::members::StorageKind;
use crate::store::folder::Folder;
use crate::store::{Recalled, Record, Store};

const FORMER: Incarnation = Incarnation(4);
const NEXT: Incarnation = Incarnation(0xaaaa_bbbb_cccc_dddd_1111_2222_3333_4444);
const UNDER: u64 = 0xaaaa_bbbb_cccc_dddd;

fn origin(incarnation: Incarnation) -> Origin {
    Origin {
        node: NodeId::new("n1").expect("a good name"),
        cluster_name: "diskeyval".into(),
        incarnation,
        salt: 9,
        segment_bytes: 16 << 10,
    }
}

/// A log of which the first flush has rotted, with a later one behind it.
fn damaged() -> Folder {
    let ballots = (1..4).map(|term| Record::Ballot { term: crate::id::Term(term), vote: None });
    let mut folder = Folder::of("n1", FORMER, ballots);
    let wal = folder.files.get_mut(&FileName::Segment(1)).expect("a log");
    wal[85] ^= 1;
    folder
}

/// Carries out at most so many operations. Tells what came of it, what was given up, and how many were asked for.
fn go_on(
    mut opening: Opening,
    folder: &mut Folder,
    most: usize,
) -> (Option<Result<Recalled, StorageFault>>, Option<Begun>, usize) {
    let mut store = Store::new(StorageKind::Disk, core::time::Duration::MAX);
    let (mut count, mut begun) = (0, None);
    loop {
        if let Some(recalled) = store.open(&mut opening) {
            return (Some(Ok(recalled)), begun, count);
        }
        let ops = opening.take_ops();
        assert!(!ops.is_empty(), "it goes on");
        for (op, what) in ops {
            if count == most {
                return (None, begun, count);
            }
            count += 1;
            let result = folder.perform(&what);
            if let Err(fault) = opening.done(op, result) {
                return (Some(Err(fault)), begun, count);
            }
            begun = opening.take_begun().or(begun);
        }
    }
}

fn start(folder: &mut Folder) -> (Option<Result<Recalled, StorageFault>>, Option<Begun>, usize) {
    go_on(Opening::new(origin(Incarnation(77))), folder, usize::MAX)
}

#[test]
fn everything_is_set_aside_and_the_next_life_has_promised_nothing() {
    let mut folder = damaged();
    assert!(matches!(start(&mut folder.clone()).0, Some(Err(StorageFault::Damaged(_)))));
    let before: Vec<_> = folder.files.iter().map(|(file, bytes)| (*file, bytes.clone())).collect();
    let (recalled, begun, _) = go_on(Opening::anew(origin(NEXT), 40), &mut folder, usize::MAX);
    let recalled = recalled.and_then(Result::ok).expect("a first start");
    assert_eq!((recalled.incarnation, recalled.is_new, recalled.is_anew), (NEXT, true, true));
    assert_eq!((recalled.term, recalled.vote, recalled.entries.len()), (crate::id::Term(0), None, 0));
    let moved: Vec<_> = before.into_iter().filter(|(file, _)| *file != FileName::Superblock).collect();
    assert_eq!(begun, Some(Begun { set_aside: moved.len(), under: UNDER, goes_on: false }));
    assert_eq!(folder.aside, moved, "as they were");
    // It is remembered that it founds nothing.
    let (recalled, begun, _) = start(&mut folder);
    let recalled = recalled.and_then(Result::ok).expect("what it has kept");
    assert_eq!((recalled.incarnation, recalled.is_new, recalled.is_anew, begun), (NEXT, false, true, None));
}

/// Each harm to the superblock, and a log that is damaged: all the same.
#[test]
fn whatever_is_left_of_the_superblock_it_is_given_up() {
    for harm in 0..5 {
        let mut folder = damaged();
        let slots = folder.files.get_mut(&FileName::Superblock).expect("a superblock");
        match harm {
            0 => slots[20] ^= 1,
            1 => slots[4096 + 20] ^= 1,
            2 => slots.fill(0xa5),
            3 => slots.truncate(100),
            _ => _ = folder.files.remove(&FileName::Superblock),
        }
        assert!(matches!(start(&mut folder.clone()).0, Some(Err(StorageFault::Damaged(_)))), "harm {harm}");
        let (recalled, _, _) = go_on(Opening::anew(origin(NEXT), 0), &mut folder, usize::MAX);
        assert_eq!(
            recalled.and_then(Result::ok).map(|recalled| recalled.incarnation),
            Some(NEXT),
            "harm {harm}"
        );
        let (recalled, _, _) = start(&mut folder);
        assert_eq!(
            recalled.and_then(Result::ok).map(|recalled| recalled.incarnation),
            Some(NEXT),
            "harm {harm}"
        );
        assert!(!folder.aside.is_empty());
    }
}

/// A crash behind each operation, and another behind each of the start that follows. It is the former life, damaged as
/// it was, or the next; never another, and no file is gone.
#[test]
fn a_crash_at_any_operation_leaves_the_former_life_or_the_next() {
    let whole = damaged();
    let all: Vec<FileName> =
        whole.files.keys().copied().filter(|file| *file != FileName::Superblock).collect();
    let count = go_on(Opening::anew(origin(NEXT), 0), &mut whole.clone(), usize::MAX).2;
    assert!(count > 10, "{count} operations");
    let (mut former, mut next, mut resumed) = (0, 0, 0);
    for most in 0..count {
        let mut folder = whole.clone();
        go_on(Opening::anew(origin(NEXT), 0), &mut folder, most);
        for again in 0..30 {
            let mut folder = folder.clone();
            let (come_to, told, _) = go_on(Opening::new(origin(Incarnation(77))), &mut folder, again);
            let is_over = come_to.is_some();
            let come_to = match come_to {
                Some(come_to) => come_to,
                None => start(&mut folder).0.expect("it comes to something"),
            };
            match come_to {
                Ok(recalled) => {
                    assert_eq!(
                        (recalled.incarnation, recalled.is_anew),
                        (NEXT, true),
                        "{most}, then {again}"
                    );
                    assert!(recalled.entries.is_empty());
                    let mut aside: Vec<FileName> = folder.aside.iter().map(|(file, _)| *file).collect();
                    aside.sort();
                    assert_eq!(aside, all, "{most}, then {again}: each once");
                    next += 1;
                    resumed += u32::from(told.is_some());
                    assert!(told.is_none_or(|begun| begun.under == UNDER), "the same number");
                }
                Err(StorageFault::Damaged(_)) => {
                    assert_eq!(folder.files, whole.files, "{most}, then {again}: nothing has happened yet");
                    former += 1;
                }
                Err(other) => panic!("{most}, then {again}: {other:?}"),
            }
            if is_over {
                break;
            }
        }
    }
    assert!(former > 0 && next > 0 && resumed > 0, "{former}, {next}, {resumed}");
}

/// Else a node would take what it is told to be void for nothing at all, and begin as somebody who may found.
#[test]
fn a_superblock_of_which_a_part_comes_is_neither_damaged_nor_a_first_start() {
    for whole in
        [damaged(), Folder { aside: Vec::new(), files: damaged().files.into_iter().take(1).collect() }]
    {
        let mut opening = Opening::new(origin(Incarnation(77)));
        let mut fault = None;
        for _ in 0..2 {
            for (op, what) in opening.take_ops() {
                let result = match whole.clone().perform(&what) {
                    Ok(DiskDone::Read(bytes)) => Ok(DiskDone::Read(bytes.slice(..bytes.len() / 2))),
                    other => other,
                };
                fault = opening.done(op, result).err();
            }
        }
        assert!(matches!(fault, Some(StorageFault::Failed { .. })), "{fault:?}");
    }
}

/// Only the first slot has become durable, or only the second can be read: the void one counts.
#[test]
fn the_first_slot_that_is_void_counts() {
    let whole = damaged();
    let before = whole.files[&FileName::Superblock].clone();
    let mut void = whole.clone();
    // List, read, write and sync one slot.
    go_on(Opening::anew(origin(NEXT), 0), &mut void, 4);
    let first = &void.files[&FileName::Superblock];
    let changed: Vec<bool> =
        [0, 4096].iter().map(|at| first[*at..at + 4096] != before[*at..at + 4096]).collect();
    assert_eq!(changed.iter().filter(|changed| **changed).count(), 1, "one slot at a time");
    let told = |folder: &Folder| {
        let given: Vec<_> = folder.files.iter().map(|(file, bytes)| (*file, bytes.clone().into())).collect();
        let description = crate::storage::describe(&given);
        (description.fault, format!("{:?}", description.lines))
    };
    let (fault, lines) = told(&void);
    assert_eq!(fault, None, "a node can go on from there");
    assert!(lines.contains("void: ") && lines.contains("it is to be set aside"), "{lines}");
    // Torn, it is none.
    let at = if changed[0] { 100 } else { 4096 + 100 };
    void.files.get_mut(&FileName::Superblock).expect("it is there")[at] ^= 1;
    assert!(matches!(start(&mut void.clone()).0, Some(Err(StorageFault::Damaged(_)))));
    assert!(told(&void).0.is_some_and(|fault| fault.to_string().contains("is damaged")));
}
