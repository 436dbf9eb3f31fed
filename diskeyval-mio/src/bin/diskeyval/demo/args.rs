//! What `demo` and `failover` can be given.

use std::path::PathBuf;

use clap::Args;
use clap::value_parser;

/// Show a cluster that loses its leader again and again, and yet no write
///
/// Starts nodes in processes of their own, on loopback and over mutual TLS. Clients on all of them write,
/// read, delete and compare-and-set, while the leader is frozen, cut off or silenced in turn, and let back.
/// Nodes that have a directory are killed by SIGKILL as well, one of them or all at once, and started again.
/// With `--reshape` the cluster grows by two and shrinks again meanwhile, the leader among those who go.
/// What the clients were told and what the nodes reported is then judged: whether a write was lost or
/// doubled, or a read was stale. Certificates live in memory alone.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  diskeyval demo
  diskeyval demo --seconds 30 --history history.jsonl
  diskeyval demo --seconds 60 --data data          and look into data/node-1 with `diskeyval wal dump`
  diskeyval demo --nodes 5 --clients 64 --disturb-every 2 --json
  diskeyval demo --seconds 300 --kills --disturb-every 1 --disturb-for 300
  diskeyval demo --seconds 120 --memory --kills           a rolling restart of nodes that forget everything
  diskeyval demo --seconds 120 --reshape --disturb-every 2 --disturb-for 500
  diskeyval demo --seconds 300 --mixed                    both adapters in one cluster

Exit codes:
  0  nothing lost, duplicated or stale, and nothing else wrong either
  1  something is wrong: the report says what
  2  what was given is wrong
An interrupt (SIGINT or SIGTERM) ends the run early, with the report so far; a second one ends it at once."
)]
pub(crate) struct DemoArgs {
    /// How many nodes: fewer could not lose one
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = value_parser!(u8).range(3..=7))]
    pub(super) nodes: u8,

    /// For how long the clients are at work
    #[arg(long, value_name = "S", default_value_t = 10, value_parser = value_parser!(u32).range(1..=3600))]
    pub(super) seconds: u32,

    /// How many clients there are, spread over the nodes
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = value_parser!(u16).range(1..=256))]
    pub(super) clients: u16,

    /// How many seconds pass from one disturbance to the next, if each is over by then; 0 means that there is none
    #[arg(long, value_name = "S", default_value_t = 3, value_parser = value_parser!(u32).range(0..=3600))]
    pub(super) disturb_every: u32,

    /// For how long a leader is out of action. From 2000 on, calls on its node end as failed or unknown
    #[arg(long, value_name = "MS", default_value_t = 1200, value_parser = value_parser!(u32).range(1..=60_000))]
    pub(super) disturb_for: u32,

    /// Nothing happens but kills, each time of any node, by SIGKILL; with `--memory`, only when all are in their seats
    #[arg(long)]
    pub(super) kills: bool,

    /// Two nodes more join, are promoted, and two others are removed, the leader among them, again and again. Nothing else
    /// happens but kills, each time of any member or of the leader
    #[arg(long, conflicts_with_all = ["kills", "memory"])]
    pub(super) reshape: bool,

    /// Every second node is driven by the async adapter. Needs the feature `smol`
    #[arg(long)]
    pub(super) mixed: bool,

    /// The nodes keep all in memory. Without `--kills` none of them is killed
    #[arg(long, conflicts_with = "data")]
    pub(super) memory: bool,

    /// A directory, new or empty, with one for each node in it, which stays at the end, for `diskeyval wal`
    #[arg(long, value_name = "DIR")]
    pub(super) data: Option<PathBuf>,

    /// Where the history is written to, for `sim check`
    #[arg(long, value_name = "FILE")]
    pub(super) history: Option<PathBuf>,

    /// The last line of stdout is one JSON object with the figures
    #[arg(long)]
    pub(super) json: bool,
}

/// Measure for how long nothing can be written after the leader was killed
///
/// For each round it starts three new nodes in processes of their own, on loopback and over mutual TLS; a client on
/// one that does not lead writes without a pause; the leader is killed by SIGKILL; and the longest time between
/// two successful writes around that moment is taken. The history of each round is judged, too. The nodes have
/// the default timing: T, the longest election timeout, is 600 ms. The aim is a median of at most 2 T, and
/// never more than 4 T.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  diskeyval failover
  diskeyval failover --rounds 100 --json

Exit codes:
  0  the aim is met, and nothing was lost, duplicated or stale
  1  it is not, or something was, or something else is wrong
  2  what was given is wrong"
)]
pub(crate) struct FailoverArgs {
    /// How often a leader is killed: a fresh cluster each time
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = value_parser!(u32).range(1..=10_000))]
    pub(super) rounds: u32,

    /// The nodes keep all in memory
    #[arg(long)]
    pub(super) memory: bool,

    /// The last line of stdout is one JSON object with the figures
    #[arg(long)]
    pub(super) json: bool,
}
