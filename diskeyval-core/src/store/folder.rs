//! A directory for tests: it does at once what it is told, and forgets nothing.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::{FileName, Opening, Origin, Record, Store};
use crate::id::{Incarnation, NodeId};
use crate::io::{DiskDone, DiskError, DiskOp};
use crate::members::StorageKind;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Folder {
    pub(crate) files: BTreeMap<FileName, Vec<u8>>,
    pub(crate) aside: Vec<(FileName, Vec<u8>)>,
}

impl Folder {
    /// What a node has in its directory that was told to keep these and stopped then.
    pub(crate) fn of(node: &str, incarnation: Incarnation, kept: impl IntoIterator<Item = Record>) -> Folder {
        let mut folder = Folder::default();
        let origin = Origin {
            node: NodeId::new(node).expect("a good name"),
            cluster_name: "diskeyval".into(),
            incarnation,
            salt: 5,
            segment_bytes: 16 << 10,
        };
        let mut store = folder.open(origin, Duration::MAX);
        for record in kept {
            let _ = store.record(|| record);
        }
        store.seal();
        folder.settle(&mut store);
        assert!(store.is_sealed());
        folder
    }

    /// The storage that is there, or a new one. It is sealed when it was idle for so long.
    pub(crate) fn open(&mut self, origin: Origin, idle: Duration) -> Store {
        let mut opening = Opening::new(origin);
        let mut store = Store::new(StorageKind::Disk, idle);
        while store.open(&mut opening).is_none() {
            for (op, what) in opening.take_ops() {
                opening.done(op, self.perform(&what)).expect("a good directory");
            }
        }
        store
    }

    /// Does all that is asked for.
    pub(crate) fn settle(&mut self, store: &mut Store) {
        loop {
            let ops = store.take_ops();
            if ops.is_empty() {
                return;
            }
            for (op, what) in ops {
                store.done(op, self.perform(&what));
            }
        }
    }

    pub(crate) fn perform(&mut self, op: &DiskOp) -> Result<DiskDone, DiskError> {
        let place = |at: u64| usize::try_from(at).expect("a small file");
        match op {
            DiskOp::List => {
                let size = |(file, bytes): (&FileName, &Vec<u8>)| (*file, bytes.len() as u64);
                return Ok(DiskDone::Listed(self.files.iter().map(size).collect()));
            }
            DiskOp::Create { file, size } => {
                let former = self.files.insert(*file, alloc::vec![0; place(*size)]);
                assert!(former.is_none(), "{file} is there already");
            }
            DiskOp::Write { file, at, parts } => {
                let bytes = self.files.get_mut(file).ok_or(DiskError::Missing)?;
                let mut at = place(*at);
                for part in parts {
                    let end = at + part.len();
                    bytes.resize(bytes.len().max(end), 0);
                    bytes[at..end].copy_from_slice(part);
                    at = end;
                }
            }
            DiskOp::Sync { file } => {
                self.files.get(file).ok_or(DiskError::Missing)?;
            }
            DiskOp::Read { file, at, len } => {
                let bytes = self.files.get(file).ok_or(DiskError::Missing)?;
                let from = place(*at).min(bytes.len());
                let to = from.saturating_add(*len).min(bytes.len());
                return Ok(DiskDone::Read(Bytes::copy_from_slice(&bytes[from..to])));
            }
            DiskOp::Remove { file } => _ = self.files.remove(file),
            DiskOp::SetAside { file, .. } => {
                self.aside.extend(self.files.remove_entry(file));
            }
        }
        Ok(DiskDone::Done)
    }
}
