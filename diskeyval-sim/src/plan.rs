//! A run before it runs: the setting, and everything that will be done to the nodes.
//!
//! A plan and nothing else decides what happens: the same plan gives the same run. A seed is a plan that was
//! drawn ([`draw`](crate::draw)); a schedule file is a plan in words ([`text`]).

#[cfg(feature = "arbitrary")]
mod bytes;
pub mod text;

use core::time::Duration;

use crate::faults::Fault;

/// Everything that decides a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// What holds from beginning to end.
    pub setting: Setting,
    /// What is done, in the order of time.
    pub deeds: Vec<Deed>,
}

impl Plan {
    /// Whether nodes may forget what they have promised without a chance to know: then no rule can hold.
    pub fn forgets(&self) -> bool {
        self.setting.ruin && self.has(Fault::PutBack)
    }

    /// Whether a node may go on alone: then what clients are told comes from two clusters.
    pub fn parts(&self) -> bool {
        self.has(Fault::Recover)
    }

    /// Whether no clock is disturbed.
    pub(crate) fn has_even_clocks(&self) -> bool {
        ![Fault::ClockRate, Fault::ClockStep, Fault::ClockStop].into_iter().any(|fault| self.has(fault))
    }

    fn has(&self, fault: Fault) -> bool {
        self.deeds.iter().any(|deed| matches!(&deed.what, What::Disturb(what) if what.fault == fault))
    }
}

/// What holds from beginning to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// What small chances are drawn from: how long each delay is, where a stream is torn.
    pub noise: u64,
    /// How many nodes there are, 1 to 7.
    pub nodes: usize,
    /// How long everything is hostile, in simulated time.
    pub hostile: Duration,
    /// The nodes that stay up and connected afterwards; a majority. The others are treated as `rest` says.
    pub core: Vec<usize>,
    /// What becomes of the others.
    pub rest: Rest,
    /// Whether the leader is watched for fifty election timeouts more.
    pub steady: bool,
    /// The election timeout that nodes are configured with.
    pub election_timeout: Duration,
    /// Their heartbeat.
    pub heartbeat: Duration,
    /// The shortest and longest time that bytes take from node to node.
    pub delay: (Duration, Duration),
    /// Of a thousand pieces that are sent, so many are torn.
    pub torn: u64,
    /// The shortest and longest time that a disk takes.
    pub disk: (Duration, Duration),
    /// How many bytes may be on their way on one connection before its sender has to wait.
    pub buffer: usize,
    /// How many bytes of log a node may hold; with few, writes are refused from some moment on.
    pub log_bytes: usize,
    /// Leaders have leases, and clocks run as evenly as those need, unless they are disturbed.
    pub lease: bool,
    /// Nodes keep all in memory: whoever dies has forgotten everything, and only those die who can be spared.
    pub memory: bool,
    /// The members change.
    pub reshape: Option<Reshape>,
    /// After how many bytes of log a node writes a snapshot.
    pub compact_every: u64,
    /// Nodes that start later than the others, and when.
    pub late: Vec<(usize, Duration)>,
    /// Disks of a majority may be lost, too: nothing is expected of the friendly phase then, but that no second
    /// cluster comes to be.
    pub doomed: bool,
    /// The disks of all nodes may be damaged, and directories be put back: nothing is expected of the friendly phase
    /// then, and once a directory is put back nothing but that nothing panics.
    pub ruin: bool,
}

impl Setting {
    /// How many nodes, the first, are the initial members.
    pub fn founders(&self) -> usize {
        self.nodes - self.reshape.map_or(0, |reshape| reshape.spare + usize::from(reshape.twin))
    }

    /// Under which number the name of a node is known.
    pub fn namesake(&self, node: usize) -> usize {
        let is_twin = self.reshape.is_some_and(|reshape| reshape.twin) && node + 1 == self.nodes;
        if is_twin { 0 } else { node }
    }
}

/// How the members change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reshape {
    /// So many nodes, the last, are no initial members: they join.
    pub spare: usize,
    /// There are never fewer voters than this. With three, nodes may lose their disks, too.
    pub least: usize,
    /// The last node is no node of its own, but another process under the name of the first.
    pub twin: bool,
}

/// What becomes of the nodes outside the core when the run turns friendly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// They work as well.
    Fine,
    /// They are dead.
    Dead,
    /// They live, and reach nobody.
    CutOff,
    /// They hear nobody, and are heard.
    Deaf,
    /// They hear, and are not heard.
    Mute,
    /// They come and go, and their clocks are wrong.
    Flapping,
}

impl Rest {
    /// All of them.
    pub const ALL: &'static [Rest] =
        &[Rest::Fine, Rest::Dead, Rest::CutOff, Rest::Deaf, Rest::Mute, Rest::Flapping];
}

/// Something that is done, at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// When, from the beginning.
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A client asks a node.
    Ask(Ask),
    /// Something is disturbed, for a while.
    Disturb(Disturbance),
}

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Which client, for people who read.
    pub client: u64,
    /// Which node.
    pub node: usize,
    /// Which key, by number.
    pub key: u64,
    /// What.
    pub request: Request,
    /// How long it may take.
    pub budget: Duration,
}

/// The requests of the standard workload. Values are unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A read that reflects everything acknowledged before.
    Get,
    /// The same by a lease: without a round, where the leader may rely on clocks.
    GetLease,
    /// A read of what the node has.
    GetLocal,
    /// Give the key a new value.
    Set,
    /// Give the key a new value of so many bytes.
    SetLarge(usize),
    /// Remove the key.
    Delete,
    /// Give the key a new value if it is absent.
    Create,
    /// Give the key a new value if it still has the one that this client has seen last.
    Swap,
    /// The same by the revision.
    SwapRevision,
}

/// Something is disturbed, for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disturbance {
    /// What kind.
    pub fault: Fault,
    /// The node that it is about first, or the groups.
    pub nodes: Targets,
    /// How long.
    pub lasting: Duration,
    /// How strong; what that means depends on the kind.
    pub strength: u64,
}

/// Which nodes a disturbance is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Targets {
    /// The first.
    pub one: Target,
    /// Another, for those about two.
    pub other: Target,
    /// A set of nodes by their bits, for those about groups.
    pub group: u64,
}

/// A node, or a part that a node plays at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// This node.
    Node(usize),
    /// Whoever leads then.
    Leader,
    /// Whoever stands for election then, or else leads.
    Candidate,
}
