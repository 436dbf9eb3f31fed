//! What a node is told at its start. [`Config`] is what a program writes, [`Settings`] is what has been
//! checked: the engine takes nothing else.

mod address;
mod tls;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::ConfigError;
use crate::id::NodeId;
use crate::members::StorageKind;
pub use address::Address;
pub use tls::{Tls, TlsFiles};

/// The most members that a cluster can have.
pub const MAX_MEMBERS: usize = 7;

/// The longest name of a cluster, in bytes.
pub const MAX_CLUSTER_NAME: usize = 63;

/// What a program tells a node at its start. Serde reads it under the names of the npm package
/// (`nodeId`, `electionTimeoutMs`, …) and refuses options that it does not know.
///
/// ```
/// use diskeyval_core::Config;
///
/// let config = Config::new("node-1")?
///     .listen("127.0.0.1", 8050)
///     .peer("node-2", "127.0.0.1", 8051)?
///     .peer("node-3", "127.0.0.1", 8052)?;
/// assert!(config.validate().is_ok());
/// # Ok::<(), diskeyval_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The name of this node. Its certificate must carry the same.
    pub node_id: NodeId,
    /// The address to listen on: a host name, an IPv4 or an IPv6 address. Default: `127.0.0.1`.
    #[serde(default = "default::host")]
    pub host: String,
    /// The port to listen on; 0 takes any that is free. Default: 0.
    #[serde(default)]
    pub port: u16,
    /// Where others reach this node, as `HOST:PORT`, if that is not where it listens. A node tells it to whomever it
    /// meets, and the cluster keeps it. Default: the address to listen on, if others can dial that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertise: Option<Address>,
    /// This node joins a cluster that exists: it founds none, and `peers` are members that it can reach. It is taken in
    /// when somebody has announced it there ([`MemberChange::AddLearner`](crate::MemberChange)). Default: false.
    #[serde(default)]
    pub join: bool,
    /// The other initial members. Every member must be started with the same set of ids; once the
    /// cluster is founded, this is only a list of addresses to dial.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// Certificate, key and CA bundle. An adapter cannot start without.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// The files that hold them, instead: adapters look at these again and again. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_files: Option<TlsFiles>,
    /// The name of the cluster: nodes of differently named clusters refuse each other. Default: `diskeyval`.
    #[serde(default = "default::cluster")]
    pub cluster: String,
    /// A follower that hears no leader for this long, up to twice this (drawn anew each time), asks for
    /// an election. Default: 300 ms.
    #[serde(rename = "electionTimeoutMs", with = "millis", default = "default::election_timeout")]
    pub election_timeout: Duration,
    /// How often a leader reassures its followers. At most a third of the election timeout. Default: 50 ms.
    #[serde(rename = "heartbeatMs", with = "millis", default = "default::heartbeat")]
    pub heartbeat: Duration,
    /// By how much the clocks of two nodes may run apart, in thousandths, for [`Read::Lease`](crate::Read::Lease): with 100,
    /// one may be a tenth faster than another. Only with it are there leases, on the node that leads. **All members must have the
    /// same election timeout then.** Default: none; every such read costs a round.
    #[serde(rename = "maxClockDriftPermille", default)]
    pub max_clock_drift: Option<u32>,
    /// How long a read or a write may take before it ends as an error. Default: 2 s.
    #[serde(rename = "proposalTimeoutMs", with = "millis", default = "default::proposal_timeout")]
    pub proposal_timeout: Duration,
    /// How long a dial may take, and how long a link may be silent before it is given up. Default: 3 s.
    #[serde(rename = "rpcTimeoutMs", with = "millis", default = "default::rpc_timeout")]
    pub rpc_timeout: Duration,
    /// How long a node that can reach no founded member, and not all of the initial ones, tries before it
    /// takes part in founding the cluster without the missing; ten times that where an address is silent
    /// instead of refusing. Default: 1 s.
    #[serde(rename = "foundingGraceMs", with = "millis", default = "default::founding_grace")]
    pub founding_grace: Duration,
    /// How much this node should rather lead than others: 0 to 255. Whoever has led undisturbed for ten election timeouts
    /// hands over to a member of a higher priority, if that has caught up. No more than a preference: anybody may be
    /// elected. Default: 0.
    #[serde(default)]
    pub leader_priority: u8,
    /// Where the node keeps what it has promised. Without it, everything is in memory, and gone at the end.
    /// Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistence: Option<Persistence>,
    /// What may be used at the most.
    #[serde(default)]
    pub limits: Limits,
}

/// Where a node keeps its log and its snapshots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub struct Persistence {
    /// The directory, which belongs to this node alone. It is made if it is not there.
    pub dir: String,
    /// A snapshot is written when so many bytes of log lie behind the last, or as many as that snapshot has if
    /// those are more. 64 KiB at least. Default: 64 MiB.
    #[serde(default = "default::compact_every")]
    pub compact_every: u64,
}

impl Persistence {
    /// In this directory, with all defaults.
    pub fn in_dir(dir: &str) -> Persistence {
        Persistence { dir: dir.to_string(), compact_every: default::compact_every() }
    }
}

/// A member and where it listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Peer {
    /// Its name.
    pub node_id: NodeId,
    /// Its host: a name, an IPv4 or an IPv6 address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// What may be used at the most. Whatever would go beyond is refused, never dropped in silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// The longest key, in bytes; at most 64 KiB. Default: 4 KiB.
    pub max_key: usize,
    /// The longest value, in bytes; at most 16 MiB. Default: 1 MiB.
    pub max_value: usize,
    /// Writes of this node that wait for their answer. Default: 4096.
    pub max_writes: usize,
    /// Bytes of keys and values in those writes. Default: 64 MiB.
    pub max_write_bytes: usize,
    /// Reads of this node that wait for their answer. Default: 65,536.
    pub max_reads: usize,
    /// Bytes of the log that a leader has appended and not yet committed. Default: 64 MiB.
    pub max_uncommitted: usize,
    /// Bytes of the whole log. At this limit writes are refused and reads go on. Default: 1 GiB.
    pub log_bytes: usize,
    /// Bytes of appended entries on their way to one follower. Default: 4 MiB.
    pub append_window: usize,
    /// Bytes handed to the driver for one connection and not yet drained. Default: 16 MiB.
    pub send_buffer: usize,
    /// Connections that are not, or not yet, the link to a member. Default: 64.
    pub max_strangers: usize,
    /// Connections that others have made and that are open, in whatever state. Default: 512.
    pub max_connections: usize,
    /// Connections that one node has made and that are open. Default: 8.
    pub max_per_identity: usize,
    /// Readers of events, and functions that are told of them. Default: 1024.
    pub max_watchers: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_key: 4 << 10,
            max_value: 1 << 20,
            max_writes: 4096,
            max_write_bytes: 64 << 20,
            max_reads: 1 << 16,
            max_uncommitted: 64 << 20,
            log_bytes: 1 << 30,
            append_window: 4 << 20,
            send_buffer: 16 << 20,
            max_strangers: 64,
            max_connections: 512,
            max_per_identity: 8,
            max_watchers: 1024,
        }
    }
}

mod default {
    use super::{Duration, String};

    pub(super) fn host() -> String {
        "127.0.0.1".into()
    }
    pub(super) fn cluster() -> String {
        "diskeyval".into()
    }
    pub(super) const fn election_timeout() -> Duration {
        Duration::from_millis(300)
    }
    pub(super) const fn heartbeat() -> Duration {
        Duration::from_millis(50)
    }
    pub(super) const fn proposal_timeout() -> Duration {
        Duration::from_secs(2)
    }
    pub(super) const fn rpc_timeout() -> Duration {
        Duration::from_secs(3)
    }
    pub(super) const fn founding_grace() -> Duration {
        Duration::from_secs(1)
    }
    pub(super) const fn look_every() -> Duration {
        Duration::from_secs(10)
    }
    pub(super) const fn compact_every() -> u64 {
        64 << 20
    }
}

/// Durations as whole milliseconds, as the npm package writes them.
mod millis {
    use super::{Deserialize, Deserializer, Duration, Serializer};

    pub(super) fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Ok(Duration::from_millis(u64::deserialize(deserializer)?))
    }
}

impl Config {
    /// A configuration with all defaults and no peers.
    ///
    /// # Errors
    /// [`ConfigError::BadNodeId`] if the name is none.
    pub fn new(node_id: &str) -> Result<Config, ConfigError> {
        Ok(Config {
            node_id: NodeId::new(node_id)?,
            host: default::host(),
            port: 0,
            advertise: None,
            join: false,
            peers: Vec::new(),
            tls: None,
            tls_files: None,
            cluster: default::cluster(),
            election_timeout: default::election_timeout(),
            heartbeat: default::heartbeat(),
            max_clock_drift: None,
            proposal_timeout: default::proposal_timeout(),
            rpc_timeout: default::rpc_timeout(),
            founding_grace: default::founding_grace(),
            leader_priority: 0,
            persistence: None,
            limits: Limits::default(),
        })
    }

    /// Keeps what the node has promised in this directory ([`Persistence`]).
    #[must_use]
    pub fn persist(mut self, dir: &str) -> Config {
        self.persistence = Some(Persistence::in_dir(dir));
        self
    }

    /// Joins a cluster that exists, instead of founding one.
    #[must_use]
    pub fn join(mut self) -> Config {
        self.join = true;
        self
    }

    /// Sets where to listen.
    #[must_use]
    pub fn listen(mut self, host: &str, port: u16) -> Config {
        self.host = host.to_string();
        self.port = port;
        self
    }

    /// Adds one of the other initial members.
    ///
    /// # Errors
    /// [`ConfigError::BadNodeId`] if the name is none.
    pub fn peer(mut self, node_id: &str, host: &str, port: u16) -> Result<Config, ConfigError> {
        self.peers.push(Peer { node_id: NodeId::new(node_id)?, host: host.to_string(), port });
        Ok(self)
    }

    /// Sets certificate, key and CA, each as PEM text.
    #[must_use]
    pub fn tls(mut self, cert: &str, key: &str, ca: &str) -> Config {
        self.tls = Some(Tls { cert: cert.to_string(), key: key.to_string(), ca: ca.to_string() });
        self
    }

    /// Has certificate, key and CA be read from these files at the start, and again when they change ([`TlsFiles`]).
    #[must_use]
    pub fn tls_files(mut self, cert: &str, key: &str, ca: &str) -> Config {
        self.tls_files = Some(TlsFiles::at(cert, key, ca));
        self
    }

    /// Checks everything that can be checked without asking the network.
    ///
    /// # Errors
    /// The first thing that is wrong; each says which option it is about and what it has to be.
    pub fn validate(&self) -> Result<Settings, ConfigError> {
        let own_address = Address::new(&self.host, self.port)?;
        let mut peers = Vec::with_capacity(self.peers.len());
        for peer in &self.peers {
            if peer.node_id == self.node_id {
                return Err(ConfigError::PeerIsSelf { id: self.node_id.clone() });
            }
            if peers.iter().any(|(id, _)| *id == peer.node_id) {
                return Err(ConfigError::DuplicatePeer { id: peer.node_id.clone() });
            }
            if peer.port == 0 {
                return Err(ConfigError::BadAddress {
                    given: alloc::format!("{}:0", peer.host),
                    why: "a peer cannot be dialled at port 0",
                });
            }
            let address = Address::new(&peer.host, peer.port)?;
            let taken = address == own_address || peers.iter().any(|(_, other)| *other == address);
            if taken {
                let given = alloc::format!("{address}");
                let why = "two members cannot listen at the same address";
                return Err(ConfigError::BadAddress { given, why });
            }
            peers.push((peer.node_id.clone(), address));
        }
        if peers.len() + 1 > MAX_MEMBERS {
            return Err(ConfigError::TooManyMembers { given: peers.len() + 1, limit: MAX_MEMBERS });
        }
        peers.sort();
        self.check_times()?;
        if self.tls.is_some() && self.tls_files.is_some() {
            let why = "it is given both as text (`tls`) and as a file (`tlsFiles`): give one of them".into();
            return Err(ConfigError::BadTls { part: "cert", why });
        }
        self.limits.check()?;
        let compact_every = self.persistence.as_ref().map_or(default::compact_every(), |p| p.compact_every);
        if !(MIN_COMPACT_EVERY..=MAX_COMPACT_EVERY).contains(&compact_every) {
            return Err(ConfigError::BadLimit {
                limit: "compactEvery",
                given: usize::try_from(compact_every).unwrap_or(usize::MAX),
                must: "64 KiB to 1 TiB",
            });
        }
        if self.cluster.is_empty() || self.cluster.len() > MAX_CLUSTER_NAME {
            return Err(ConfigError::BadClusterName { limit: MAX_CLUSTER_NAME });
        }
        let announced =
            self.advertise.clone().or_else(|| own_address.can_be_dialled().then(|| own_address.clone()));
        if announced.as_ref().is_some_and(|address| address.port() == 0) {
            let given = alloc::format!("{}", self.advertise.as_ref().unwrap_or(&own_address));
            return Err(ConfigError::BadAddress { given, why: "nobody can dial port 0" });
        }
        if self.join && peers.is_empty() {
            return Err(ConfigError::NobodyToJoin);
        }
        Ok(Settings {
            node_id: self.node_id.clone(),
            own_address,
            announced,
            joins: self.join,
            peers,
            cluster: self.cluster.clone(),
            election_timeout: self.election_timeout,
            heartbeat: self.heartbeat,
            lease: self.max_clock_drift.map(|drift| self.election_timeout * (1000 - drift) / 1000),
            rpc_timeout: self.rpc_timeout,
            founding_grace: self.founding_grace,
            leader_priority: self.leader_priority,
            storage: if self.persistence.is_some() { StorageKind::Disk } else { StorageKind::Memory },
            compact_every,
            limits: self.limits.clone(),
        })
    }

    fn check_times(&self) -> Result<(), ConfigError> {
        const HOUR: Duration = Duration::from_secs(3600);
        let bad = |option, given, must| Err(ConfigError::BadTiming { option, given, must });
        for (option, given) in [
            ("electionTimeoutMs", self.election_timeout),
            ("heartbeatMs", self.heartbeat),
            ("proposalTimeoutMs", self.proposal_timeout),
            ("rpcTimeoutMs", self.rpc_timeout),
            ("foundingGraceMs", self.founding_grace),
            ("lookEveryMs", self.tls_files.as_ref().map_or(default::look_every(), |files| files.look_every)),
        ] {
            if given < Duration::from_millis(1) || given > HOUR {
                return bad(option, given, "1 ms to 1 hour");
            }
        }
        if self.heartbeat * 3 > self.election_timeout {
            return bad("heartbeatMs", self.heartbeat, "at most a third of electionTimeoutMs");
        }
        if let Some(given) = self.max_clock_drift.filter(|drift| !(1..=500).contains(drift)) {
            return Err(ConfigError::BadDrift { given });
        }
        if self.rpc_timeout < self.election_timeout {
            return bad("rpcTimeoutMs", self.rpc_timeout, "at least electionTimeoutMs");
        }
        Ok(())
    }
}

impl Limits {
    fn check(&self) -> Result<(), ConfigError> {
        const GIB: usize = 1 << 30;
        let ranges = [
            ("maxKey", self.max_key, 1, MAX_KEY, "1 to 65,536 bytes"),
            ("maxValue", self.max_value, 1, MAX_VALUE, "1 byte to 16 MiB"),
            ("maxWrites", self.max_writes, 1, 1 << 20, "1 to 1,048,576"),
            ("maxReads", self.max_reads, 1, 1 << 24, "1 to 16,777,216"),
            ("maxStrangers", self.max_strangers, 1, 1 << 16, "1 to 65,536"),
            ("maxPerIdentity", self.max_per_identity, 4, 1 << 16, "4 to 65,536"),
            ("maxWatchers", self.max_watchers, 1, 1 << 16, "1 to 65,536"),
            ("logBytes", self.log_bytes, 1 << 16, usize::MAX, "at least 64 KiB"),
        ];
        for (limit, given, from, to, must) in ranges {
            if given < from || given > to {
                return Err(ConfigError::BadLimit { limit, given, must });
            }
        }
        // One write of the largest size (a compare-and-set on a value) must fit everywhere, or it would be
        // refused for ever.
        let largest = self.max_key + 2 * self.max_value + ENTRY_ROOM;
        for (limit, given) in [
            ("maxWriteBytes", self.max_write_bytes),
            ("maxUncommitted", self.max_uncommitted),
            ("appendWindow", self.append_window),
        ] {
            if given < largest || given > GIB {
                return Err(ConfigError::BadLimit {
                    limit,
                    given,
                    must: "at least maxKey + 2 maxValue + 1 KiB, at most 1 GiB",
                });
            }
        }
        // Whoever is turned away is still on its way out for a while, and must not keep links from coming.
        if self.max_connections < 2 * self.max_strangers + 64 || self.max_connections > 1 << 18 {
            return Err(ConfigError::BadLimit {
                limit: "maxConnections",
                given: self.max_connections,
                must: "at least twice maxStrangers and 64 more, at most 262,144",
            });
        }
        // A stream of entries may be a batch over the window, and a probe of a batch may follow it: a peer that is
        // far behind must not be cut off for that.
        if self.send_buffer < 4 * self.append_window || self.send_buffer > 4 * GIB {
            let (limit, given) = ("sendBuffer", self.send_buffer);
            return Err(ConfigError::BadLimit {
                limit,
                given,
                must: "at least four times appendWindow, at most 4 GiB",
            });
        }
        Ok(())
    }
}

/// What may be chosen for `compactEvery`.
const MIN_COMPACT_EVERY: u64 = 64 << 10;
const MAX_COMPACT_EVERY: u64 = 1 << 40;

/// The longest key and value that any member can be configured to take.
const MAX_KEY: usize = 1 << 16;
const MAX_VALUE: usize = 16 << 20;

/// What an entry may need beside key and values.
const ENTRY_ROOM: usize = 1024;

/// The largest frame that a member may send. It does not depend on the limits of the receiver: members may
/// have different ones, and what a leader has put into the log must reach everybody.
pub(crate) const MAX_FRAME: usize = MAX_KEY + 2 * MAX_VALUE + MAX_BATCH + 4096;

/// How many bytes of entries are cut into one frame, unless a single entry has more.
pub(crate) const MAX_BATCH: usize = 256 << 10;

/// A configuration that has been checked ([`Config::validate`]).
#[derive(Clone, Debug)]
pub struct Settings {
    pub(crate) node_id: NodeId,
    pub(crate) own_address: Address,
    /// Where others reach this node, if it knows.
    pub(crate) announced: Option<Address>,
    /// It founds no cluster.
    pub(crate) joins: bool,
    /// Sorted by name, without this node.
    pub(crate) peers: Vec<(NodeId, Address)>,
    pub(crate) cluster: String,
    pub(crate) election_timeout: Duration,
    pub(crate) heartbeat: Duration,
    /// How long a leader may rely on a round that a majority has confirmed.
    pub(crate) lease: Option<Duration>,
    pub(crate) rpc_timeout: Duration,
    pub(crate) founding_grace: Duration,
    pub(crate) leader_priority: u8,
    pub(crate) storage: StorageKind,
    /// In bytes of log.
    pub(crate) compact_every: u64,
    pub(crate) limits: Limits,
}

impl Settings {
    /// The name of this node.
    pub fn node_id(&self) -> &NodeId {
        &self.node_id
    }

    /// Where this node is to listen.
    pub fn own_address(&self) -> &Address {
        &self.own_address
    }

    /// How long a dial may take, and how long a link may be silent.
    pub fn rpc_timeout(&self) -> Duration {
        self.rpc_timeout
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn three() -> Config {
        let config =
            Config::new("n1").and_then(|c| c.peer("n2", "localhost", 2)).and_then(|c| c.peer("n3", "::1", 3));
        config.expect("all names are good")
    }

    #[test]
    fn defaults_are_valid() {
        assert!(three().validate().is_ok());
    }

    #[test]
    fn a_peer_list_that_names_this_node_or_one_id_twice_is_refused() {
        let own = three().peer("n1", "localhost", 9).expect("a good name");
        assert!(matches!(own.validate(), Err(ConfigError::PeerIsSelf { .. })));
        let twice = three().peer("n2", "localhost", 9).expect("a good name");
        assert!(matches!(twice.validate(), Err(ConfigError::DuplicatePeer { .. })));
    }

    #[test]
    fn times_and_limits_that_do_not_fit_each_other_are_refused() {
        let mut slow_heartbeat = three();
        slow_heartbeat.heartbeat = Duration::from_millis(101);
        assert!(matches!(
            slow_heartbeat.validate(),
            Err(ConfigError::BadTiming { option: "heartbeatMs", .. })
        ));
        let mut never = three();
        never.election_timeout = Duration::ZERO;
        assert!(matches!(never.validate(), Err(ConfigError::BadTiming { option: "electionTimeoutMs", .. })));
        let mut narrow = three();
        narrow.limits.append_window = narrow.limits.max_value;
        assert!(matches!(narrow.validate(), Err(ConfigError::BadLimit { limit: "appendWindow", .. })));
        let mut shallow = three();
        shallow.limits.send_buffer = 4 * shallow.limits.append_window - 1;
        assert!(matches!(shallow.validate(), Err(ConfigError::BadLimit { limit: "sendBuffer", .. })));
    }

    #[test]
    fn more_than_seven_members_are_refused() {
        let mut config = Config::new("n0").expect("a good name");
        for n in 1..=7 {
            config = config.peer(&format!("n{n}"), "localhost", n).expect("a good name");
        }
        assert!(matches!(config.validate(), Err(ConfigError::TooManyMembers { given: 8, .. })));
    }
}
