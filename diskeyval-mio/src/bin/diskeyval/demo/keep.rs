//! Where the nodes of a run keep what they have promised.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use super::cluster::name;

/// A directory with one for each node in it.
pub(super) struct Keep {
    root: PathBuf,
    /// Whether it is removed at the end.
    is_temporary: bool,
}

impl Keep {
    /// As it was asked for: `None` is in memory.
    pub(super) fn chosen(memory: bool, dir: Option<&Path>) -> Result<Option<Keep>, String> {
        match dir {
            Some(dir) => Keep::at(dir).map(Some),
            None if memory => Ok(None),
            None => Keep::temporary().map(Some),
        }
    }

    fn at(dir: &Path) -> Result<Keep, String> {
        let cannot = |error| format!("the directory {} cannot be used: {error}", dir.display());
        fs::create_dir_all(dir).map_err(cannot)?;
        // What is in there would be found again, and nobody has a history of it.
        if fs::read_dir(dir).map_err(cannot)?.next().is_some() {
            return Err(format!(
                "the directory {} is not empty: give one that is, or a new one",
                dir.display()
            ));
        }
        Ok(Keep { root: dir.to_owned(), is_temporary: false })
    }

    fn temporary() -> Result<Keep, String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = env::temp_dir().join(format!("diskeyval-demo-{}-{number}", process::id()));
        // Its name is not a secret: what is there already is not ours.
        fs::create_dir(&root)
            .map_err(|error| format!("the directory {} cannot be made: {error}", root.display()))?;
        Ok(Keep { root, is_temporary: true })
    }

    /// The directory of a node.
    pub(super) fn of(&self, number: usize) -> Result<String, String> {
        let path = self.root.join(name(number));
        path.to_str()
            .map(str::to_owned)
            .ok_or_else(|| format!("{} is a name that is no text", path.display()))
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        if self.is_temporary {
            let removed: io::Result<()> = fs::remove_dir_all(&self.root);
            if let Err(error) = removed {
                tracing::warn!(dir = %self.root.display(), %error, "a temporary directory could not be removed");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_temporary_is_gone_at_the_end_and_what_was_given_stays() {
        let keep = Keep::temporary().expect("a directory");
        let root = keep.root.clone();
        fs::create_dir(keep.of(0).expect("text")).expect("a directory");
        let given = root.join("given");
        let kept = Keep::chosen(false, Some(&given)).expect("made").expect("kept");
        fs::create_dir(kept.of(0).expect("text")).expect("a directory");
        drop(kept);
        assert!(given.join("node-1").is_dir());
        assert!(Keep::chosen(false, Some(&given)).is_err_and(|why| why.contains("not empty")));
        assert!(Keep::chosen(true, None).expect("nothing to be made").is_none());
        drop(keep);
        assert!(!root.exists());
    }
}
