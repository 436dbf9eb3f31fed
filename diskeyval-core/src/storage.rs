//! A node's directory, seen from outside: what its files say, whether they can be relied on, and what its node could go
//! on from alone. No node is needed.

mod log;
mod recover;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use bytes::Bytes;

use crate::error::{Damage, StorageFault};
use crate::io::{DiskDone, DiskError, DiskOp};
use crate::kv::Decoder;
use crate::store::{FileName, Opening};
pub use recover::{NoRecovery, Recoverer};

/// What the files of a directory say.
#[derive(Clone, Debug)]
pub struct Description {
    /// In words: which file, and what stands there, in its order.
    pub lines: Vec<(FileName, String)>,
    /// Why a node could not go on from it; `None` if it could.
    pub fault: Option<StorageFault>,
}

/// Looks into all files of a directory, each given whole, exactly as a node does that starts there. Nothing is written.
pub fn describe(files: &[(FileName, Bytes)]) -> Description {
    let mut opening = Opening::examining();
    let mut decoder = Decoder::default();
    let mut fault = None;
    let mut snapshot = false;
    loop {
        let ops = opening.take_ops();
        if ops.is_empty() || fault.is_some() {
            break;
        }
        for (op, what) in ops {
            fault = fault.or_else(|| opening.done(op, read(files, &what)).err());
            for piece in opening.take_pieces() {
                snapshot = true;
                if let Err(why) = decoder.push(&piece) {
                    fault.get_or_insert_with(|| opening.snapshot_is_wrong(&why.to_string()));
                }
            }
        }
    }
    if fault.is_none() {
        fault = judge(&mut opening, snapshot.then_some(decoder)).err();
    }
    Description { lines: opening.take_told(), fault }
}

/// Everything is read: what it comes to.
fn judge(opening: &mut Opening, decoder: Option<Decoder>) -> Result<(), StorageFault> {
    let snapshot = decoder.map(Decoder::finish).transpose();
    let snapshot = snapshot.map_err(|why| opening.snapshot_is_wrong(&why.to_string()))?;
    if let Some(read) = &snapshot {
        opening.tell_snapshot(alloc::format!("{} keys, up to {}", read.machine.keys(), read.last));
    }
    let Some(kept) = opening.take_recalled() else { return Ok(()) };
    log::check(kept, snapshot).map_err(|what| opening.log_is_wrong(what))
}

impl Description {
    /// The file that is damaged, if one is.
    pub fn damage(&self) -> Option<&Damage> {
        match &self.fault {
            Some(StorageFault::Damaged(damage)) => Some(damage),
            Some(_) | None => None,
        }
    }
}

fn read(files: &[(FileName, Bytes)], op: &DiskOp) -> Result<DiskDone, DiskError> {
    match op {
        DiskOp::List => {
            Ok(DiskDone::Listed(files.iter().map(|(file, bytes)| (*file, bytes.len() as u64)).collect()))
        }
        DiskOp::Read { file, at, len } => {
            let (_, bytes) = files.iter().find(|(name, _)| name == file).ok_or(DiskError::Missing)?;
            let from = usize::try_from(*at).unwrap_or(usize::MAX).min(bytes.len());
            Ok(DiskDone::Read(bytes.slice(from..from.saturating_add(*len).min(bytes.len()))))
        }
        // Who only looks asks for nothing else.
        _ => Err(DiskError::Failed("nothing is written here".into())),
    }
}
