//! The directory of a node, and the verbs that are carried out on its files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use diskeyval_core::{DiskDone, DiskError, DiskOp, FileName};

/// What a new file is filled with at a time.
const CHUNK: usize = 1 << 20;

pub(super) struct Directory {
    path: PathBuf,
    /// Those with something in them that is not durable yet. They stay open: that it could not be written is told to
    /// those who had the file open at the time, and perhaps to nobody else.
    dirty: BTreeMap<FileName, File>,
    /// Two nodes on one directory would ruin it. The lock ends with the process, however that ends.
    _lock: File,
}

impl Directory {
    pub(super) fn open(path: &Path) -> io::Result<Directory> {
        // Whoever changes the working directory later does not move it.
        let path = std::path::absolute(path)?;
        make(&path)?;
        let lock = File::options().write(true).create(true).truncate(false).open(path.join("lock"))?;
        lock.try_lock()?;
        let directory = Directory { path, dirty: BTreeMap::new(), _lock: lock };
        for entry in fs::read_dir(&directory.path)? {
            let name = entry?.file_name();
            // What a process has begun to make when it was killed was never there.
            if name.to_str().and_then(|name| name.strip_prefix("new-")).and_then(FileName::parse).is_some() {
                fs::remove_file(directory.path.join(name))?;
            }
        }
        directory.sync()?;
        Ok(directory)
    }

    /// Carries out a verb.
    pub(super) fn perform(&mut self, what: DiskOp) -> Result<DiskDone, DiskError> {
        let verb = format!("{:.200}", format!("{what:?}"));
        let done = match what {
            DiskOp::List => self.list().map(DiskDone::Listed),
            DiskOp::Create { file, size } => self.create(file, size).map(|()| DiskDone::Done),
            DiskOp::Write { file, at, parts } => self.write(file, at, &parts).map(|()| DiskDone::Done),
            DiskOp::Sync { file } => self.make_durable(file).map(|()| DiskDone::Done),
            DiskOp::Read { file, at, len } => self.read(file, at, len).map(DiskDone::Read),
            DiskOp::Remove { file } => self.remove(file).map(|()| DiskDone::Done),
            DiskOp::SetAside { file, under } => self.set_aside(file, under).map(|()| DiskDone::Done),
        };
        done.map_err(|error| match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskError::Full,
            ErrorKind::NotFound => DiskError::Missing,
            _ => DiskError::Failed(format!("{verb}: {error}")),
        })
    }

    fn path_of(&self, file: FileName) -> PathBuf {
        self.path.join(file.to_string())
    }

    fn file(&self, file: FileName) -> io::Result<File> {
        File::options().read(true).write(true).open(self.path_of(file))
    }

    fn list(&self) -> io::Result<Vec<(FileName, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            // Whatever has another name is nobody's business.
            if let Some(file) = entry.file_name().to_str().and_then(FileName::parse) {
                files.push((file, entry.metadata()?.len()));
            }
        }
        Ok(files)
    }

    /// It gets its name when it is whole and durable: killed at any time, this leaves all of it or nothing. The zeros are
    /// written, so that it has its blocks, and a full disk is found out now.
    fn create(&self, file: FileName, size: u64) -> io::Result<()> {
        let path = self.path_of(file);
        if path.try_exists()? {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let unfinished = self.path.join(format!("new-{file}"));
        let made = fill(&unfinished, size).and_then(|()| fs::rename(&unfinished, path));
        if made.is_err() {
            // The room that it took is needed elsewhere.
            let _ = fs::remove_file(unfinished);
        }
        made?;
        self.sync()
    }

    fn write(&mut self, file: FileName, at: u64, parts: &[Bytes]) -> io::Result<()> {
        if !self.dirty.contains_key(&file) {
            self.dirty.insert(file, self.file(file)?);
        }
        let mut file = self.dirty.get(&file).ok_or(ErrorKind::NotFound)?;
        file.seek(SeekFrom::Start(at))?;
        file.write_all(&parts.concat())
    }

    fn make_durable(&mut self, file: FileName) -> io::Result<()> {
        match self.dirty.get(&file) {
            Some(dirty) => dirty.sync_data()?,
            None => self.file(file)?.sync_data()?,
        }
        self.dirty.remove(&file);
        Ok(())
    }

    fn read(&self, file: FileName, at: u64, len: usize) -> io::Result<Bytes> {
        let mut file = self.file(file)?;
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = Vec::new();
        // Fewer come where the file ends, and nobody is made to take memory for what is not there.
        file.take(len as u64).read_to_end(&mut bytes)?;
        Ok(bytes.into())
    }

    fn remove(&mut self, file: FileName) -> io::Result<()> {
        self.dirty.remove(&file);
        match fs::remove_file(self.path_of(file)) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => removed?,
        }
        // Also if it was not there: that may not be durable yet.
        self.sync()
    }

    fn set_aside(&mut self, file: FileName, under: u64) -> io::Result<()> {
        self.dirty.remove(&file);
        let (path, aside) = (self.path_of(file), self.path.join(format!("aside-{under:016x}-{file}")));
        if path.try_exists()? {
            // Nothing that was set aside is ever overwritten.
            if aside.try_exists()? {
                return Err(ErrorKind::AlreadyExists.into());
            }
            fs::rename(path, aside)?;
        }
        self.sync()
    }

    /// Makes durable which files there are. Where a directory cannot be opened, its entries are durable with the file.
    fn sync(&self) -> io::Result<()> {
        if cfg!(unix) { File::open(&self.path)?.sync_all() } else { Ok(()) }
    }
}

/// Makes a directory, and those that it is in, each durable where it stands.
fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().ok_or(ErrorKind::NotFound)?;
    make(parent)?;
    fs::create_dir(path)?;
    if cfg!(unix) { File::open(parent)?.sync_all() } else { Ok(()) }
}

fn fill(path: &Path, size: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let zeros = vec![0; CHUNK];
    let mut left = size;
    while left > 0 {
        let length = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
        file.write_all(&zeros[..length])?;
        left -= length as u64;
    }
    file.sync_all()
}
