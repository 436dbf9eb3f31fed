use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::entry::{Payload, Write};
use crate::id::{ClusterId, Incarnation, Index, NodeId};
use crate::kv::{Command, Owner};
use crate::members::{Seat, StorageKind};

fn genesis() -> Genesis {
    let seat = |name, bound| Seat { id: NodeId::new(name).expect("a good name"), bound, address: None };
    let seats = vec![seat("a", Some(Incarnation(1))), seat("b", None)];
    Genesis { cluster: ClusterId(7), storage: StorageKind::Disk, members: Membership::of(seats) }
}

fn frozen(machine: Machine) -> Snapshot {
    let last = EntryId { index: machine.applied(), ..EntryId::new(0, 3) };
    Snapshot { last, genesis: genesis(), configuration: EntryId::new(1, 1), machine }
}

fn founded() -> Machine {
    let mut machine = Machine::default();
    machine.apply(Index(1), Payload::Genesis(genesis()));
    let node = NodeId::new("a").expect("a good name");
    machine.apply(Index(2), Payload::OpenSession(Owner { node, incarnation: Incarnation(1), boot: 5 }));
    machine
}

fn write(machine: &mut Machine, seq: u64, floor: u64, command: Command) {
    let write = Payload::Write(Write { session: 2, seq, floor, command });
    machine.apply(machine.applied().next(), write);
}

fn set(machine: &mut Machine, seq: u64, key: &[u8], value: &[u8]) {
    let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
    write(machine, seq, seq.saturating_sub(3), Command::Set { key, value });
}

fn machine(writes: &[(Vec<u8>, Vec<u8>)]) -> Machine {
    let mut machine = founded();
    for (seq, (key, value)) in (1..).zip(writes) {
        set(&mut machine, seq, key, value);
    }
    machine
}

fn bytes_of(snapshot: Snapshot, piece: usize) -> Vec<u8> {
    let mut encoder = Encoder::new(snapshot);
    let mut bytes = Vec::new();
    while !encoder.is_done() {
        let next = encoder.next(piece).expect("nothing is wrong with it");
        assert!(next.len() == piece || encoder.is_done(), "as many as were asked for");
        bytes.extend_from_slice(&next);
    }
    bytes
}

fn read(pieces: &[&[u8]]) -> Result<Snapshot, NotASnapshot> {
    let mut decoder = Decoder::default();
    pieces.iter().try_for_each(|piece| decoder.push(piece))?;
    decoder.finish()
}

fn assert_same(left: &Snapshot, right: &Snapshot) {
    assert_eq!(
        (left.last, &left.genesis, left.configuration),
        (right.last, &right.genesis, right.configuration)
    );
    let (left, right) = (&left.machine, &right.machine);
    assert_eq!((left.applied(), left.hash(), left.keys()), (right.applied(), right.hash(), right.keys()));
    assert!(left.map().iter().eq(right.map().iter()));
    assert_eq!(left.members(), right.members());
    assert_eq!(left.sessions().owner(2), right.sessions().owner(2));
}

#[test]
fn the_smallest_snapshot_and_every_cut_of_a_small_one() {
    for writes in [&[][..], &[(b"k".to_vec(), b"v".to_vec()), (vec![], vec![]), (b"l".to_vec(), vec![9; 40])]]
    {
        let snapshot = frozen(machine(writes));
        let bytes = bytes_of(snapshot.clone(), 64);
        assert_eq!(bytes, bytes_of(snapshot.clone(), 1), "the cuts do not matter");
        for cut in 0..=bytes.len() {
            let (left, right) = bytes.split_at(cut);
            assert_same(&snapshot, &read(&[left, right]).expect("all of it"));
            if cut < bytes.len() {
                assert!(read(&[left]).is_err(), "not all of it");
            }
        }
        let one_by_one: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_same(&snapshot, &read(&one_by_one).expect("all of it"));
        assert!(read(&[&bytes, &[0]]).is_err(), "something behind it");
    }
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let writes: Vec<_> = (0..20u8).map(|n| (vec![n], vec![n; 3])).collect();
    let bytes = bytes_of(frozen(machine(&writes)), 1 << 20);
    for at in 0..bytes.len() {
        for bit in [1, 16, 128] {
            let mut bytes = bytes.clone();
            bytes[at] ^= bit;
            assert!(read(&[&bytes]).is_err(), "byte {at}");
        }
    }
}

#[test]
fn a_later_version_says_so() {
    let mut bytes = bytes_of(frozen(founded()), 1 << 20);
    bytes[MAGIC.len()] = 2;
    assert_eq!(read(&[&bytes]).map(drop), Err(NotASnapshot::Newer(2)));
    assert_eq!(read(&[b"dkv-snip"]).map(drop), Err(NotASnapshot::Malformed));
}

/// What a session has answered is in the snapshot, and a copy of a write is found to be one behind it.
#[test]
fn sessions_and_their_answers_survive() {
    let machine = machine(&[(b"k".to_vec(), b"v".to_vec())]);
    let bytes = bytes_of(frozen(machine.clone()), 100);
    let mut restored = read(&[&bytes]).expect("all of it").machine;
    let (mut left, right) = (machine, &mut restored);
    assert_eq!(left.sessions().answer(2, 1), right.sessions().answer(2, 1));
    assert!(left.sessions().answer(2, 1).is_some());
    set(&mut left, 1, b"k", b"again");
    set(right, 1, b"k", b"again");
    assert_eq!(right.get(b"k").map(|found| &found.value[..]), Some(&b"v"[..]));
    assert_eq!(left.hash(), right.hash());
}

#[test]
fn a_state_that_is_not_what_it_was_is_not_written_down() {
    let machine = machine(&[(b"k".to_vec(), b"v".to_vec())]);
    let sessions = Sessions::from_table(machine.sessions().table().clone(), 3).expect("a good table");
    let wrong = machine.map_hash().wrapping_add(1);
    let rotten = Machine::restored(
        Index(3),
        (machine.map().clone(), wrong),
        sessions,
        ClusterId(7),
        genesis().members,
    );
    let mut encoder = Encoder::new(frozen(rotten));
    let result = core::iter::repeat_with(|| encoder.next(64)).take(100).find_map(Result::err);
    assert_eq!(result, Some(Corrupted));
}

/// A value that is kept does not keep the buffer that it came in.
#[test]
fn a_pair_has_memory_of_its_own() {
    let bytes =
        bytes_of(frozen(machine(&[(b"k".to_vec(), b"v".to_vec()), (b"l".to_vec(), b"w".to_vec())])), 999);
    let machine = read(&[&bytes]).expect("all of it").machine;
    let value = |key: &[u8]| machine.get(key).map(|found| found.value.as_ptr() as usize).unwrap_or_default();
    assert!(value(b"k").abs_diff(value(b"l")) > 1);
}

fn writes() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    let key = proptest::collection::vec(0..4u8, 0..4);
    proptest::collection::vec((key, proptest::collection::vec(any::<u8>(), 0..50)), 0..60)
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(writes in writes(), piece in 1..300usize, cut in any::<proptest::sample::Index>()) {
        let snapshot = frozen(machine(&writes));
        let bytes = bytes_of(snapshot.clone(), piece);
        let (left, right) = bytes.split_at(cut.index(bytes.len() + 1));
        assert_same(&snapshot, &read(&[left, right]).expect("all of it"));
    }

    #[test]
    fn other_bytes_are_an_error_and_never_another_state(
        writes in writes(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let bytes = bytes_of(frozen(machine(&writes)), 1 << 20);
        let mut changed = bytes.clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            changed[at] = byte;
        }
        prop_assert!(changed == bytes || read(&[&changed]).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
        head in any::<bool>(),
    ) {
        let mut all = if head { [&MAGIC[..], &[1, 0, 20, 0, 0, 0]].concat() } else { Vec::new() };
        all.extend(bytes);
        let _ = read(&[&all]);
    }
}
