//! What can be given on the command line.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand, ValueEnum};
use diskeyval_mio::command::peer::peer;
use diskeyval_mio::{Address, ConfigError, NodeId, Peer};

use crate::bench::BenchArgs;
use crate::exit::Failure;

/// A replicated key/value store: Raft over mutual TLS.
#[derive(Debug, Parser)]
#[command(name = "diskeyval", version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// What is told on stderr while the command runs: errors only, or more and more [default: warn; of
    /// bench: error]
    #[arg(long, value_name = "LEVEL", global = true)]
    pub(crate) log: Option<LogLevel>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

// One variant a line, and what a command takes in a struct of its own.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Bench(BenchArgs),
    Certs(CertsArgs),
    Node(Box<NodeArgs>),
    Recover(RecoverArgs),
    #[command(subcommand)]
    Wal(WalCommand),
    #[cfg(unix)]
    Demo(crate::demo::DemoArgs),
    #[cfg(unix)]
    Failover(crate::demo::FailoverArgs),
    /// A node of `demo` or `failover`, which start it
    #[cfg(unix)]
    #[command(hide = true)]
    DemoNode {
        /// Where to listen, if that is free
        #[arg(long)]
        at: Option<SocketAddr>,
    },
}

const AFTER_HELP: &str = "\
Examples:
  Watch a cluster lose its leader, and no write:
    diskeyval demo
  Make a CA and the certificates of three nodes, and start the first of them:
    diskeyval certs --dir certs n1 n2 n3
    diskeyval node --id n1 --listen 127.0.0.1:8051 --peer n2=127.0.0.1:8052 n3=127.0.0.1:8053 \\
      --certs certs --data data/n1

Exit codes:
  0  done
  1  what was asked for failed
  2  what was given is wrong: options, names, configuration or certificates
  3  the node was removed from its cluster
  4  data would be lost, and that was not accepted
  A second signal ends a command at once, with 128 + its number.

Errors are one line on stderr: `error: …`.";

/// What is told on stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Make a CA, and certificates that it signs
///
/// DIR/ca.pem and DIR/ca-key.pem are the CA; if they are there, they are used, so that a cluster can grow.
/// Each NODE gets DIR/NODE.pem and DIR/NODE-key.pem, each client DIR/client-NAME.pem and its key. Nothing is
/// ever overwritten, and keys can be read by their owner alone.
///
/// Whoever holds ca-key.pem can be any node: keep it away from the machines that nodes run on. A node needs
/// ca.pem and its own two files.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  diskeyval certs --dir certs n1 n2 n3
  diskeyval certs --dir certs n4                   one more node, by the same CA
  diskeyval certs --dir certs --client backup      for a client, which is no node"
)]
pub(crate) struct CertsArgs {
    /// The directory to write into; it is made if need be
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: PathBuf,

    /// The ids of the nodes: 1 to 63 of A-Z a-z 0-9 _ . -
    #[arg(value_name = "NODE", value_parser = node_id, required_unless_present = "client")]
    pub(crate) nodes: Vec<NodeId>,

    /// The name of a client that is no node; can be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) client: Vec<String>,
}

/// Run one node of a cluster
///
/// It reads DIR/ca.pem, DIR/ID.pem and DIR/ID-key.pem, which `diskeyval certs` makes, and prints
/// `ready HOST:PORT` on stderr once it listens. Every initial member is started with the same set of ids. One more
/// is started with --join: it says on stderr what is to be typed at a member.
///
/// Commands come from stdin: at a terminal there is a prompt, else each line is a command and gets one line as
/// its answer on stdout, in their order:
///
///   set K V        ok REVISION
///   get K          value V | absent                  linearizable
///   getlocal K     value V | absent                  as this node knows it, which may be behind
///   delete K       ok REVISION found | ok REVISION absent
///   cas K OLD NEW  ok REVISION | mismatch REVISION|absent   OLD is the value, or - for absent
///   state          {"K":"V",...}                     as this node knows them
///   peers          [{"nodeId":...,"host":...,"port":...},...]   as it was told at its start
///   members        [{"nodeId":...,"part":...,"address":...,...},...]   as this node knows them
///   leader         {"leader":ID or null,"isLeader":true or false}
///   status         {...}
///   metrics        {...}
///   snapshot       ok REVISION
///   transfer ID    ok                                once ID is seen to lead; without ID, whoever is most advanced
///   add ID=HOST:PORT           ok REVISION           ID is brought up to date from now on, and does not vote yet
///   promote ID                 ok REVISION           once ID has caught up, and votes
///   remove ID                  ok REVISION           ID is no member any more, and ends
///   reconfigure ID ID...       ok REVISION           these vote, and no others; ID=HOST:PORT if it is new
///   address ID=HOST:PORT       ok REVISION           ID is dialled there from now on
///   recover --accept-data-loss ok REVISION           this node goes on alone: only if a majority is lost for good
///   reload         ok                                the files of the certificates are looked at now
///   help           one line
///   quit           bye                               once the node has ended in order
///
/// What fails answers `refused: WHY` (it certainly has no effect), `unknown: WHY` (a write that may have its
/// effect or not: read to find out; or a transfer or a change of members that may still come about), or `error: WHY` (no command, or a wrong form of one); the next line is
/// taken all the same. Blank lines get no answer.
///
/// K and OLD hold no spaces. V and NEW are the rest of the line behind one space, as it is, and may be empty.
/// In the answer to a `get`, \n, \r, \t and \\ stand for a line feed, a carriage return, a tab and a
/// backslash, and \xNN for a byte of another control character or of what is no UTF-8. JSON has its own
/// escapes; there only a string that is no UTF-8 takes that form.
///
/// `quit`, SIGINT and SIGTERM end the node in order (leadership is handed over): exit code 0; at a terminal so do
/// Ctrl-C and Ctrl-D. Elsewhere the end of stdin does not: the node goes on until a signal comes. A second signal ends the process at once, with 130 or 143.
/// A node that halts by itself ends with 1, and one that was removed from its cluster with 3.
///
/// The files of the certificates are looked at every 10 s, on `reload` and on SIGHUP. What has changed is used from then on,
/// without an interruption; what cannot be used is refused, with a reason, and the former stays in force.
///
/// With --data DIR a node that was ended or killed comes back as what it was. DIR is its own: another node, or a second
/// process, is refused. `diskeyval wal` looks into it.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  diskeyval node --id n1 --listen 127.0.0.1:8051 --peer n2=127.0.0.1:8052 n3=127.0.0.1:8053 --certs certs
  diskeyval node --id n1 --listen 127.0.0.1:8051 --certs certs --data /var/lib/n1
  diskeyval node --id n4 --listen 127.0.0.1:8054 --join n1=127.0.0.1:8051,n2=127.0.0.1:8052 --certs certs
  diskeyval node --config n1.json < /dev/null      as a service
  echo 'set greeting hello' | diskeyval node --id solo --listen [::1]:0 --certs certs

FILE is a JSON object with the options of the library, as \
{\"nodeId\":\"n1\",\"port\":8051,\"electionTimeoutMs\":500,\"persistence\":{\"dir\":\"/var/lib/n1\"}}."
)]
pub(crate) struct NodeArgs {
    /// The name of this node, as its certificate has it
    #[arg(long, value_name = "ID", value_parser = node_id, required_unless_present = "config")]
    pub(crate) id: Option<NodeId>,

    /// Where to listen; port 0 takes any that is free, and an IPv6 address stands in brackets
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "config")]
    pub(crate) listen: Option<Address>,

    /// The other initial members and where they listen; can be given several times
    #[arg(long, value_name = "ID=HOST:PORT", value_parser = peer, num_args = 1..)]
    pub(crate) peer: Vec<Peer>,

    /// Members of a cluster that exists, which this node is to join; can be given several times. It founds none, and waits
    /// until it is announced at a member
    #[arg(long, value_name = "ID=HOST:PORT", value_parser = peer, num_args = 1.., value_delimiter = ',', conflicts_with = "peer")]
    pub(crate) join: Vec<Peer>,

    /// Where others reach this node, if that is not where it listens
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) advertise: Option<Address>,

    /// The directory of the certificates
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    pub(crate) certs: Option<PathBuf>,

    /// The directory in which the node keeps what it has promised; it is made if need be. Without it, everything is in
    /// memory, and gone at the end
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    /// So many bytes of log behind a snapshot, or as many as it has if those are more, make another one
    /// [default: 67108864]
    #[arg(long, value_name = "BYTES")]
    pub(crate) compact_every: Option<u64>,

    /// A JSON file with options; those of the command line go before it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,

    /// The name of the cluster: nodes of differently named clusters refuse each other [default: diskeyval]
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster: Option<String>,

    /// How long a follower hears no leader, at the least, before it asks for an election [default: 300]
    #[arg(long, value_name = "MS")]
    pub(crate) election_timeout_ms: Option<u64>,

    /// How often a leader reassures its followers [default: 50]
    #[arg(long, value_name = "MS")]
    pub(crate) heartbeat_ms: Option<u64>,

    /// How long a read or a write may take [default: 2000]
    #[arg(long, value_name = "MS")]
    pub(crate) proposal_timeout_ms: Option<u64>,

    /// How long a dial may take, and a link be silent [default: 3000]
    #[arg(long, value_name = "MS")]
    pub(crate) rpc_timeout_ms: Option<u64>,

    /// How long a node tries to reach all members before it founds the cluster with a majority [default: 1000]
    #[arg(long, value_name = "MS")]
    pub(crate) founding_grace_ms: Option<u64>,

    /// How much this node should rather lead than others: whoever leads undisturbed hands over to a node of a higher
    /// priority [default: 0]
    #[arg(long, value_name = "N")]
    pub(crate) leader_priority: Option<u8>,
}

/// Have a node go on alone whose cluster has lost its majority for good
///
/// It tells what the directory holds that can be verified, committed or not, and what is lost. With --accept-data-loss
/// the node is made one of a cluster of its own, which goes on from that; it is then started as before. The other nodes
/// belong to another cluster from then on: if they come back with what they have, they are refused. Wiped, they can be
/// taken in (`add`, `promote`).
///
/// A directory with damaged files is gone on from as far as it can be verified. The former files are set aside, and none
/// is removed. A node must not be at work in DIR; one that runs can be told to at its prompt.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  diskeyval recover --data /var/lib/n1                        what would be kept, and what lost
  diskeyval recover --data /var/lib/n1 --accept-data-loss

Exit codes:
  0  done
  1  there is nothing to go on from, or no need to; a node is at work there; or the disk fails
  2  the directory cannot be opened
  4  nothing was changed: --accept-data-loss was not given"
)]
pub(crate) struct RecoverArgs {
    /// The directory of the node, as it was given to `node`
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,

    /// Do it. What the other nodes had acknowledged and this one does not hold is lost
    #[arg(long)]
    pub(crate) accept_data_loss: bool,
}

/// Look into the directory of a node
///
/// It reads, changes nothing, and holds nothing. If a node is at work in DIR, it says so, and what it finds may be
/// a moment old.
#[derive(Debug, Subcommand)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Exit codes:
  0  a node could go on from what was found
  1  it could not: the first thing that is wrong is named, with its file and place
  2  it cannot be read, or what was given is wrong"
)]
pub(crate) enum WalCommand {
    /// Print in words what the files hold, record by record
    Dump(WalArgs),
    /// Say whose the files are, and whether that node could go on from them
    Verify(WalArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct WalArgs {
    /// The directory of the node, as it was given to `--data`
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

fn node_id(given: &str) -> Result<NodeId, ConfigError> {
    NodeId::new(given)
}

impl Command {
    /// What is told on stderr unless something else was asked for.
    pub(crate) fn log_level(&self) -> LogLevel {
        match self {
            // It starts and ends clusters all the time, which is worth no word.
            Command::Bench(_) => LogLevel::Error,
            _ => LogLevel::Warn,
        }
    }
}

impl Args {
    /// Takes the command line. Where help or the version is asked for, it is printed, and the process ends.
    pub(crate) fn read() -> Result<Args, Failure> {
        Args::try_parse().map_err(|error| match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                // Whoever closed stdout does not want to read it.
                let _ = error.print();
                process::exit(0)
            }
            ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
                let _ = write!(io::stderr(), "{}", error.render());
                Failure::input("no command was given: `diskeyval --help` lists them")
            }
            _ => Failure::input(summary(&error.render().to_string())),
        })
    }
}

/// What clap says in several lines, in one: what is wrong and its tips, without the usage.
fn summary(rendered: &str) -> String {
    let said = rendered.strip_prefix("error: ").unwrap_or(rendered);
    let end = ["\n\nUsage:", "\n\nFor more information"].iter().filter_map(|mark| said.find(mark)).min();
    let said = said[..end.unwrap_or(said.len())].replace("\n\n", "; ");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    format!("{said}; `--help` shows what can be given")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_fit_each_other() {
        Args::command().debug_assert();
    }

    #[test]
    fn what_clap_says_becomes_one_line() {
        let said = |args: &[&str]| {
            let error = Args::try_parse_from(args).expect_err("wrong");
            summary(&error.render().to_string())
        };
        let unknown = said(&["diskeyval", "certs", "--dirr", "x", "n1"]);
        assert!(unknown.starts_with("unexpected argument '--dirr' found"), "{unknown}");
        assert!(unknown.contains("'--dir'") && !unknown.contains("Usage"), "{unknown}");
        let missing = said(&["diskeyval", "certs", "n1"]);
        assert!(missing.contains("--dir <DIR>") && !missing.contains('\n'), "{missing}");
        let bad = said(&["diskeyval", "certs", "--dir", "x", "a b"]);
        assert!(bad.contains("\"a b\" is no node id"), "{bad}");
    }
}
