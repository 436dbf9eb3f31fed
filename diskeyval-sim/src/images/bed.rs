//! Directories of three nodes that have nothing on their way, and everything that they have promised.

use bytes::Bytes;
use diskeyval_core::{Answer, DiskOp, Engine, FileName, Incarnation, Request};

use super::directory::Directory;
use super::ledger::{Agreed, Image};
use super::record::Recorder;
use super::trio::{NODES, Trio, Witness};
use crate::run::caught::catch;

/// A cluster at rest.
#[derive(Clone, Debug)]
pub struct Bed {
    /// How the first node ended.
    pub name: &'static str,
    /// The files of each node.
    pub(super) files: [Vec<(FileName, Vec<u8>)>; NODES],
    /// What the first node has promised.
    pub(super) promised: Image,
    pub(super) agreed: Agreed,
    pub(super) incarnation: Option<Incarnation>,
    /// All keys, and their values.
    pub(super) keys: Vec<(Bytes, Bytes)>,
}

/// Looks away.
pub(super) struct Nobody;

impl Witness for Nobody {
    fn op(&mut self, _: usize, _: &DiskOp) {}
    fn turn(&mut self, _: usize, _: &Engine) {}
}

/// All beds. An error says why one could not be made: that is for mutants.
pub fn beds() -> Result<Vec<Bed>, String> {
    catch(|| vec![bed("stopped", true), bed("killed", false)])
}

fn bed(name: &'static str, is_orderly: bool) -> Bed {
    let mut trio = Trio::new(Recorder::new(), 0);
    (0..NODES).for_each(|node| trio.start(node));
    trio.settle();
    trio.have_lead(0);
    for n in 0..70 {
        trio.write(usize::try_from(n % 3).expect("small"), n, 200 + 31 * usize::try_from(n).expect("small"));
    }
    // Votes, a life that ended, a snapshot and what stands behind it.
    trio.have_lead(1);
    trio.die(0);
    trio.run(100);
    trio.start(0);
    trio.settle();
    for n in 0..12 {
        trio.write(1, 80 + n, 900);
    }
    trio.have_lead(0);
    trio.write(0, 95, 300);
    trio.settle();
    // Everybody seals.
    trio.run(1_500);
    let keys = trio.keys(1);
    if is_orderly {
        trio.stop(0);
    } else {
        trio.die(0);
    }
    trio.run(2_500);
    let files = [0, 1, 2].map(|node| trio.nodes[node].directory.contents());
    let (recording, durable) = trio.witness.end();
    assert_eq!(durable + 1, recording.images.len(), "nothing is on its way");
    Bed {
        name,
        files,
        promised: recording.images[durable].clone(),
        agreed: recording.agreed,
        incarnation: recording.incarnation,
        keys,
    }
}

impl Bed {
    /// The directory of a node.
    pub(super) fn directory(&self, node: usize) -> Directory {
        Directory::holding(self.files[node].iter().cloned())
    }

    /// What a file of a node holds.
    pub(super) fn content(&self, node: usize, file: FileName) -> Option<&[u8]> {
        let found = self.files[node].iter().find(|(name, _)| *name == file);
        found.map(|(_, bytes)| bytes.as_slice())
    }

    /// How many bytes all files of the first node have, and how many of them lie in blocks that hold something.
    pub fn bytes(&self) -> (usize, usize) {
        let blocks = self.files[0].iter().flat_map(|(_, bytes)| bytes.chunks(4096));
        blocks.fold((0, 0), |(all, used), block| {
            let holds = block.iter().any(|byte| *byte != 0);
            (all + block.len(), used + if holds { block.len() } else { 0 })
        })
    }
}

impl<W: Witness> Trio<W> {
    /// All keys as a node has them, and their values.
    pub(super) fn keys(&mut self, node: usize) -> Vec<(Bytes, Bytes)> {
        let ticket = self.ask(node, Request::View);
        self.run(2);
        match self.nodes[node].answers.remove(&ticket) {
            Some(Answer::View(view)) => {
                view.iter().map(|(key, versioned)| (key.clone(), versioned.value.clone())).collect()
            }
            other => panic!("a view comes to {other:?}"),
        }
    }
}
