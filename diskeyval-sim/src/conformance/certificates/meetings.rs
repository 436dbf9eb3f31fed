//! Good certificates, and what a node makes of whoever has them.

use std::net::SocketAddr;
use std::sync::Arc;

use diskeyval_core::{Answer, MemberChange, NodeId, Request};

use super::Meeting;
use super::cases::Verdict::{Linked, Refused};
use super::mint::PEER;
use super::stranger::{Conversation, End, Lair, client, receive, server};
use super::subject::{Subject, World};
use super::talk::Hello;
use crate::conformance::AGES;
use crate::conformance::cluster::free_address;

/// How many are drawn where some are to stand for all.
const MANY: u32 = 1000;

pub(super) const CASES: &[Meeting] = &[
    Meeting {
        name: "another-name-in-the-hello",
        demand: "Of 1000 names that are drawn, and are not that of the certificate, each is refused in the hello.",
        run: another_name_in_the_hello,
    },
    Meeting {
        name: "damaged-certificates",
        demand: "Of 1000 good certificates in which a few bytes are changed, lost or doubled, each is refused, and the node goes on.",
        run: damaged_certificates,
    },
    Meeting {
        name: "renewed-while-connected",
        demand: "A node comes back with a new certificate and a new key while it is linked by the old one: the new link takes over, and the old one is told so.",
        run: renewed_while_connected,
    },
    Meeting {
        name: "two-clusters-of-one-authority",
        demand: "Who belongs to a cluster of another name or id is refused in the hello, at both ends, and told which; a liar that repeats ours is not.",
        run: two_clusters_of_one_authority,
    },
    Meeting {
        name: "a-removed-member",
        demand: "Who was removed has a certificate as good as ever, and is told that it was removed; whoever was never a member is told that.",
        run: a_removed_member,
    },
];

/// Numbers for drawing. The same at each run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }
}

fn another_name_in_the_hello(world: &World<'_>) {
    let name = "another-name-in-the-hello";
    let lair = Lair::new(|_, _| {});
    let subject = Subject::start(world, name, lair.address);
    let config = Arc::new(client(Some(&world.mint.leaf(|_| {}))));
    let mut draw = Draw(1);
    for number in 0..MANY {
        let letters = b"ABCXYZabcxyz0189_.-";
        let claimed: String = match number {
            // Near misses, and the node itself.
            0 => name.to_owned(),
            1 => "Node-1".to_owned(),
            2 => "node-1.".to_owned(),
            3 => "node-11".to_owned(),
            4 => "node-".to_owned(),
            5..100 => format!("node-{}", number + 2),
            _ => (0..=draw.below(63)).map(|_| char::from(letters[draw.below(letters.len())])).collect(),
        };
        // A node id that is reserved is none, and no frame can carry it.
        if claimed == "client" || claimed == PEER {
            continue;
        }
        let hello = Hello { node: claimed.clone(), ..Hello::of(PEER, [name, PEER]) };
        let end = Conversation::dial(subject.address, config.clone()).meet(&hello, || false);
        let expected = format!("its hello says {claimed}, its certificate does not");
        assert_eq!(end, Some(End::Goodbye(expected)), "number {number}");
    }
    assert!(!subject.is_linked(PEER));
    drop(lair);
    subject.stop();
}

fn damaged_certificates(world: &World<'_>) {
    let name = "damaged-certificates";
    let lair = Lair::new(|_, _| {});
    let subject = Subject::start(world, name, lair.address);
    let hello = Hello::of(PEER, [name, PEER]);
    let by_uri = world.mint.leaf(|_| {});
    let by_cn = world.mint.named(&[], Some(PEER));
    let mut draw = Draw(2);
    for number in 0..MANY {
        let good = if number % 2 == 0 { &by_uri } else { &by_cn };
        let damaged = good.clone().but(|der| {
            for _ in 0..=draw.below(4) {
                let at = draw.below(der.len());
                match draw.below(3) {
                    0 => der[at] ^= u8::try_from(1 + draw.below(255)).expect("a byte"),
                    1 => {
                        der.remove(at);
                    }
                    _ => der.insert(at, der[at]),
                }
            }
        });
        if damaged.chain == good.chain {
            continue;
        }
        let config = Arc::new(client(Some(&damaged)));
        let end = Conversation::dial(subject.address, config).meet(&hello, || false);
        assert!(matches!(end, Some(End::Alert(_))), "number {number}: {end:?}");
    }
    let mut good = Conversation::dial(subject.address, Arc::new(client(Some(&by_uri))));
    assert_eq!(good.meet(&hello, || subject.is_linked(PEER)), None);
    drop((good, lair));
    subject.stop();
}

fn renewed_while_connected(world: &World<'_>) {
    let name = "renewed-while-connected";
    let lair = Lair::new(|_, _| {});
    let subject = Subject::start(world, name, lair.address);
    let hello = Hello::of(PEER, [name, PEER]);
    let dial = || {
        let config = client(Some(&world.mint.leaf(|_| {})));
        Conversation::dial(subject.address, Arc::new(config))
    };
    let mut old = dial();
    assert_eq!(old.meet(&hello, || subject.is_linked(PEER)), None);
    let mut new = dial();
    let mut told = None;
    subject.until("the old one is told", || {
        let _ = new.step(&hello);
        told = old.hear().err();
        told.is_some()
    });
    assert_eq!(told, Some(End::Goodbye("another connection to the same node is kept".into())));
    assert!(subject.is_linked(PEER));
    drop((old, new, lair));
    subject.stop();
}

/// A node that leads a cluster of its own, with another real one, which has just stopped. What it says of itself, and where the
/// other was.
fn widowed(world: &World<'_>, name: &str, before: impl FnOnce(&Subject)) -> (Subject, Hello, SocketAddr) {
    let (here, there) = (free_address(), free_address());
    let subject = Subject::start_at(world, name, here, (PEER, there));
    let peer = Subject::start_at(world, PEER, there, (name, here));
    subject.until("both are members", || {
        [&subject, &peer].iter().all(|one| one.status()["standing"]["is"] == "member")
    });
    before(&subject);
    peer.stop();
    subject.until("the other is gone", || !subject.is_linked(PEER));
    let config = client(Some(&world.mint.leaf(|_| {})));
    let mut conversation = Conversation::dial(subject.address, Arc::new(config));
    // What it says of itself it says before it judges.
    let asking = Hello { cluster_name: "?".into(), ..Hello::of(PEER, [name, PEER]) };
    conversation.meet(&asking, || false);
    let its = conversation.theirs.clone().expect("a welcome");
    assert!(its.cluster.is_some(), "it is founded");
    (subject, its, there)
}

fn two_clusters_of_one_authority(world: &World<'_>) {
    let name = "two-clusters-of-one-authority";
    let (subject, its, place) = widowed(world, name, |_| {});
    let credentials = world.mint.leaf(|_| {});
    let ours = Hello { node: PEER.into(), incarnation: 79, boot: 80, seated: None, named: None, ..its };
    let by_name = Hello { cluster_name: "production".into(), ..ours.clone() };
    let by_id = Hello { cluster: Some(12345), ..ours.clone() };
    for (hello, words) in
        [(by_name, "it belongs to a cluster named \"production\""), (by_id, "they were founded apart")]
    {
        let lair = Lair::at(place, receive(server(&credentials), hello.clone(), Arc::default()));
        subject.until("it is told", || {
            let status = subject.status();
            let trouble =
                status["members"].as_array().into_iter().flatten().find_map(|m| m["trouble"].as_str());
            trouble.is_some_and(|why| why.contains(words))
        });
        assert!(!subject.is_linked(PEER));
        drop(lair);
        let mut conversation = Conversation::dial(subject.address, Arc::new(client(Some(&credentials))));
        let end = conversation.meet(&hello, || subject.is_linked(PEER));
        subject.turned(Refused(words), end.as_ref());
    }
    // Name and id are no secrets.
    let mut liar = Conversation::dial(subject.address, Arc::new(client(Some(&credentials))));
    let end = liar.meet(&ours, || subject.is_linked(PEER));
    subject.turned(Linked, end.as_ref());
    drop(liar);
    subject.stop();
}

fn a_removed_member(world: &World<'_>) {
    let name = "a-removed-member";
    let (subject, its, _) = widowed(world, name, |subject| {
        let node = NodeId::new(PEER).expect("a good name");
        let change = Request::ChangeMembers { change: MemberChange::Remove { node } };
        let answer = subject.node.ask(change, AGES);
        assert!(matches!(answer, Answer::MembersChanged(Ok(_))), "{answer:?}");
    });
    let dial = |credentials| Conversation::dial(subject.address, Arc::new(client(Some(&credentials))));
    let was = Hello {
        node: PEER.into(),
        incarnation: 79,
        boot: 80,
        seated: Some(1),
        named: Some(1),
        configuration: (1, 1),
        ..its
    };
    let end = dial(world.mint.leaf(|_| {})).meet(&was, || subject.is_linked(PEER));
    subject.turned(Refused("it was removed from this cluster"), end.as_ref());
    let never = Hello { node: "node-2".into(), seated: None, named: None, ..was };
    let end =
        dial(world.mint.by_uri("spiffe://diskeyval/node-2")).meet(&never, || subject.is_linked("node-2"));
    subject.turned(Refused("it is not a member of this cluster"), end.as_ref());
    subject.stop();
}
