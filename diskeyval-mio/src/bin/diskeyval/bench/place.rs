//! Where durable nodes keep their files: a directory of this run, which is removed with all that is in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use diskeyval_mio::Config;

use crate::exit::Failure;

/// A directory that ends with this.
#[derive(Debug)]
pub(super) struct Place(PathBuf);

impl Place {
    /// A new one below `parent`, which is made if need be.
    pub(super) fn below(parent: &Path) -> Result<Place, Failure> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("diskeyval-bench-{}-{number}", process::id()));
        fs::create_dir_all(&path)
            .map_err(|error| Failure::failed(format!("cannot make {}: {error}", path.display())))?;
        Ok(Place(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What cannot be removed is left for whoever looks.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The configuration of a node that keeps what it promises in a directory of its own below `dir`.
pub(super) fn durable(config: Config, dir: &Path) -> Config {
    let own = dir.join(config.node_id.as_str());
    config.persist(&own.to_string_lossy())
}
