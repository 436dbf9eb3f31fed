//! What the files of a node say, in words. The words are the core's: the one who writes the files knows what they mean.

use bytes::Bytes;
use diskeyval_mio::{FileName, storage};

/// What was found.
pub(super) struct Description {
    /// Of which file, and what.
    pub(super) lines: Vec<(FileName, String)>,
    /// Why a node could not go on from it.
    pub(super) fault: Option<String>,
}

/// Takes the files of a directory, each whole.
pub(super) fn describe(files: &[(FileName, Bytes)]) -> Description {
    let storage::Description { lines, fault, .. } = storage::describe(files);
    Description { lines, fault: fault.map(|fault| fault.to_string()) }
}
