//! The directory of a node whose cluster has lost its quorum for good: looked into, and gone on from.

use std::fmt;
use std::format;
use std::fs;
use std::io;
use std::path::Path;
use std::string::String;

use super::{Directory, Files, Perform, StartError, start};
use crate::io::Recovery;
use crate::storage::{NoRecovery, Recoverer};

/// A directory that could be gone on from. As long as this lives, no node can be started there.
///
/// **For a cluster whose quorum is lost for good, and nothing else.** What the other nodes had acknowledged, and does not
/// stand here, is lost. Whatever stands here is kept, whether it was acknowledged or not. Should the others come back,
/// they and this node refuse each other.
///
/// ```no_run
/// use diskeyval_core::host::Recoverable;
///
/// let found = Recoverable::open("/var/lib/n1")?;
/// println!("{:?}", found.report());
/// found.accept_data_loss()?;
/// // The node is started as before, and leads alone.
/// # Ok::<(), diskeyval_core::host::RecoverError>(())
/// ```
pub struct Recoverable {
    recoverer: Recoverer,
    files: Files,
    report: Recovery,
}

/// What was done to a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered {
    /// What its node goes on with.
    pub report: Recovery,
    /// How many files were set aside. None was removed.
    pub set_aside: usize,
    /// What their names begin with now.
    pub prefix: String,
}

/// Why a directory is not gone on from.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecoverError {
    /// It cannot be opened, or a node is at work there.
    Directory(StartError),
    /// There is nothing to go on from, or no need to, or the disk fails.
    Recovery(NoRecovery),
}

impl Recoverable {
    /// Reads and verifies everything, and changes nothing. Where something is wrong, what can be told without it counts.
    ///
    /// # Errors
    /// Why it cannot be gone on from.
    pub fn open(dir: impl AsRef<Path>) -> Result<Recoverable, RecoverError> {
        let dir = dir.as_ref();
        let cannot = |source| StartError::Directory { path: dir.to_path_buf(), source };
        // A node would make it.
        fs::metadata(dir).map_err(cannot)?;
        let text = dir.to_str().ok_or_else(|| cannot(io::Error::other("its name is no text")))?;
        let mut recoverer = Recoverer::new(start::seed()?);
        let mut files = Files::new(Directory::open(text)?);
        go_on(&mut recoverer, &mut files)?;
        match recoverer.found().cloned() {
            Some(report) => Ok(Recoverable { recoverer, files, report }),
            None => Err(unfinished("the reading").into()),
        }
    }

    /// What its node would go on with.
    pub fn report(&self) -> &Recovery {
        &self.report
    }

    /// Has the node go on alone, as another life in another cluster, once it is started again. Killed at any time, this
    /// leaves the directory as it was, or as it is to be.
    ///
    /// # Errors
    /// The disk has failed, or is full.
    pub fn accept_data_loss(mut self) -> Result<Recovered, RecoverError> {
        self.recoverer.accept_data_loss();
        go_on(&mut self.recoverer, &mut self.files)?;
        match self.recoverer.set_aside() {
            Some((set_aside, under)) => {
                Ok(Recovered { report: self.report, set_aside, prefix: format!("aside-{under:016x}-") })
            }
            None => Err(unfinished("the writing").into()),
        }
    }
}

/// Does what is asked for, until nothing more is.
fn go_on(recoverer: &mut Recoverer, files: &mut Files) -> Result<(), NoRecovery> {
    loop {
        let ops = recoverer.take_ops();
        if ops.is_empty() {
            return Ok(());
        }
        for (op, what) in ops {
            recoverer.done(op, files.perform(what))?;
        }
    }
}

/// A bug of ours: it has asked for nothing more, and is not done.
fn unfinished(what: &'static str) -> StartError {
    StartError::Io { what, source: io::Error::other("it came to no end, which is a bug") }
}

impl fmt::Debug for Recoverable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recoverable").field("report", &self.report).finish_non_exhaustive()
    }
}

impl fmt::Display for RecoverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecoverError::Directory(error) => error.fmt(f),
            RecoverError::Recovery(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RecoverError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RecoverError::Directory(error) => error.source(),
            RecoverError::Recovery(_) => None,
        }
    }
}

impl From<StartError> for RecoverError {
    fn from(error: StartError) -> RecoverError {
        RecoverError::Directory(error)
    }
}

impl From<NoRecovery> for RecoverError {
    fn from(error: NoRecovery) -> RecoverError {
        RecoverError::Recovery(error)
    }
}
