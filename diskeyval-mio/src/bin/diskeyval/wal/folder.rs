//! The directory, as one who only looks finds it.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;

use bytes::Bytes;
use diskeyval_mio::FileName;

/// The file whose lock a node holds while it is at work.
const LOCK: &str = "lock";

/// What lies there.
#[derive(Debug)]
pub(super) struct Folder {
    /// In the order of their names.
    pub(super) files: Vec<(FileName, Bytes)>,
    /// How many files were set aside.
    pub(super) aside: usize,
    /// Whether a node is at work there.
    pub(super) is_held: bool,
}

impl Folder {
    pub(super) fn read(dir: &Path) -> Result<Folder, String> {
        let cannot = |path: &Path, error: &io::Error| {
            let remedy = match error.kind() {
                ErrorKind::NotFound | ErrorKind::NotADirectory => {
                    "; DIR is what a node was given as `--data`"
                }
                ErrorKind::PermissionDenied => "; let this user read it",
                _ => "",
            };
            format!("cannot read {}: {error}{remedy}", path.display())
        };
        let mut folder = Folder { files: Vec::new(), aside: 0, is_held: is_held(&dir.join(LOCK)) };
        for entry in fs::read_dir(dir).map_err(|error| cannot(dir, &error))? {
            let entry = entry.map_err(|error| cannot(dir, &error))?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            if let Some(file) = FileName::parse(name) {
                match fs::read(entry.path()) {
                    Ok(bytes) => folder.files.push((file, bytes.into())),
                    // The node that is at work there has removed it a moment ago.
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    Err(error) => return Err(cannot(&entry.path(), &error)),
                }
            }
            folder.aside += usize::from(name.starts_with("aside-"));
        }
        if folder.files.is_empty() {
            return Err(format!(
                "{} holds no files of a node; DIR is what one was given as `--data`",
                dir.display()
            ));
        }
        folder.files.sort();
        Ok(folder)
    }
}

/// Whether somebody has the lock. There is no way to ask but to try; it is let go at once, and a node that starts in
/// that moment waits for longer than that.
fn is_held(lock: &Path) -> bool {
    File::open(lock).is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

#[cfg(test)]
mod tests {
    use std::env;

    use super::*;

    #[test]
    fn a_directory_is_read_without_what_is_not_of_a_node() {
        let dir = env::temp_dir().join(format!("diskeyval-folder-{}", std::process::id()));
        fs::create_dir_all(&dir).expect("a directory");
        assert!(Folder::read(&dir).expect_err("empty").contains("no files of a node"));
        for name in ["superblock", "wal-0000000000000002", "aside-1-superblock", "notes", "lock"] {
            fs::write(dir.join(name), name).expect("a file");
        }
        let found = Folder::read(&dir).expect("it can be read");
        let names: Vec<_> = found.files.iter().map(|(file, _)| *file).collect();
        assert_eq!(names, [FileName::Superblock, FileName::Segment(2)]);
        assert_eq!(found.files[0].1, "superblock");
        assert_eq!((found.aside, found.is_held), (1, false));
        let lock = File::open(dir.join(LOCK)).expect("a file");
        lock.lock().expect("free");
        assert!(Folder::read(&dir).expect("it can be read").is_held);
        fs::remove_dir_all(&dir).expect("ours");
        assert!(Folder::read(&dir).expect_err("gone").contains("--data"));
    }
}
