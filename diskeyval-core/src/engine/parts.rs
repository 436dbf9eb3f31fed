//! The parts, for those who look and change nothing.

use super::Engine;
use crate::desk::Desk;
use crate::kv::Machine;
use crate::mesh::Mesh;
use crate::raft::Raft;

impl Engine {
    pub(crate) fn raft(&self) -> &Raft {
        &self.raft
    }

    pub(crate) fn kv(&self) -> &Machine {
        &self.kv
    }

    pub(crate) fn mesh(&self) -> &Mesh {
        &self.mesh
    }

    pub(crate) fn desk(&self) -> &Desk {
        &self.desk
    }

    /// Whether it still reads what it has kept.
    #[cfg(test)]
    pub(crate) fn is_opening(&self) -> bool {
        self.opening.is_some() || !self.begun
    }

    pub(crate) fn kept(&self) -> Option<&[crate::store::Record]> {
        self.kept.as_deref()
    }
}
