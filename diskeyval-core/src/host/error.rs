//! Why a node does not start.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::config::Address;
use crate::error::{ConfigError, StorageFault};

/// Why a node does not start.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration is wrong.
    Config(ConfigError),
    /// The node cannot listen where it is told to.
    Bind {
        /// Where that is.
        address: Address,
        /// What the operating system says.
        source: io::Error,
    },
    /// The node's directory cannot be made or opened.
    Directory {
        /// Where that is.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The node's directory is in use by a node that lives.
    DirectoryInUse {
        /// Where that is.
        path: PathBuf,
        /// The number of its process, if that could be found out.
        holder: Option<u32>,
    },
    /// What lies in the node's directory is not for this node, or cannot be read.
    Storage(StorageFault),
    /// The operating system refuses something else that a node needs.
    Io {
        /// What was wanted.
        what: &'static str,
        /// What the operating system says.
        source: io::Error,
    },
}

impl StartError {
    /// The operating system refuses something.
    pub fn io(what: &'static str, source: io::Error) -> StartError {
        StartError::Io { what, source }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Config(error) => error.fmt(f),
            StartError::Bind { address, source } => {
                let remedy = match source.kind() {
                    io::ErrorKind::AddrInUse => {
                        "another process listens there: end it, or choose another port (0 takes any that is free)"
                    }
                    io::ErrorKind::AddrNotAvailable => {
                        "this machine has no such address: choose one of its own, or 0.0.0.0 or :: for all of them"
                    }
                    io::ErrorKind::PermissionDenied => {
                        "this process may not use that port: choose one above 1023"
                    }
                    _ => "check host and port",
                };
                write!(f, "cannot listen on {address}: {source}; {remedy}")
            }
            StartError::Directory { path, source } => {
                let remedy = match source.kind() {
                    io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
                        "there is something else in its place: choose another directory"
                    }
                    io::ErrorKind::PermissionDenied => {
                        "let this user write there, or choose another directory"
                    }
                    io::ErrorKind::ReadOnlyFilesystem => {
                        "it must be possible to write there: choose another directory"
                    }
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "make room there",
                    _ => "check the path",
                };
                write!(f, "the directory {} cannot be used: {source}; {remedy}", path.display())
            }
            StartError::DirectoryInUse { path, holder } => {
                write!(f, "the directory {} is in use", path.display())?;
                if let Some(holder) = holder {
                    write!(f, " by process {holder}")?;
                }
                f.write_str(": end that node, or give each its own directory")
            }
            StartError::Storage(fault) => fault.fmt(f),
            StartError::Io { what, source } => write!(f, "cannot {what}: {source}"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            StartError::Config(error) => Some(error),
            StartError::Bind { source, .. }
            | StartError::Directory { source, .. }
            | StartError::Io { source, .. } => Some(source),
            StartError::DirectoryInUse { .. } | StartError::Storage(_) => None,
        }
    }
}

impl From<ConfigError> for StartError {
    fn from(error: ConfigError) -> StartError {
        StartError::Config(error)
    }
}

impl From<StorageFault> for StartError {
    fn from(fault: StorageFault) -> StartError {
        StartError::Storage(fault)
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn a_node_that_cannot_listen_says_where_why_and_what_to_do() {
        let address = Address::new("::1", 8050).expect("a good address");
        let in_use = StartError::Bind { address: address.clone(), source: io::ErrorKind::AddrInUse.into() };
        let text = in_use.to_string();
        assert!(text.contains("[::1]:8050") && text.contains("another port"), "{text}");
        let elsewhere = StartError::Bind { address, source: io::ErrorKind::AddrNotAvailable.into() };
        assert!(elsewhere.to_string().contains("no such address"), "{elsewhere}");
    }
}
