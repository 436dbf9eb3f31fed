//! What a node is told at its start, from options, a file and certificates.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use diskeyval_mio::{Config, ConfigError, NodeId, Persistence, StartError, StorageFault, TlsFiles};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::args::NodeArgs;
use crate::exit::Failure;

/// Larger files are no certificates and no configurations.
const MAX_FILE: u64 = 1 << 20;

/// Puts everything together; options go before the file.
pub(crate) fn assemble(args: &NodeArgs) -> Result<Config, Failure> {
    let mut config = match (&args.config, &args.id) {
        (Some(path), id) => from_file(path, id.as_ref())?,
        (None, Some(id)) => Config::new(id.as_str()).map_err(Failure::input)?,
        (None, None) => return Err(Failure::input("the node has no name: give it one with --id")),
    };
    if let Some(listen) = &args.listen {
        config.host = listen.host().to_owned();
        config.port = listen.port();
    }
    if !args.peer.is_empty() {
        config.peers = args.peer.clone();
    }
    if !args.join.is_empty() {
        config.peers = args.join.clone();
        config.join = true;
    }
    if let Some(advertise) = &args.advertise {
        config.advertise = Some(advertise.clone());
    }
    if let Some(cluster) = &args.cluster {
        config.cluster.clone_from(cluster);
    }
    if let Some(data) = &args.data {
        let dir = text_of(data)?;
        match &mut config.persistence {
            Some(kept) => kept.dir = dir,
            None => config.persistence = Some(Persistence::in_dir(&dir)),
        }
    }
    if let Some(compact_every) = args.compact_every {
        let Some(kept) = &mut config.persistence else {
            return Err(Failure::input(
                "--compact-every is of use with --data alone: without it, nothing is kept",
            ));
        };
        kept.compact_every = compact_every;
    }
    for (given, option) in [
        (args.election_timeout_ms, &mut config.election_timeout),
        (args.heartbeat_ms, &mut config.heartbeat),
        (args.proposal_timeout_ms, &mut config.proposal_timeout),
        (args.rpc_timeout_ms, &mut config.rpc_timeout),
        (args.founding_grace_ms, &mut config.founding_grace),
    ] {
        if let Some(given) = given {
            *option = Duration::from_millis(given);
        }
    }
    config.leader_priority = args.leader_priority.unwrap_or(config.leader_priority);
    // What is wrong with the options is told before certificates are looked for.
    config.validate().map_err(Failure::input)?;
    if let Some(dir) = &args.certs {
        let files = Certificates::new(dir, &config.node_id);
        // What is missing is told with what makes it.
        files.read()?;
        let look_every = config.tls_files.map(|files| files.look_every);
        let mut files = TlsFiles::at(&text_of(&files.cert)?, &text_of(&files.key)?, &text_of(&files.ca)?);
        files.look_every = look_every.unwrap_or(files.look_every);
        (config.tls, config.tls_files) = (None, Some(files));
    }
    if config.tls.is_none() && config.tls_files.is_none() {
        return Err(Failure::input("there are no certificates: give their directory as --certs"));
    }
    Ok(config)
}

/// Says why a node does not start, naming the file where the library names a part of the configuration.
pub(crate) fn explain(error: StartError, args: &NodeArgs, id: &NodeId) -> Failure {
    match (error, &args.certs) {
        (StartError::Config(ConfigError::BadTls { part, why }), Some(dir)) => {
            let files = Certificates::new(dir, id);
            let path = match part {
                "ca" => files.ca,
                "key" => files.key,
                _ => files.cert,
            };
            Failure::input(format!("{} (`{part}`): {why}", path.display()))
        }
        (error @ StartError::Config(_), _) => Failure::input(error),
        // It was given the directory of somebody else.
        (
            error @ StartError::Storage(StorageFault::OtherNode { .. } | StorageFault::OtherCluster { .. }),
            _,
        ) => Failure::input(error),
        (error, _) => Failure::failed(error),
    }
}

/// The files of one node, by their names in the directory.
struct Certificates {
    dir: PathBuf,
    id: NodeId,
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

impl Certificates {
    fn new(dir: &Path, id: &NodeId) -> Certificates {
        Certificates {
            dir: dir.to_owned(),
            id: id.clone(),
            ca: dir.join("ca.pem"),
            cert: dir.join(format!("{id}.pem")),
            key: dir.join(format!("{id}-key.pem")),
        }
    }

    fn read(&self) -> Result<(), Failure> {
        [&self.ca, &self.cert, &self.key].into_iter().try_for_each(|path| self.pem(path).map(drop))
    }

    fn pem(&self, path: &Path) -> Result<String, Failure> {
        read(path).map_err(|error| {
            let remedy = match error.kind() {
                io::ErrorKind::NotFound => format!(
                    "`diskeyval certs --dir {} {}` makes certificates, or is this the wrong directory?",
                    self.dir.display(),
                    self.id
                ),
                io::ErrorKind::PermissionDenied => "let this user read it".to_owned(),
                _ => "it should be PEM text".to_owned(),
            };
            Failure::input(format!("cannot read {}: {error}; {remedy}", path.display()))
        })
    }
}

/// A path in the form that options have.
fn text_of(path: &Path) -> Result<String, Failure> {
    let text =
        path.to_str().ok_or_else(|| Failure::input(format!("{} is a name that is no text", path.display())));
    text.map(str::to_owned)
}

fn from_file(path: &Path, id: Option<&NodeId>) -> Result<Config, Failure> {
    let bad = |why: &dyn std::fmt::Display| Failure::input(format!("{}: {why}", path.display()));
    let text = read(path)
        .map_err(|error| Failure::input(format!("cannot read --config {}: {error}", path.display())))?;
    let mut options: Map<String, Value> = serde_json::from_str(&text).map_err(|error| bad(&error))?;
    if let Some(id) = id {
        options.insert("nodeId".to_owned(), id.as_str().into());
    }
    Config::deserialize(Value::Object(options)).map_err(|error| bad(&error))
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_FILE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it has more than {MAX_FILE} bytes")));
    }
    Ok(text)
}
