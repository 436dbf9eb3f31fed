//! Certificates as files in a directory, as `diskeyval certs` writes them.

use std::borrow::ToOwned;
use std::collections::BTreeMap;
use std::format;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::string::{String, ToString};
use std::vec::Vec;

use super::{Authority, CertsError, Issued, client, io_error};
use crate::id::NodeId;
use crate::identity::Identity;

/// What [`write_new`] has written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// The certificate of the CA: what every node and client gets as `ca`.
    pub ca: PathBuf,
    /// Whether the CA is new (else it was there, and was used).
    pub new_ca: bool,
    /// What was issued, in the order of nodes and clients.
    pub issued: Vec<Files>,
}

/// The files of one certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Files {
    /// Whom it names.
    pub identity: Identity,
    /// The certificate: `<id>.pem`, or `client-<name>.pem`.
    pub cert: PathBuf,
    /// The private key: `<id>-key.pem`, or `client-<name>-key.pem`.
    pub key: PathBuf,
}

/// Issues certificates into a directory, which is made if need be. The CA is `ca.pem` and `ca-key.pem` there;
/// if it is there already it is used, so that a cluster can grow.
///
/// Nothing is ever overwritten, and nothing is written before everything has been issued. On Unix nobody but
/// the owner can read a key, from the moment on that its file exists; elsewhere, choose the directory well.
///
/// # Errors
/// [`CertsError::Exists`] if one of the files is there, [`CertsError::HalfAuthority`] if only one of the CA's
/// is; each error says what to do.
pub fn write_new(dir: &Path, nodes: &[NodeId], clients: &[String]) -> Result<Written, CertsError> {
    let (ca_cert, ca_key) = (dir.join("ca.pem"), dir.join("ca-key.pem"));
    let nodes = nodes.iter().map(|id| (Identity::Node(id.clone()), id.to_string()));
    let clients = clients.iter().map(|name| Ok((client(name)?, format!("client-{name}"))));
    let mut wanted = Vec::new();
    for one in nodes.map(Ok).chain(clients) {
        let (identity, stem) = one?;
        let (cert, key) = (dir.join(format!("{stem}.pem")), dir.join(format!("{stem}-key.pem")));
        wanted.push(Files { identity, cert, key });
    }
    refuse_collisions(&wanted, &ca_cert, &ca_key)?;
    fs::create_dir_all(dir).map_err(|error| io_error("make the directory", dir, error))?;
    if let Some(path) = wanted.iter().flat_map(|files| [&files.cert, &files.key]).find(|path| is_there(path))
    {
        return Err(CertsError::Exists { path: path.clone() });
    }

    let (authority, new_ca) = match (is_there(&ca_cert), is_there(&ca_key)) {
        (true, true) => (Authority::from_pem(&read(&ca_cert)?, &read(&ca_key)?)?, false),
        (false, false) => (Authority::new("diskeyval CA")?, true),
        (true, false) => return Err(CertsError::HalfAuthority { found: ca_cert, missing: ca_key }),
        (false, true) => return Err(CertsError::HalfAuthority { found: ca_key, missing: ca_cert }),
    };
    let issue = |files: &Files| match &files.identity {
        Identity::Node(id) => authority.issue_node(id),
        Identity::Client(name) => authority.issue_client(name),
    };
    let issued: Vec<Issued> = wanted.iter().map(issue).collect::<Result<_, _>>()?;

    if new_ca {
        write_file(&ca_key, &authority.key_pem(), Secrecy::Owner)?;
        write_file(&ca_cert, authority.cert_pem(), Secrecy::Anyone)?;
    }
    for (files, issued) in wanted.iter().zip(&issued) {
        write_file(&files.key, &issued.key_pem, Secrecy::Owner)?;
        write_file(&files.cert, &issued.cert_pem, Secrecy::Anyone)?;
    }
    Ok(Written { ca: ca_cert, new_ca, issued: wanted })
}

/// A node may be called `ca`, `a-key` or `client-a`, and its files as those of another.
fn refuse_collisions(wanted: &[Files], ca_cert: &Path, ca_key: &Path) -> Result<(), CertsError> {
    let mut owners = BTreeMap::from([(ca_cert, "the CA".to_owned()), (ca_key, "the CA".to_owned())]);
    for files in wanted {
        for path in [&files.cert, &files.key] {
            let owner = files.identity.to_string();
            if let Some(other) = owners.insert(path, owner.clone()) {
                return Err(CertsError::Collision { path: path.clone(), first: other, second: owner });
            }
        }
    }
    Ok(())
}

/// Also true for a link that leads nowhere.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn read(path: &Path) -> Result<String, CertsError> {
    fs::read_to_string(path).map_err(|error| io_error("read", path, error))
}

#[derive(Clone, Copy, PartialEq)]
enum Secrecy {
    Owner,
    Anyone,
}

fn write_file(path: &Path, text: &str, secrecy: Secrecy) -> Result<(), CertsError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if secrecy == Secrecy::Owner {
        // At its creation: set later, it would have been open for a moment.
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    #[cfg(not(unix))]
    let _ = secrecy;
    let mut file = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => CertsError::Exists { path: path.to_owned() },
        _ => io_error("create", path, error),
    })?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|error| {
        // Half a file would only be in the way of the next attempt.
        let _ = fs::remove_file(path);
        io_error("write", path, error)
    })
}
