//! Who is connected to whom: dialling, hello, one link for each pair, liveness, credit, limits.
//!
//! It knows nothing of consensus. Whatever it hands on came over a link that is up, from the member whose
//! certificate stands at its other end; nothing from a link that was replaced is handed on afterwards.

mod damaged;
mod dials;
mod frame;
mod guests;
mod link;
mod meet;
mod renewal;
#[cfg(test)]
mod tests;
mod timers;
pub(crate) mod wire;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use crate::config::{Address, Limits, Settings};
use crate::error::{CloseReason, DialError};
use crate::id::{ClusterId, ConnId, DialId, EntryId, Incarnation, Index, NodeId};
use crate::identity::Identity;
use crate::io::{Effect, Event, Origin};
use crate::members::Membership;
use crate::mutants::{Mutant, is};
use crate::prng::Prng;
use crate::raft::{Outgoing, Received};
use crate::status::Metrics;
use crate::time::Instant;

use dials::Dials;
#[cfg(any(test, feature = "inspect"))]
pub(crate) use frame::Cutter;
#[cfg(any(test, feature = "inspect"))]
pub(crate) use frame::LENGTH as FRAME_LENGTH;
use link::Link;
#[cfg(any(test, feature = "inspect"))]
pub(crate) use wire::Frame;
use wire::VERSIONS;
pub(crate) use wire::{Hello, Service, Turned};

/// The first pause between two dials to the same peer; it doubles up to [`MAX_BACK_OFF`].
const MIN_BACK_OFF: Duration = Duration::from_millis(25);
const MAX_BACK_OFF: Duration = Duration::from_millis(500);

/// What a mesh holds of connections that limits bound.
#[cfg(feature = "inspect")]
pub(crate) struct Burden {
    pub(crate) unsent: usize,
    pub(crate) unread: usize,
    pub(crate) strangers: usize,
    pub(crate) by_one: usize,
    pub(crate) stuck: usize,
}

#[derive(Clone, Debug)]
pub(crate) struct Mesh {
    hello: Hello,
    /// The members as they stand in the log, applied or not.
    known: Option<Membership>,
    /// The last membership that was applied, and its entry.
    members: Option<(Index, Membership)>,
    peers: BTreeMap<NodeId, Peer>,
    /// The initial members, and where they were said to be.
    listed: BTreeMap<NodeId, Address>,
    links: BTreeMap<ConnId, Link>,
    delivered: VecDeque<Delivery>,
    effects: VecDeque<Effect>,
    next_dial: u64,
    /// Why nothing is dialled and nobody is met.
    mute: Option<CloseReason>,
    now: Instant,
    prng: Prng,
    rpc_timeout: Duration,
    election_timeout: Duration,
    limits: Limits,
    pub(crate) metrics: Metrics,
}

/// A member other than this node, or a guest.
#[derive(Clone, Debug)]
struct Peer {
    dials: Dials,
    /// No member, as far as this node knows: it may have been left behind.
    is_guest: bool,
    dial: Dial,
    back_off: Duration,
    link: Option<ConnId>,
    heard: Heard,
    trouble: Option<String>,
    /// Why its last link ended that did not live for long: the same again is not told again.
    told: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dial {
    /// To be made at this time, if no link is up by then.
    At(Instant),
    Asked(DialId),
    Open(ConnId),
}

/// What was last heard of a member, as far as founding goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// No answer at all: its machine is silent, or the answer is of no use.
    Silence,
    /// Its machine says that nobody listens.
    Refusal,
    /// It belongs to no cluster yet.
    Unfounded,
    /// It belongs to this cluster.
    Founded(ClusterId),
    /// It was started with other initial members.
    Disagrees,
    /// It belongs to no cluster yet, and keeps its log in another kind of storage.
    OtherStorage,
}

/// What the mesh hands on.
#[derive(Clone, Debug)]
pub(crate) enum Delivery {
    Up(NodeId, Incarnation),
    /// The same, and a file of it is damaged: all that may be said to it is that it may begin anew.
    UpDamaged(NodeId),
    Down(NodeId),
    /// A member says that another life of this node is in its seat.
    Superseded,
    /// A member says that this node is none any more.
    Removed {
        /// The entry by which it is none.
        by: Index,
    },
    Raft(NodeId, Received),
    Service(NodeId, Service, Bytes),
}

impl Mesh {
    pub(crate) fn new(settings: &Settings, incarnation: Incarnation, boot: u128, prng: Prng) -> Mesh {
        let hello = Hello {
            versions: VERSIONS,
            cluster_name: settings.cluster.clone(),
            cluster: None,
            node: settings.node_id.clone(),
            incarnation,
            boot,
            storage: settings.storage,
            initial_members: (!settings.joins).then(|| hash_of_ids(settings)),
            seated: None,
            configuration: EntryId::default(),
            named: None,
            address: settings.announced.clone(),
            leader_priority: settings.leader_priority,
            damaged: false,
            renewals: 0,
        };
        let peer = |(id, address): &(NodeId, Address)| {
            (id.clone(), Peer::new(Dials::to(Some(address), None), Instant::ZERO))
        };
        Mesh {
            hello,
            known: None,
            members: None,
            peers: settings.peers.iter().map(peer).collect(),
            listed: settings.peers.iter().cloned().collect(),
            links: BTreeMap::new(),
            delivered: VecDeque::new(),
            effects: VecDeque::new(),
            next_dial: 0,
            mute: None,
            now: Instant::ZERO,
            prng,
            rpc_timeout: settings.rpc_timeout,
            election_timeout: settings.election_timeout,
            limits: settings.limits.clone(),
            metrics: Metrics::default(),
        }
    }

    pub(crate) fn wake(&mut self, now: Instant) {
        self.now = now;
    }

    /// No word to anybody before [`Mesh::speak`], but this one: a hello would tell what may still be forgotten.
    pub(crate) fn be_mute(&mut self, why: CloseReason) {
        self.mute = Some(why).filter(|_| !is(Mutant::SpeaksBeforeIncarnation));
    }

    /// The node is ready to be met, and this is its incarnation.
    pub(crate) fn speak(&mut self, incarnation: Incarnation) {
        self.hello.incarnation = incarnation;
        self.mute = None;
    }

    /// The node belongs to this cluster from now on, and says so in every hello. Whoever was met before, and belongs to
    /// another, is of no use to it.
    pub(crate) fn set_cluster(&mut self, cluster: ClusterId) {
        if self.hello.cluster == Some(cluster) {
            return;
        }
        self.hello.cluster = Some(cluster);
        let other =
            |link: &Link| link.partner().and_then(|partner| partner.cluster).filter(|its| *its != cluster);
        let others: Vec<(ConnId, ClusterId)> =
            self.links.iter().filter_map(|(conn, link)| Some((*conn, other(link)?))).collect();
        for (conn, theirs) in others {
            self.shut(conn, CloseReason::OtherCluster { theirs, ours: cluster }, true);
        }
    }

    /// These are the members now, by an entry that was applied.
    pub(crate) fn set_members(&mut self, at: Index, members: Membership) {
        if members.names(&self.hello.node, self.hello.incarnation) {
            self.hello.seated = Some(at);
        }
        self.members = Some((at, members));
    }

    // What the driver reports.

    pub(crate) fn opened(&mut self, conn: ConnId, who: Identity, origin: Origin) {
        if let Some(why) = self.mute.clone() {
            let mut out = bytes::BytesMut::new();
            wire::write_goodbye(&mut out, &why.to_string());
            self.effects.push_back(Effect::Send { conn, bytes: out.freeze() });
            self.effects.push_back(Effect::Close { conn, why });
            return;
        }
        let id = match self.check_identity(&who, origin) {
            Ok(id) => id,
            Err(why) => {
                self.metrics.links_refused += 1;
                if let Identity::Node(id) = &who {
                    self.set_trouble(id, &why);
                }
                return self.refuse(conn, who, why);
            }
        };
        let dialled = matches!(origin, Origin::Dialled(_));
        if dialled {
            let Some(peer) = self.peers.get_mut(&id) else { return };
            if !peer.wants_link(&self.links) {
                // The peer's own dial was faster.
                peer.dial = Dial::At(self.now);
                self.effects.push_back(Effect::Close { conn, why: CloseReason::Replaced });
                return;
            }
            peer.dial = Dial::Open(conn);
        } else if let Some(why) = self.is_crowded(&id) {
            self.metrics.links_refused += 1;
            self.metrics.links_crowded += 1;
            self.effects.push_back(Effect::Close { conn, why });
            return;
        }
        let mut link = Link::new(id, dialled, self.now);
        if dialled {
            wire::write_hello(&mut link.out, self.hello.clone());
        }
        self.links.insert(conn, link);
    }

    /// Whether there is no room for one more connection of this node that it has made itself, and why.
    fn is_crowded(&self, who: &NodeId) -> Option<CloseReason> {
        let strangers = self.links.values().filter(|link| link.partner().is_none()).count();
        if strangers >= self.limits.max_strangers && !is(Mutant::StrangersUnbounded) {
            return Some(CloseReason::Crowded { limit: self.limits.max_strangers });
        }
        let limit = self.limits.max_per_identity;
        let is_crowd = self.made_by(who) >= limit && !is(Mutant::OneIsACrowd);
        is_crowd.then_some(CloseReason::CrowdedByOne { limit })
    }

    /// How many connections there are that this node has made.
    fn made_by(&self, who: &NodeId) -> usize {
        self.links.values().filter(|link| link.who == *who && !link.dialled_by_us).count()
    }

    pub(crate) fn dial_failed(&mut self, dial: DialId, why: DialError) {
        let found = self.peers.iter_mut().find(|(_, peer)| peer.dial == Dial::Asked(dial));
        let Some((id, peer)) = found else { return };
        self.metrics.dials_failed += 1;
        peer.dials.failed();
        peer.dial = Dial::At(self.now + self.prng.once_to_twice(peer.back_off));
        let most = if is(Mutant::NeverBacksOff) { MIN_BACK_OFF } else { MAX_BACK_OFF };
        peer.back_off = (peer.back_off * 2).min(most);
        let text = why.to_string();
        let known = peer.trouble.as_ref() == Some(&text);
        if peer.link.is_none() {
            peer.trouble = Some(text);
            peer.heard = match (peer.heard, &why) {
                // An answer that was given stays given: the node behind it may just be starting anew.
                (
                    heard @ (Heard::Unfounded | Heard::Founded(_) | Heard::Disagrees | Heard::OtherStorage),
                    _,
                ) if !is(Mutant::ForgetsWhoIsFounded) => heard,
                (_, DialError::Refused) => Heard::Refusal,
                (_, _) => Heard::Silence,
            };
        }
        if !known {
            let peer = id.clone();
            self.event(Event::Unreachable { peer, why });
        }
    }

    pub(crate) fn received(&mut self, conn: ConnId, bytes: Bytes) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.push(bytes, self.now);
        // A frame may close the link, or have it replaced: look it up anew for each.
        while let Some(link) = self.links.get_mut(&conn) {
            let result = match link.next_frame(self.now) {
                Ok(None) => return,
                Ok(Some(frame)) => self.hear(conn, frame),
                Err(why) => Err(why),
            };
            if let Err(why) = result {
                self.metrics.links_refused += 1;
                self.shut(conn, why, true);
            }
        }
    }

    pub(crate) fn drained(&mut self, conn: ConnId, bytes: usize) {
        if let Some(link) = self.links.get_mut(&conn) {
            link.drained(bytes, self.now);
        }
    }

    pub(crate) fn closed(&mut self, conn: ConnId, why: CloseReason) {
        self.forget(conn, why);
    }

    // Closing.

    /// Closes a connection, with a last word if that makes sense.
    fn shut(&mut self, conn: ConnId, why: CloseReason, say_goodbye: bool) {
        if let Some(link) = self.links.get_mut(&conn) {
            if let (true, CloseReason::Removed, Some((by, _))) = (say_goodbye, &why, &self.members) {
                wire::write_removed(&mut link.out, *by);
            }
            if say_goodbye {
                wire::write_goodbye(&mut link.out, &why.to_string());
            }
            self.send_queued(conn);
            self.effects.push_back(Effect::Close { conn, why: why.clone() });
        }
        self.forget(conn, why);
    }

    /// Sends what is queued on a connection before anything on another.
    fn send_queued(&mut self, conn: ConnId) {
        let Some(link) = self.links.get_mut(&conn).filter(|link| !link.out.is_empty()) else { return };
        link.hand_over(self.now);
        self.effects.push_back(Effect::Send { conn, bytes: link.out.split().freeze() });
    }

    /// Turns a connection away that never became a link.
    fn refuse(&mut self, conn: ConnId, who: Identity, why: CloseReason) {
        let mut out = bytes::BytesMut::new();
        wire::write_goodbye(&mut out, &why.to_string());
        self.effects.push_back(Effect::Send { conn, bytes: out.freeze() });
        self.effects.push_back(Effect::Close { conn, why: why.clone() });
        self.event(Event::LinkDown { peer: who, why });
    }

    fn forget(&mut self, conn: ConnId, why: CloseReason) {
        let Some(link) = self.links.remove(&conn) else { return };
        let is_same = |other: &Link| other.who == link.who && !is(Mutant::GuestGoesWithNamesake);
        let is_met_elsewhere = self.links.values().any(is_same);
        let Some(peer) = self.peers.get_mut(&link.who) else { return };
        let was_up = peer.link == Some(conn);
        if was_up && self.now.since(link.raised) >= self.rpc_timeout {
            // It was a good link: what was before it is forgotten.
            peer.back_off = MIN_BACK_OFF;
            peer.told = None;
        }
        if peer.dial == Dial::Open(conn) || was_up {
            let pause = self.prng.once_to_twice(peer.back_off);
            peer.back_off = (peer.back_off * 2).min(MAX_BACK_OFF);
            if !matches!(peer.dial, Dial::Asked(_)) {
                peer.dial = Dial::At(self.now + pause);
            }
        }
        if was_up {
            peer.link = None;
            self.metrics.links_down += 1;
            self.delivered.push_back(Delivery::Down(link.who.clone()));
        }
        if why == CloseReason::Replaced {
            return;
        }
        let text = why.to_string();
        if peer.is_guest && peer.link.is_none() && !is_met_elsewhere {
            self.peers.remove(&link.who);
            return self.event(Event::LinkDown { peer: Identity::Node(link.who), why });
        }
        if peer.link.is_none() {
            peer.trouble = Some(text.clone());
        }
        if peer.told.as_ref() != Some(&text) {
            peer.told = Some(text);
            self.event(Event::LinkDown { peer: Identity::Node(link.who), why });
        }
    }

    /// Cuts the link to a member because of what it said.
    pub(crate) fn cut(&mut self, peer: &NodeId, why: CloseReason) {
        if let Some(conn) = self.peers.get(peer).and_then(|peer| peer.link) {
            self.metrics.links_refused += 1;
            self.shut(conn, why, true);
        }
    }

    /// Says goodbye to everybody, and dials no more.
    pub(crate) fn stop(&mut self) {
        let conns: Vec<ConnId> = self.links.keys().copied().collect();
        for conn in conns {
            self.shut(conn, CloseReason::Stopping, true);
        }
        self.peers.clear();
    }

    // Sending.

    /// Queues a message for a member; without a link it is lost, which consensus is made for.
    pub(crate) fn send_raft(&mut self, to: &NodeId, message: Outgoing) {
        if let Some(link) = self.link_for(to, &message) {
            wire::write_raft(&mut link.out, message);
        }
    }

    /// Queues a question or an answer for a member. Tells whether there is a link.
    pub(crate) fn send_service(&mut self, to: &NodeId, service: Service, payload: &[u8]) -> bool {
        match self.link_to(to).filter(|link| !link.is_damaged()) {
            Some(link) => {
                wire::write_service(&mut link.out, service, payload);
                true
            }
            None => false,
        }
    }

    fn link_to(&mut self, to: &NodeId) -> Option<&mut Link> {
        let conn = self.peers.get(to)?.link?;
        self.links.get_mut(&conn)
    }

    /// Whether more may be queued for a member now.
    pub(crate) fn has_credit(&self, to: &NodeId) -> bool {
        let link = self.peers.get(to).and_then(|peer| peer.link).and_then(|conn| self.links.get(&conn));
        link.is_some_and(|link| link.unsent + link.out.len() < self.limits.send_buffer / 2)
    }

    /// Moves what is queued into effects, as one piece for each connection.
    pub(crate) fn flush(&mut self, effects: &mut VecDeque<Effect>) {
        let mut stuck = Vec::new();
        for (conn, link) in &mut self.links {
            if link.out.is_empty() {
                continue;
            }
            link.hand_over(self.now);
            link.spoke = self.now;
            if link.unsent > self.limits.send_buffer {
                stuck.push(*conn);
            } else {
                self.effects.push_back(Effect::Send { conn: *conn, bytes: link.out.split().freeze() });
            }
        }
        for conn in stuck {
            if let Some(link) = self.links.get_mut(&conn) {
                link.out.clear();
            }
            self.metrics.links_not_reading += 1;
            self.shut(conn, CloseReason::NotReading, false);
        }
        effects.append(&mut self.effects);
    }

    pub(crate) fn next_delivery(&mut self) -> Option<Delivery> {
        self.delivered.pop_front()
    }

    fn event(&mut self, event: Event) {
        self.effects.push_back(Effect::Event(event));
    }

    fn set_trouble(&mut self, id: &NodeId, why: &CloseReason) {
        if let Some(peer) = self.peers.get_mut(id).filter(|peer| peer.link.is_none()) {
            peer.trouble = Some(why.to_string());
        }
    }

    // What others ask.

    /// What it holds of connections.
    #[cfg(feature = "inspect")]
    pub(crate) fn burden(&self) -> Burden {
        let links = || self.links.values();
        let strangers = links().filter(|link| link.partner().is_none() && !link.dialled_by_us);
        Burden {
            unsent: links().map(|link| link.unsent + link.out.len()).max().unwrap_or(0),
            unread: links().map(Link::unread).max().unwrap_or(0),
            strangers: strangers.count(),
            by_one: links().map(|link| self.made_by(&link.who)).max().unwrap_or(0),
            stuck: links().filter(|link| link.stuck_for(self.now) >= self.rpc_timeout).count(),
        }
    }

    pub(crate) fn is_linked(&self, peer: &NodeId) -> bool {
        self.peers.get(peer).is_some_and(|peer| self.takes_part(peer))
    }

    /// Which boot of a member is at the other end of its link.
    pub(crate) fn boot_of(&self, peer: &NodeId) -> Option<u128> {
        self.partner_of(peer).map(|partner| partner.boot)
    }

    /// How much a member that is linked should rather lead than others.
    pub(crate) fn priority_of(&self, peer: &NodeId) -> Option<u8> {
        self.partner_of(peer).map(|partner| partner.leader_priority)
    }

    /// Where a member that is linked says that it is reached.
    pub(crate) fn address_of(&self, peer: &NodeId) -> Option<Address> {
        self.partner_of(peer).and_then(|partner| partner.address.clone())
    }

    fn partner_of(&self, peer: &NodeId) -> Option<&link::Partner> {
        self.links.get(&self.peers.get(peer)?.link?)?.partner()
    }

    /// Members other than this node: name, address, whether linked, what is wrong, what was heard.
    pub(crate) fn peers(&self) -> impl Iterator<Item = PeerView<'_>> + Clone {
        self.peers.iter().map(|(id, peer)| PeerView {
            id,
            address: peer.dials.next(),
            linked: self.takes_part(peer),
            trouble: peer.trouble.as_deref(),
            heard: peer.heard,
        })
    }
}

/// A member as the mesh sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerView<'m> {
    pub(crate) id: &'m NodeId,
    /// Where it is dialled next; `None` if it has to come by itself.
    pub(crate) address: Option<&'m Address>,
    pub(crate) linked: bool,
    pub(crate) trouble: Option<&'m str>,
    pub(crate) heard: Heard,
}

/// A hash of the ids of the initial members, without their addresses.
fn hash_of_ids(settings: &Settings) -> u64 {
    let mut ids: Vec<&str> = settings.peers.iter().map(|(id, _)| id.as_str()).collect();
    ids.push(settings.node_id.as_str());
    ids.sort_unstable();
    let mut hash = Xxh3::new();
    for id in ids {
        hash.update(id.as_bytes());
        hash.update(&[0]);
    }
    hash.digest()
}
