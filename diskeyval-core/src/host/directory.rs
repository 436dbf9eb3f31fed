//! The directory of a node: made if need be, and held by one process at a time.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::string::ToString;
use std::time::Duration;
use std::{format, process, thread};

use super::StartError;
use crate::store::FileName;

/// The file whose lock holds the directory. It stays there, and says nothing by being there. A file, since not every
/// system can lock a directory.
const LOCK: &str = "lock";

/// How often a lock is tried for, and how long between. A process that was killed a moment ago may not have let go yet, and one that only
/// looks holds it for a moment.
const TRIES: u32 = 25;
const BETWEEN: Duration = Duration::from_millis(20);

/// What the name of a file begins with until it is whole.
const UNFINISHED: &str = "new-";

/// A directory that this process holds, for as long as this lives.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    /// Its lock ends with it.
    _lock: File,
    #[cfg(unix)]
    handle: File,
}

impl Directory {
    /// Makes it if it is not there, and takes it for this process. May wait for half a second for one who is about to let go.
    ///
    /// # Errors
    /// Why it cannot be used, or who has it.
    pub fn open(path: &str) -> Result<Directory, StartError> {
        // Whoever changes the working directory later does not move it.
        let path = std::path::absolute(path)
            .map_err(|source| StartError::Directory { path: path.into(), source })?;
        let failed = |source| StartError::Directory { path: path.clone(), source };
        make(&path).map_err(failed)?;
        let lock = take(&path.join(LOCK)).map_err(|refusal| match refusal {
            Refusal::Held { holder } => StartError::DirectoryInUse { path: path.clone(), holder },
            Refusal::Failed(source) => failed(source),
        })?;
        remove_unfinished(&path).map_err(failed)?;
        let directory = Directory {
            _lock: lock,
            #[cfg(unix)]
            handle: File::open(&path).map_err(failed)?,
            path: path.clone(),
        };
        // The entry of the lock, and what was removed.
        directory.sync().map_err(failed)?;
        Ok(directory)
    }

    /// Where a file of it is.
    pub(super) fn path_of(&self, file: FileName) -> PathBuf {
        self.path.join(file.to_string())
    }

    /// Where a file is until it is whole.
    pub(super) fn path_of_unfinished(&self, file: FileName) -> PathBuf {
        self.path.join(format!("{UNFINISHED}{file}"))
    }

    /// Where a file goes that is set aside.
    pub(super) fn path_of_aside(&self, file: FileName, under: u64) -> PathBuf {
        self.path.join(format!("aside-{under:016x}-{file}"))
    }

    pub(super) fn entries(&self) -> io::Result<fs::ReadDir> {
        fs::read_dir(&self.path)
    }

    /// Makes durable which files there are.
    pub(super) fn sync(&self) -> io::Result<()> {
        #[cfg(unix)]
        self.handle.sync_all()?;
        // Elsewhere a directory cannot be opened, and its entries are durable with the file.
        Ok(())
    }
}

/// Makes a directory, and those that it is in, and lets each be durable where it stands.
fn make(path: &Path) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => return Err(ErrorKind::NotADirectory.into()),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let Some(parent) = path.parent() else { return Err(ErrorKind::NotFound.into()) };
    make(parent)?;
    match fs::create_dir(path) {
        // Somebody else was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        made => made?,
    }
    #[cfg(unix)]
    File::open(parent)?.sync_all()?;
    Ok(())
}

enum Refusal {
    Held { holder: Option<u32> },
    Failed(io::Error),
}

fn take(path: &Path) -> Result<File, Refusal> {
    let mut options = File::options();
    let lock =
        options.read(true).write(true).create(true).truncate(false).open(path).map_err(Refusal::Failed)?;
    let mut left = TRIES;
    loop {
        match lock.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if left > 0 => {
                left -= 1;
                thread::sleep(BETWEEN);
            }
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
                return Err(Refusal::Held { holder });
            }
            Err(TryLockError::Error(error)) => return Err(Refusal::Failed(error)),
        }
    }
    // For people, and for the error of whoever comes next. A disk that is full does not keep a node from its own.
    let _ = lock
        .set_len(0)
        .and_then(|()| io::Write::write_all(&mut &lock, format!("{}\n", process::id()).as_bytes()));
    Ok(lock)
}

/// What a process has begun to make when it was killed was never there.
fn remove_unfinished(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let of = name.to_str().and_then(|name| name.strip_prefix(UNFINISHED));
        if of.and_then(FileName::parse).is_some() {
            fs::remove_file(path.join(&name))?;
        }
    }
    Ok(())
}
