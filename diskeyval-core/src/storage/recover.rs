//! A node's directory whose cluster has lost its quorum for good: what it would go on from alone, and that done.
//!
//! ```text
//! everything is read and verified -> what is found is told -> the loss is accepted
//!     -> the state is written, in place of all else -> the rest is set aside -> it is opened once, as a node does
//! ```
//!
//! 1. Nothing is written before the loss is accepted.
//! 2. Cut short at any operation, it leaves the former storage as it was, or the next: which is then gone on with by its
//!    node. See `store/salvage.rs`.
//! 3. The next storage is of another incarnation, and of another cluster. Nobody who knew the former counts it.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use super::log::follow;
use crate::entry::{Genesis, Payload};
use crate::error::{Damage, StorageFault};
use crate::id::{ClusterId, EntryId, Incarnation, NodeId, OpId, Term};
use crate::io::{DiskDone, DiskError, DiskOp, Recovery};
use crate::kv::{Decoder, Encoder, Machine, Snapshot};
use crate::members::Membership;
use crate::prng::{Prng, Seed};
use crate::store::{NextLife, Opening, Salvage, Unverified, Verified};

/// The segments of a directory that is opened here. Its node makes others, as it was told to.
const SEGMENT_BYTES: u64 = 64 << 10;

/// Why a directory cannot be gone on from.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoRecovery {
    /// There is nothing to recover from, or no need to. Nothing was changed.
    Nothing {
        /// Why.
        why: String,
        /// What cannot be relied on.
        left_out: Vec<Damage>,
    },
    /// There is no room on the disk for the state that its node would go on from. Nothing was changed.
    Full,
    /// The directory cannot be read or written.
    Storage(StorageFault),
}

impl fmt::Display for NoRecovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoRecovery::Nothing { why, left_out } => {
                write!(f, "nothing is recovered: {why}")?;
                left_out.iter().try_for_each(|damage| write!(f, "; {damage}"))
            }
            NoRecovery::Full => f.write_str(
                "there is no room for the state that the node is to go on from, and nothing was changed: make room",
            ),
            NoRecovery::Storage(fault) => fault.fmt(f),
        }
    }
}

impl core::error::Error for NoRecovery {}

impl From<StorageFault> for NoRecovery {
    fn from(fault: StorageFault) -> NoRecovery {
        NoRecovery::Storage(fault)
    }
}

impl From<Unverified> for NoRecovery {
    fn from(unverified: Unverified) -> NoRecovery {
        match unverified {
            Unverified::Empty => {
                nothing("there is no file of a node in this directory: check the path", Vec::new())
            }
            Unverified::GivenUp => nothing(
                "this storage was given up before: start its node, which goes on with that, or says what is wrong with it",
                Vec::new(),
            ),
            Unverified::Full => NoRecovery::Full,
            Unverified::Storage(fault) => fault.into(),
        }
    }
}

fn nothing(why: &str, left_out: Vec<Damage>) -> NoRecovery {
    NoRecovery::Nothing { why: why.into(), left_out }
}

/// A directory on its way from one cluster to the next, without any IO: operations come out, and what became of them goes
/// in.
#[derive(Clone, Debug)]
pub struct Recoverer {
    next: NextLife,
    stage: Stage,
    report: Option<Recovery>,
    /// How many files were set aside, and under which number.
    aside: Option<(usize, u64)>,
}

#[derive(Clone, Debug)]
enum Stage {
    Reads(Box<Salvage>, Decoder),
    /// Everything is read, and nothing is written yet.
    Waits(Box<Salvage>, Box<Snapshot>),
    Writes(Box<Salvage>, Box<Encoder>),
    /// What was written is read again.
    Opens(Box<Opening>, Decoder),
    Done,
}

impl Recoverer {
    /// Reads a directory. All its chance is drawn from `seed`: the id of the next cluster, and the next incarnation of the
    /// node.
    pub fn new(seed: Seed) -> Recoverer {
        Recoverer::behind(0, &mut Prng::new(seed))
    }

    /// The same, with operations that are numbered from `first_op` on.
    pub(crate) fn behind(first_op: u64, prng: &mut Prng) -> Recoverer {
        let next = NextLife {
            incarnation: Incarnation(prng.next_u128()),
            cluster: ClusterId(prng.next_u128()),
            salt: prng.next_u64(),
        };
        let stage = Stage::Reads(Box::new(Salvage::new(first_op)), Decoder::default());
        Recoverer { next, stage, report: None, aside: None }
    }

    /// What is to be done to the directory, one after the other.
    pub fn take_ops(&mut self) -> Vec<(OpId, DiskOp)> {
        match &mut self.stage {
            Stage::Reads(salvage, _) | Stage::Waits(salvage, _) | Stage::Writes(salvage, _) => {
                salvage.take_ops()
            }
            Stage::Opens(opening, _) => opening.take_ops(),
            Stage::Done => Vec::new(),
        }
    }

    /// An operation was carried out.
    ///
    /// # Errors
    /// Why nothing comes of it.
    pub fn done(&mut self, op: OpId, result: Result<DiskDone, DiskError>) -> Result<(), NoRecovery> {
        match &mut self.stage {
            Stage::Reads(salvage, decoder) => {
                salvage.done(op, result)?;
                for piece in salvage.take_pieces() {
                    if let Err(why) = decoder.push(&piece) {
                        salvage.snapshot_is_wrong(0, &why.to_string());
                    }
                }
                if salvage.has_read() { self.judge() } else { Ok(()) }
            }
            // What was on its way when there was nothing left to be read for.
            Stage::Waits(salvage, _) => Ok(salvage.done(op, result)?),
            Stage::Done => Ok(()),
            Stage::Writes(salvage, _) => {
                salvage.done(op, result)?;
                self.write_more()
            }
            Stage::Opens(opening, decoder) => {
                opening.done(op, result)?;
                for piece in opening.take_pieces() {
                    decoder.push(&piece).map_err(|why| opening.snapshot_is_wrong(&why.to_string()))?;
                }
                if let Some(begun) = opening.take_begun() {
                    self.aside = Some((begun.set_aside, begun.under));
                }
                self.finish()
            }
        }
    }

    /// What it would go on with, once everything is read.
    pub fn found(&self) -> Option<&Recovery> {
        self.report.as_ref()
    }

    /// How many files were set aside, and under which number. `None` before all is done.
    pub fn set_aside(&self) -> Option<(usize, u64)> {
        self.aside.filter(|_| matches!(self.stage, Stage::Done))
    }

    /// **What stands in no file, or in one that cannot be relied on, is lost from now on**, and the other nodes are those
    /// of another cluster. To be called once it has told what it [found](Recoverer::found).
    pub fn accept_data_loss(&mut self) {
        self.stage = match core::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Waits(mut salvage, snapshot) => {
                salvage.begin(snapshot.last, self.next);
                Stage::Writes(salvage, Box::new(Encoder::new(*snapshot)))
            }
            other => other,
        };
    }

    /// Everything is read: what it comes to.
    fn judge(&mut self) -> Result<(), NoRecovery> {
        let Stage::Reads(mut salvage, decoder) = core::mem::replace(&mut self.stage, Stage::Done) else {
            return Ok(());
        };
        let snapshot = salvage.snapshot_end().and_then(|end| match decoder.finish() {
            Ok(snapshot) if snapshot.last == end => Some(snapshot),
            Ok(snapshot) => {
                salvage.snapshot_is_wrong(0, &alloc::format!("a state up to {}", snapshot.last));
                None
            }
            Err(why) => {
                salvage.snapshot_is_wrong(0, &why.to_string());
                None
            }
        });
        let Some(verified) = salvage.verified() else { return Ok(()) };
        let node = verified.node.clone();
        let (committed, seen, term) = (verified.base.index, verified.seen, verified.term);
        let (held, left_out) = all_that_is_held(&salvage, verified, snapshot);
        let Some(mut held) = held else {
            return Err(nothing(
                "this directory holds nothing of any cluster that can be relied on",
                left_out,
            ));
        };
        if left_out.is_empty() && held.machine.members().is_some_and(|members| is_alone(&node, members)) {
            return Err(nothing("this node is the only voter already", left_out));
        }
        let (former, kept) = (held.genesis.cluster, held.last.index);
        held.last.term = held.last.term.max(term);
        if held.last.term > Term::MAX_KEPT {
            return Err(nothing("its log has come to the last term that there is", left_out));
        }
        let Some(next) = held.alone(&node, self.next.incarnation, self.next.cluster) else {
            return Err(nothing("its log has come to the last revision that there is", left_out));
        };
        self.report = Some(Recovery {
            node,
            former,
            cluster: self.next.cluster,
            committed,
            kept,
            revision: next.last.index.0,
            left_out,
            seen: seen.max(kept),
        });
        self.stage = Stage::Waits(salvage, Box::new(next));
        Ok(())
    }

    fn write_more(&mut self) -> Result<(), NoRecovery> {
        let Stage::Writes(salvage, encoder) = &mut self.stage else { return Ok(()) };
        let room = salvage.room();
        if room > 0 && encoder.is_done() {
            salvage.end();
        } else if room > 0 {
            let piece = encoder.next(room);
            let why = "its keys do not add up to the hash that was kept of them";
            let piece = piece.map_err(|_| nothing(why, Vec::new()))?;
            salvage.push(piece);
        }
        if salvage.is_done()
            && let Stage::Writes(salvage, _) = core::mem::replace(&mut self.stage, Stage::Done)
            && let Some(opening) = salvage.into_opening(SEGMENT_BYTES)
        {
            self.stage = Stage::Opens(Box::new(opening), Decoder::default());
        }
        Ok(())
    }

    /// A node could go on from it, once its first flush is durable. Where there is no room for that, the node waits for it
    /// when it starts.
    fn finish(&mut self) -> Result<(), NoRecovery> {
        let Stage::Opens(opening, decoder) = &mut self.stage else { return Ok(()) };
        if opening.is_open() || opening.waits_for_room() {
            let read = core::mem::take(decoder).finish();
            read.map_err(|why| opening.snapshot_is_wrong(&why.to_string()))?;
            self.stage = Stage::Done;
        }
        Ok(())
    }
}

/// Whether this node, and not another whose learner it is, is the only voter.
fn is_alone(node: &NodeId, members: &Membership) -> bool {
    matches!(&members.seats[..], [seat] if seat.id == *node) && !members.is_joint()
}

/// The state after everything that was verified. `None` if no cluster was ever founded in it, as far as can be told.
fn all_that_is_held(
    salvage: &Salvage,
    verified: Verified,
    snapshot: Option<Snapshot>,
) -> (Option<Snapshot>, Vec<Damage>) {
    let Verified { entries, mut left_out, .. } = verified;
    let mut is_founded = snapshot.is_some();
    let (mut last, mut genesis, mut machine): (EntryId, Option<Genesis>, Machine) = match snapshot {
        Some(snapshot) => (snapshot.last, Some(snapshot.genesis), snapshot.machine),
        None => Default::default(),
    };
    for bytes in entries {
        let at = last.index.next();
        let entry = match follow(bytes, last, genesis.as_ref()) {
            Ok(entry) => entry,
            Err(what) => {
                left_out.push(salvage.entry_is_wrong(at, what));
                break;
            }
        };
        match &entry.payload {
            Payload::Genesis(first) => _ = genesis.get_or_insert_with(|| first.clone()),
            _ => is_founded = true,
        }
        last = EntryId { index: at, term: entry.term };
        machine.apply(at, entry.payload);
    }
    let held = genesis.filter(|_| is_founded).map(|genesis| {
        // Who brought the members in is not asked any more.
        Snapshot { last, genesis, configuration: last, machine }
    });
    (held, left_out)
}

#[cfg(test)]
mod tests;
