//! Two ends of a connection, driven by hand.

use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::config::Config;
use crate::members::Seat;
use crate::prng::Seed;

/// An end, and what came out of it.
pub(super) struct End {
    pub(super) mesh: Mesh,
    pub(super) effects: VecDeque<Effect>,
}

pub(super) fn id(name: &str) -> NodeId {
    NodeId::new(name).expect("a good name")
}

fn settings(name: &str, peers: &[&str], cluster: &str) -> Settings {
    let mut config = Config::new(name).expect("a good name");
    config.cluster = cluster.into();
    for peer in peers {
        config = config.peer(peer, peer, 1).expect("a good name");
    }
    config.validate().expect("a good configuration")
}

/// A node of some life, which knows some peers.
pub(super) fn end(name: &str, peers: &[&str], life: u64) -> End {
    end_of(&settings(name, peers, "test"), life)
}

fn end_of(settings: &Settings, life: u64) -> End {
    let prng = Prng::new(Seed::from_u64(life));
    let mut mesh = Mesh::new(settings, Incarnation(life.into()), life.into(), prng);
    mesh.wake(Instant::ZERO + Duration::from_secs(10));
    End { mesh, effects: VecDeque::new() }
}

impl End {
    fn flush(&mut self) {
        self.mesh.flush(&mut self.effects);
    }

    /// The dial that it has asked for.
    fn dial(&mut self) -> DialId {
        self.mesh.tick();
        self.flush();
        let dial = self.effects.iter().find_map(|effect| match effect {
            Effect::Dial { dial, .. } => Some(*dial),
            _ => None,
        });
        dial.expect("a dial")
    }

    pub(super) fn sent_on(&mut self, conn: ConnId) -> Vec<Bytes> {
        self.flush();
        let sent = self.effects.iter().filter_map(|effect| match effect {
            Effect::Send { conn: on, bytes } if *on == conn => Some(bytes.clone()),
            _ => None,
        });
        let sent = sent.collect();
        self.effects.retain(|effect| !matches!(effect, Effect::Send { conn: on, .. } if *on == conn));
        sent
    }

    /// Why it has closed a connection, if it has.
    pub(super) fn closed(&mut self, conn: ConnId) -> Option<CloseReason> {
        self.flush();
        self.effects.iter().find_map(|effect| match effect {
            Effect::Close { conn: on, why } if *on == conn => Some(why.clone()),
            _ => None,
        })
    }

    fn linked(&self, peer: &str) -> bool {
        self.mesh.is_linked(&id(peer))
    }
}

/// Connects `dialler` to `listener` under one number at both ends, as if both certificates were good.
pub(super) fn connect(dialler: &mut End, listener: &mut End, conn: ConnId) {
    let dial = dialler.dial();
    let (from, to) = (dialler.mesh.hello.node.clone(), listener.mesh.hello.node.clone());
    dialler.mesh.opened(conn, Identity::Node(to), Origin::Dialled(dial));
    listener.mesh.opened(conn, Identity::Node(from), Origin::Accepted);
}

/// Carries everything on a connection to and fro until it is quiet.
pub(super) fn carry(one: &mut End, other: &mut End, conn: ConnId) {
    loop {
        let (there, back) = (one.sent_on(conn), other.sent_on(conn));
        if there.is_empty() && back.is_empty() {
            return;
        }
        one.mesh.drained(conn, there.iter().map(Bytes::len).sum());
        there.into_iter().for_each(|bytes| other.mesh.received(conn, bytes));
        other.mesh.drained(conn, back.iter().map(Bytes::len).sum());
        back.into_iter().for_each(|bytes| one.mesh.received(conn, bytes));
    }
}

#[test]
fn a_link_is_up_when_hello_and_its_answer_have_crossed() {
    let (mut a, mut b) = (end("a", &["b"], 1), end("b", &["a"], 2));
    connect(&mut a, &mut b, ConnId(1));
    for bytes in a.sent_on(ConnId(1)) {
        b.mesh.received(ConnId(1), bytes);
    }
    assert!(!a.linked("b") && !b.linked("a"), "a hello alone is no link");
    for bytes in b.sent_on(ConnId(1)) {
        a.mesh.received(ConnId(1), bytes);
    }
    assert!(a.linked("b") && !b.linked("a"), "the listener waits for the dialler to be content");
    carry(&mut a, &mut b, ConnId(1));
    assert!(b.linked("a"));
}

#[test]
fn a_hello_is_understood_however_it_is_cut() {
    let (mut a, mut b) = (end("a", &["b"], 1), end("b", &["a"], 2));
    connect(&mut a, &mut b, ConnId(1));
    for bytes in a.sent_on(ConnId(1)) {
        for byte in bytes.chunks(1) {
            b.mesh.received(ConnId(1), Bytes::copy_from_slice(byte));
        }
    }
    carry(&mut a, &mut b, ConnId(1));
    assert!(a.linked("b") && b.linked("a"));
}

/// W6: handlers of the npm package ignored whom the certificate named, and believed the payload.
#[test]
fn w6_a_hello_that_is_not_the_certificates_is_refused() {
    let (mut liar, mut b) = (end("a", &["b"], 1), end("b", &["a", "c"], 2));
    let dial = liar.dial();
    liar.mesh.opened(ConnId(1), Identity::Node(id("b")), Origin::Dialled(dial));
    b.mesh.opened(ConnId(1), Identity::Node(id("c")), Origin::Accepted);
    carry(&mut liar, &mut b, ConnId(1));
    assert_eq!(b.closed(ConnId(1)), Some(CloseReason::HelloMismatch { claimed: id("a") }));
    assert!(!b.linked("a") && !b.linked("c"));
}

/// W6: any holder of a certificate of the CA could speak Raft.
#[test]
fn w6_only_members_may_speak_and_clients_are_none() {
    let mut b = end("b", &["a"], 2);
    let cases = [
        (Identity::Client("a".into()), CloseReason::NotANode),
        (Identity::Node(id("b")), CloseReason::OwnName),
    ];
    for (conn, (who, why)) in (1..).map(ConnId).zip(cases) {
        b.mesh.opened(conn, who, Origin::Accepted);
        assert_eq!(b.closed(conn), Some(why));
    }
    // A node may be a member that this one does not know yet: that stands in its hello.
    let mut stranger = end("stranger", &["b"], 3);
    stranger.mesh.hello.initial_members = b.mesh.hello.initial_members;
    connect(&mut stranger, &mut b, ConnId(9));
    carry(&mut stranger, &mut b, ConnId(9));
    assert_eq!(b.closed(ConnId(9)), Some(CloseReason::NotAMember));
    assert!(!b.linked("stranger"));
}

/// A node that is left behind lets those in who have replaced its peers, and nobody who knows less than it does.
#[test]
fn a_stranger_is_a_guest_if_it_belongs_to_the_cluster_by_a_later_entry() {
    let of = |ids: &[&str]| {
        let seat = |name: &&str| Seat { id: id(name), bound: Some(Incarnation(9)), address: None };
        Membership::of(ids.iter().map(seat).collect())
    };
    for (seated, expected) in
        [(Some(8), None), (Some(4), Some(CloseReason::Removed)), (None, Some(CloseReason::NotAMember))]
    {
        let (mut b, mut d) = (end("b", &["a"], 2), end("d", &["b"], 4));
        for node in [&mut b, &mut d] {
            node.mesh.set_cluster(crate::id::ClusterId(1));
        }
        b.mesh.set_members(Index(6), of(&["a", "b", "c"]));
        b.mesh.know(EntryId::new(6, 1), &of(&["a", "b", "c"]));
        d.mesh.hello.named = seated.map(Index);
        d.mesh.hello.configuration = seated.map_or(EntryId::default(), |index| EntryId::new(index, 1));
        connect(&mut d, &mut b, ConnId(1));
        carry(&mut d, &mut b, ConnId(1));
        assert_eq!(b.closed(ConnId(1)), expected, "seated by {seated:?}");
        assert_eq!(b.linked("d"), expected.is_none());
        let heard = b.mesh.peers().find(|peer| peer.id.as_str() == "d").map(|peer| peer.heard);
        assert_eq!(heard, expected.is_none().then_some(Heard::Founded(crate::id::ClusterId(1))));
        b.mesh.closed(ConnId(1), CloseReason::Silent);
        assert!(b.mesh.peers().all(|peer| peer.id.as_str() != "d"), "a guest that is gone is forgotten");
    }
}

/// Another process under its name comes and is turned away, while a guest is being met.
#[test]
fn a_guest_is_not_forgotten_with_a_namesake_that_is_turned_away() {
    let (mut b, mut d) = (end("b", &["a"], 2), end("d", &["b"], 4));
    let mut namesake = end("d", &["b"], 5);
    for node in [&mut b, &mut d, &mut namesake] {
        node.mesh.set_cluster(crate::id::ClusterId(1));
    }
    d.mesh.hello.configuration = EntryId::new(8, 1);
    connect(&mut d, &mut b, ConnId(1));
    // Its hello is heard, and no more yet.
    let hello = d.sent_on(ConnId(1));
    hello.into_iter().for_each(|bytes| b.mesh.received(ConnId(1), bytes));
    connect(&mut namesake, &mut b, ConnId(2));
    carry(&mut namesake, &mut b, ConnId(2));
    assert_eq!(b.closed(ConnId(2)), Some(CloseReason::NotAMember));
    carry(&mut b, &mut d, ConnId(1));
    assert!(b.linked("d") && d.linked("b"));
}

#[test]
fn who_goes_is_known_until_that_is_applied_and_is_then_told() {
    let seat = |name: &str| Seat { id: id(name), bound: Some(Incarnation(9)), address: None };
    let (both, one) = (Membership::of(vec![seat("a"), seat("b")]), Membership::of(vec![seat("b")]));
    let (mut a, mut b) = (end("a", &["b"], 1), end("b", &["a"], 2));
    connect(&mut a, &mut b, ConnId(1));
    carry(&mut a, &mut b, ConnId(1));
    b.mesh.set_members(Index(1), both);
    b.mesh.know(EntryId::new(5, 1), &one);
    assert!(b.linked("a"), "that is not committed");
    b.mesh.set_members(Index(5), one.clone());
    b.mesh.know(EntryId::new(5, 1), &one);
    assert_eq!(b.closed(ConnId(1)), Some(CloseReason::Removed));
    // It was a member by entry 1; one that is behind might say so of a time before that.
    a.mesh.hello.named = Some(Index(1));
    carry(&mut b, &mut a, ConnId(1));
    let delivered = core::iter::from_fn(|| a.mesh.next_delivery());
    assert!(delivered.into_iter().any(|delivery| matches!(delivery, Delivery::Removed { by: Index(5) })));
}

/// W6: `tls.servername` was accepted and ignored.
#[test]
fn w6_the_dialler_checks_that_it_reached_whom_it_dialled() {
    let mut a = end("a", &["b"], 1);
    let dial = a.dial();
    a.mesh.opened(ConnId(1), Identity::Node(id("c")), Origin::Dialled(dial));
    let why = CloseReason::WrongPeer { wanted: id("b"), found: "c".into() };
    assert_eq!(a.closed(ConnId(1)), Some(why));
    assert!(a.mesh.peers().any(|peer| peer.trouble.is_some_and(|trouble| trouble.contains("that of c"))));
}

#[test]
fn clusters_of_another_name_version_or_id_refuse_each_other_and_both_say_why() {
    let ours = settings("a", &["b"], "test");
    let mut other_version = end("b", &["a"], 2);
    other_version.mesh.hello.versions = (7, 9);
    let mut other_id = end("b", &["a"], 2);
    other_id.mesh.set_cluster(ClusterId(2));
    let mut other_storage = end("b", &["a"], 2);
    other_storage.mesh.hello.storage = crate::members::StorageKind::Disk;
    let other_members = end("b", &["a", "c"], 2);
    let cases = [
        (end_of(&settings("b", &["a"], "other"), 2), CloseReason::ClusterName { theirs: "other".into() }),
        (other_version, CloseReason::Version { theirs: (7, 9) }),
        (other_id, CloseReason::OtherCluster { theirs: ClusterId(2), ours: ClusterId(1) }),
        (other_storage, CloseReason::OtherStorage { on_disk: true }),
    ];
    for (mut b, why) in cases {
        let mut a = end_of(&ours, 1);
        a.mesh.set_cluster(ClusterId(1));
        connect(&mut a, &mut b, ConnId(1));
        carry(&mut a, &mut b, ConnId(1));
        assert_eq!(a.closed(ConnId(1)), Some(why));
        assert!(b.closed(ConnId(1)).is_some() && !b.linked("a"));
    }
    // Initial members are compared only while neither is founded.
    let (mut a, mut b) = (end_of(&ours, 1), other_members);
    connect(&mut a, &mut b, ConnId(1));
    carry(&mut a, &mut b, ConnId(1));
    assert_eq!(a.closed(ConnId(1)), Some(CloseReason::MembersDisagree));
    a.mesh.set_cluster(ClusterId(1));
    a.mesh.wake(Instant::ZERO + Duration::from_secs(20));
    a.effects.clear();
    connect(&mut a, &mut b, ConnId(2));
    carry(&mut a, &mut b, ConnId(2));
    assert!(a.linked("b") && b.linked("a"));
}

/// Who joins is none of the initial members, and was told that it should have been given the same ones.
#[test]
fn who_joins_is_told_of_a_node_that_is_not_founded_that_there_is_nothing_to_join() {
    let mut joining = settings("d", &["a"], "test");
    joining.joins = true;
    let (mut a, mut d) = (end("a", &["b", "c"], 1), end_of(&joining, 4));
    connect(&mut d, &mut a, ConnId(1));
    carry(&mut d, &mut a, ConnId(1));
    assert_eq!(d.closed(ConnId(1)), Some(CloseReason::Unfounded));
    assert_eq!(a.closed(ConnId(1)), Some(CloseReason::Unfounded));
}

#[test]
fn of_two_links_dialled_by_both_ends_the_smaller_ids_is_kept() {
    for b_is_first in [false, true] {
        let (mut a, mut b) = (end("a", &["b"], 1), end("b", &["a"], 2));
        connect(&mut a, &mut b, ConnId(1));
        connect(&mut b, &mut a, ConnId(2));
        let order = if b_is_first { [ConnId(2), ConnId(1)] } else { [ConnId(1), ConnId(2)] };
        for conn in order {
            carry(&mut a, &mut b, conn);
        }
        carry(&mut a, &mut b, ConnId(1));
        carry(&mut a, &mut b, ConnId(2));
        for end in [&mut a, &mut b] {
            assert_eq!(end.mesh.peers.values().next().and_then(|peer| peer.link), Some(ConnId(1)));
            assert_eq!(end.closed(ConnId(1)), None);
        }
    }
}

#[test]
fn of_two_links_dialled_by_one_end_the_newer_is_kept_and_the_older_delivers_nothing_more() {
    let (mut a, mut b) = (end("a", &["b"], 1), end("b", &["a"], 2));
    connect(&mut a, &mut b, ConnId(1));
    carry(&mut a, &mut b, ConnId(1));
    let ping = {
        let mut out = bytes::BytesMut::new();
        wire::write_service(&mut out, Service::Read { question: 1, by_lease: false }, &[]);
        out.freeze()
    };
    // a loses the link without b noticing, and dials anew.
    a.mesh.closed(ConnId(1), CloseReason::Broken("gone".into()));
    a.mesh.wake(Instant::ZERO + Duration::from_secs(11));
    a.effects.clear();
    connect(&mut a, &mut b, ConnId(2));
    carry(&mut a, &mut b, ConnId(2));
    assert_eq!(b.closed(ConnId(1)), Some(CloseReason::Replaced));
    while b.mesh.next_delivery().is_some() {}
    b.mesh.received(ConnId(1), ping.clone());
    assert!(b.mesh.next_delivery().is_none(), "late bytes of the replaced link");
    b.mesh.received(ConnId(2), ping);
    assert!(matches!(b.mesh.next_delivery(), Some(Delivery::Service(..))));
}

/// Who has just started has applied little, and needs the vote of the life that its log names.
#[test]
fn the_life_that_the_log_names_holds_its_name_whatever_was_applied() {
    let of = |life: u128| {
        Membership::of(vec![Seat { id: id("a"), bound: Some(Incarnation(life)), address: None }])
    };
    let mut b = end("b", &["a"], 2);
    b.mesh.set_members(Index(1), of(1));
    b.mesh.know(EntryId::new(5, 1), &of(3));
    for (conn, life, is_refused) in [(1, 1, false), (2, 3, false), (3, 1, true)] {
        let mut a = end("a", &["b"], life);
        connect(&mut a, &mut b, ConnId(conn));
        carry(&mut a, &mut b, ConnId(conn));
        let why = is_refused.then_some(CloseReason::NameInUse { holder: Incarnation(3) });
        assert_eq!(b.closed(ConnId(conn)), why, "life {life}");
    }
}

/// Whoever awaits a welcome takes anything else for a word out of place, and would never learn why it is turned away.
#[test]
fn who_is_removed_while_it_connects_is_told_so_behind_a_welcome() {
    let seat = |name: &str, life| Seat { id: id(name), bound: Some(Incarnation(life)), address: None };
    let cluster = Some(ClusterId(7));
    let both = Membership::of(vec![seat("a", 1), seat("b", 2)]);
    let (mut a, mut b) = (end("a", &["b"], 1), end("b", &["a"], 2));
    for end in [&mut a, &mut b] {
        end.mesh.hello.cluster = cluster;
        end.mesh.set_members(Index(2), both.clone());
        end.mesh.know(EntryId::new(1, 2), &both);
    }
    connect(&mut a, &mut b, ConnId(1));
    let alone = Membership::of(vec![seat("b", 2)]);
    b.mesh.set_members(Index(3), alone.clone());
    b.mesh.know(EntryId::new(1, 3), &alone);
    carry(&mut a, &mut b, ConnId(1));
    assert_eq!(b.closed(ConnId(1)), Some(CloseReason::Removed));
    let mut told = core::iter::from_fn(|| a.mesh.next_delivery());
    assert!(told.any(|told| matches!(told, Delivery::Removed { by: Index(3) })));
}

#[test]
fn a_second_process_under_a_living_name_is_refused_until_the_first_is_silent() {
    let (mut a, mut b) = (end("a", &["b"], 1), end("b", &["a"], 2));
    connect(&mut a, &mut b, ConnId(1));
    carry(&mut a, &mut b, ConnId(1));
    let mut second = end("a", &["b"], 3);
    connect(&mut second, &mut b, ConnId(2));
    carry(&mut second, &mut b, ConnId(2));
    assert_eq!(b.closed(ConnId(2)), Some(CloseReason::NameInUse { holder: Incarnation(1) }));
    assert_eq!(b.closed(ConnId(1)), None);
    // The first is not heard any more.
    b.mesh.wake(Instant::ZERO + Duration::from_secs(11));
    let mut third = end("a", &["b"], 4);
    connect(&mut third, &mut b, ConnId(3));
    carry(&mut third, &mut b, ConnId(3));
    assert_eq!(b.closed(ConnId(1)), Some(CloseReason::Replaced));
    assert!(b.linked("a"));
}

#[test]
fn garbage_huge_frames_and_words_out_of_place_close_the_connection_and_no_other() {
    let hello_twice = |b: &mut End| {
        let mut out = bytes::BytesMut::new();
        wire::write_hello(&mut out, b.mesh.hello.clone());
        out.freeze()
    };
    let (mut a, mut b) = (end("a", &["b", "c"], 1), end("b", &["a", "c"], 2));
    connect(&mut b, &mut a, ConnId(1));
    carry(&mut a, &mut b, ConnId(1));
    let cases = vec![
        (Bytes::from_static(&[255; 64]), CloseReason::FrameTooLarge { size: u32::MAX as usize, limit: 4096 }),
        (Bytes::from_static(&[3, 0, 0, 0, 200, 1, 2]), CloseReason::Malformed),
        (Bytes::from_static(&[1, 0, 0, 0, 4]), CloseReason::OutOfPlace),
    ];
    for (conn, (bytes, why)) in (2..).map(ConnId).zip(cases) {
        a.mesh.opened(conn, Identity::Node(id("c")), Origin::Accepted);
        a.mesh.received(conn, bytes);
        assert_eq!(a.closed(conn), Some(why));
    }
    assert!(a.linked("b"), "nobody else suffers");
    let again = hello_twice(&mut b);
    a.mesh.received(ConnId(1), again);
    assert_eq!(a.closed(ConnId(1)), Some(CloseReason::OutOfPlace));
}

/// W7, and a peer that accepts and never replies: silence is given up, before the hello and after it.
#[test]
fn silence_is_given_up() {
    let (mut a, mut b) = (end("a", &["b"], 1), end("b", &["a"], 2));
    let dial = a.dial();
    a.mesh.opened(ConnId(1), Identity::Node(id("b")), Origin::Dialled(dial));
    a.mesh.wake(Instant::ZERO + Duration::from_secs(13));
    a.mesh.tick();
    assert_eq!(a.closed(ConnId(1)), Some(CloseReason::Silent));
    b.mesh.wake(Instant::ZERO + Duration::from_secs(13));
    a.mesh.wake(Instant::ZERO + Duration::from_secs(14));
    a.effects.clear();
    connect(&mut a, &mut b, ConnId(2));
    carry(&mut a, &mut b, ConnId(2));
    assert!(a.linked("b"));
    // A third of the time-out without a word of ours is broken by a ping, which keeps the link alive.
    for second in [15, 16, 17] {
        for end in [&mut a, &mut b] {
            end.mesh.wake(Instant::ZERO + Duration::from_secs(second));
            end.mesh.tick();
        }
        carry(&mut a, &mut b, ConnId(2));
    }
    assert!(a.linked("b") && b.linked("a"));
    a.mesh.wake(Instant::ZERO + Duration::from_secs(21));
    a.mesh.tick();
    assert_eq!(a.closed(ConnId(2)), Some(CloseReason::Silent));
}

#[test]
fn who_does_not_read_is_cut_loudly_before_memory_grows() {
    let (mut a, mut b) = (end("a", &["b"], 1), end("b", &["a"], 2));
    connect(&mut a, &mut b, ConnId(1));
    carry(&mut a, &mut b, ConnId(1));
    let limit = a.mesh.limits.send_buffer;
    let payload = vec![0; 1 << 20];
    let mut queued = 0;
    while a.linked("b") {
        a.mesh.send_service(&id("b"), Service::Write { seq: 1, attempt: 1 }, &payload);
        a.flush();
        queued += payload.len();
        assert!(queued <= limit + 2 * payload.len(), "memory grows without bound");
        assert_eq!(a.mesh.has_credit(&id("b")), a.linked("b") && queued < limit / 2, "credit at {queued}");
    }
    assert_eq!(a.closed(ConnId(1)), Some(CloseReason::NotReading));
}

/// Two nodes with a link, and a frame that is long.
fn pair_with_a_long_frame() -> (End, End, Bytes) {
    let (mut a, mut b) = (end("a", &["b"], 1), end("b", &["a"], 2));
    connect(&mut a, &mut b, ConnId(1));
    carry(&mut a, &mut b, ConnId(1));
    let mut frame = bytes::BytesMut::new();
    wire::write_service(&mut frame, Service::Write { seq: 1, attempt: 1 }, &vec![0; 1 << 20]);
    (a, b, frame.freeze())
}

#[test]
fn a_link_on_which_a_frame_only_trickles_is_given_up() {
    for (piece, lives) in [(1, false), (3_000, false), (10_000, true)] {
        let (mut a, _, mut frame) = pair_with_a_long_frame();
        for _ in 0..20 {
            a.mesh.wake(a.mesh.now + Duration::from_secs(1));
            a.mesh.received(ConnId(1), frame.split_to(piece));
            a.mesh.tick();
            let sent = a.sent_on(ConnId(1)).iter().map(Bytes::len).sum();
            a.mesh.drained(ConnId(1), sent);
        }
        let why = a.closed(ConnId(1));
        assert_eq!(why, (!lives).then_some(CloseReason::Silent), "{piece} bytes a second");
        assert_eq!(a.mesh.metrics.links_silent, u64::from(!lives));
    }
}

#[test]
fn a_link_from_which_nothing_leaves_is_given_up() {
    for (piece, lives) in [(0, false), (1, false), (3_000, false), (10_000, true)] {
        let (mut a, mut b, _) = pair_with_a_long_frame();
        a.mesh.send_service(&id("b"), Service::Write { seq: 1, attempt: 1 }, &vec![0; 1 << 20]);
        for _ in 0..20 {
            a.mesh.wake(a.mesh.now + Duration::from_secs(1));
            // The other end is well, and says so.
            wire::write_ping(&mut b.mesh.links.get_mut(&ConnId(1)).expect("a link").out);
            b.sent_on(ConnId(1)).into_iter().for_each(|bytes| a.mesh.received(ConnId(1), bytes));
            a.mesh.drained(ConnId(1), piece);
            a.mesh.tick();
            a.flush();
        }
        let why = a.closed(ConnId(1));
        assert_eq!(why, (!lives).then_some(CloseReason::NotReading), "{piece} bytes a second");
        assert_eq!(a.mesh.metrics.links_not_reading, u64::from(!lives));
    }
}

#[test]
fn of_one_node_so_many_connections_are_taken_and_no_more() {
    let mut a = end("a", &["b", "c"], 1);
    let limit = a.mesh.limits.max_per_identity;
    for conn in (0..limit as u64).map(ConnId) {
        a.mesh.opened(conn, Identity::Node(id("b")), Origin::Accepted);
        assert_eq!(a.closed(conn), None);
    }
    a.mesh.opened(ConnId(100), Identity::Node(id("b")), Origin::Accepted);
    assert_eq!(a.closed(ConnId(100)), Some(CloseReason::CrowdedByOne { limit }));
    assert_eq!(a.mesh.metrics.links_crowded, 1);
    // Others are none the worse for it, and who goes makes room.
    a.mesh.opened(ConnId(101), Identity::Node(id("c")), Origin::Accepted);
    a.mesh.closed(ConnId(0), CloseReason::Broken("gone".into()));
    a.mesh.opened(ConnId(102), Identity::Node(id("b")), Origin::Accepted);
    assert_eq!((a.closed(ConnId(101)), a.closed(ConnId(102))), (None, None));
}

#[test]
fn dials_back_off_and_begin_anew_after_a_link() {
    let mut a = end("a", &["b"], 1);
    let mut now = Instant::ZERO + Duration::from_secs(10);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let dial = a.dial();
        a.effects.clear();
        a.mesh.dial_failed(dial, DialError::Refused);
        let at = a.mesh.deadline().expect("another dial").at;
        pauses.push(at.since(now));
        now = at;
        a.mesh.wake(now);
    }
    assert!(pauses[0] < MIN_BACK_OFF * 2 && pauses[7] >= MAX_BACK_OFF, "{pauses:?}");
    assert!(pauses.iter().all(|pause| *pause >= MIN_BACK_OFF && *pause < MAX_BACK_OFF * 2), "{pauses:?}");
}
