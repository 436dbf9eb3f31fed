//! What the entries of a log have to be, each behind the one before it.

use bytes::Bytes;

use crate::entry::{Entry, Genesis, Payload};
use crate::id::{EntryId, Term};
use crate::kv::Snapshot;
use crate::store::Recalled;

/// The next entry of a log, if it is one.
pub(super) fn follow(bytes: Bytes, last: EntryId, genesis: Option<&Genesis>) -> Result<Entry, &'static str> {
    let entry = Entry::parse(bytes).map_err(|_| "it cannot be understood")?;
    let fits = match (&entry.payload, genesis) {
        (Payload::Genesis(copy), Some(genesis)) => copy.cluster == genesis.cluster,
        (Payload::Genesis(_), None) | (_, Some(_)) => true,
        (_, None) => false,
    };
    if fits && entry.term >= last.term { Ok(entry) } else { Err("it does not fit behind the one before it") }
}

/// Whether a node can go on from what it has kept, behind the state of its snapshot; or what no run can have written.
pub(super) fn check(kept: Recalled, snapshot: Option<Snapshot>) -> Result<(), &'static str> {
    if kept.term > Term::MAX_KEPT {
        return Err("a term that no node has counted to");
    }
    let (mut last, mut genesis) = match snapshot {
        Some(snapshot) => (snapshot.last, Some(snapshot.genesis)),
        None => (EntryId::default(), None),
    };
    if last != kept.base {
        return Err("an end that is not that of the snapshot");
    }
    for bytes in kept.entries {
        let entry = follow(bytes, last, genesis.as_ref());
        let entry = entry
            .map_err(|_| "an entry that cannot be understood, or does not fit behind the one before it")?;
        // Nobody takes an entry before it has entered its term.
        if entry.term > kept.term {
            return Err("an entry of a term that was not entered");
        }
        last = EntryId { index: last.index.next(), term: entry.term };
        if let Payload::Genesis(first) = entry.payload {
            genesis.get_or_insert(first);
        }
    }
    Ok(())
}
