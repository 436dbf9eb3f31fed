//! One engine among liars: everything that a driver can tell it, in any order, with words that are nearly right; and what the
//! contract in `io.rs` says of all that comes out.

mod driver;

use core::time::Duration;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use diskeyval_core::identity::Identity;
use diskeyval_core::inspect::forge::{self, Mask};
use diskeyval_core::{
    CloseReason, Command, DialError, DiskDone, DiskError, EntryId, Expect, Incarnation, Index, Input,
    MemberChange, NodeId, Origin, Read, Request, Term,
};

use crate::write::{self, Scene};
use driver::Driver;

/// The names of the node, of its peers, and of nobody.
const NAMES: [&str; 5] = ["n1", "n2", "n3", "n4", "stranger"];

/// Most sequences end sooner.
const STEPS: usize = 300;

/// Steps until the bytes end; then the disk does what it is told, time passes, and everything is answered.
pub fn run(bytes: &[u8]) {
    let mut chance = Unstructured::new(bytes);
    let (Ok(peers), Ok(is_on_disk)) = (chance.int_in_range(0..=2usize), chance.arbitrary()) else { return };
    let mut driver = Driver::new(&NAMES[..=peers], is_on_disk);
    for _ in 0..STEPS {
        if chance.is_empty() || step(&mut driver, &mut chance).is_err() {
            break;
        }
    }
    driver.end();
}

fn step(driver: &mut Driver, chance: &mut Unstructured<'_>) -> Result<()> {
    match chance.int_in_range(0..=31u8)? {
        0..=3 => pass_time(driver, chance)?,
        4 => open(driver, chance)?,
        5 | 6 => link(driver, chance)?,
        7 => fail_dial(driver, chance)?,
        8..=13 => say(driver, chance)?,
        14..=18 => agree(driver, chance)?,
        19 => drain(driver, chance)?,
        20 => close(driver, chance)?,
        21..=25 => ask(driver, chance)?,
        26..=29 => work(driver, chance)?,
        30 => {
            let changes = chance.arbitrary()?;
            driver.give(Input::Listen { changes });
        }
        _ => driver.wake(),
    }
    // Several inputs may come in one turn.
    if chance.ratio(3u8, 4u8)? {
        driver.turn();
    }
    Ok(())
}

fn pass_time(driver: &mut Driver, chance: &mut Unstructured<'_>) -> Result<()> {
    let millis = match chance.int_in_range(0..=7u8)? {
        0 => 20_000,
        1 => 1_100,
        2 => 350,
        _ => u64::from(chance.arbitrary::<u8>()?),
    };
    driver.pass(Duration::from_millis(millis));
    Ok(())
}

fn name(chance: &mut Unstructured<'_>) -> Result<NodeId> {
    let name = *chance.choose(&NAMES)?;
    Ok(NodeId::new(name).expect("a good name"))
}

fn open(driver: &mut Driver, chance: &mut Unstructured<'_>) -> Result<()> {
    let who = match chance.ratio(1u8, 8u8)? {
        true => Identity::client("somebody").expect("a good name"),
        false => Identity::Node(name(chance)?),
    };
    let origin = match driver.dials().first() {
        Some((dial, _)) if chance.arbitrary()? => Origin::Dialled(*dial),
        _ => Origin::Accepted,
    };
    driver.open(who, origin);
    Ok(())
}

/// A peer connects, or is dialled, and says all that an honest one says first.
fn link(driver: &mut Driver, chance: &mut Unstructured<'_>) -> Result<()> {
    let dialled = driver.dials().first().cloned();
    let (who, origin) = match dialled {
        Some((dial, peer)) if chance.arbitrary()? => (peer, Origin::Dialled(dial)),
        _ => (name(chance)?, Origin::Accepted),
    };
    let conn = driver.open(Identity::Node(who.clone()), origin);
    let life = u128::from(chance.int_in_range(1..=2u8)?);
    let configuration = match chance.ratio(1u8, 8u8)? {
        true => EntryId { index: Index(1 << 40), term: Term(1 << 40) },
        false => driver.engine().members_at(),
    };
    let knows = chance.arbitrary::<bool>()?;
    let hello = forge::hello(&Mask {
        node: who,
        cluster_name: "diskeyval".into(),
        cluster: driver.engine().status().cluster_id.filter(|_| knows),
        incarnation: Incarnation(life),
        on_disk: driver.is_on_disk(),
        configuration,
    });
    let mut bytes = hello.to_vec();
    match origin {
        Origin::Accepted => bytes.extend_from_slice(&forge::confirm()),
        // Who was dialled welcomes: the same behind another kind, and the version.
        Origin::Dialled(_) => {
            let body = [&[1, 1], &bytes[5..]].concat();
            bytes = write::framed(&body);
        }
    }
    driver.give(Input::Received { conn, bytes: bytes.into() });
    Ok(())
}

fn fail_dial(driver: &mut Driver, chance: &mut Unstructured<'_>) -> Result<()> {
    let why = match chance.int_in_range(0..=1u8)? {
        0 => DialError::Refused,
        _ => DialError::Silent,
    };
    if let Some((dial, _)) = driver.dials().first().cloned() {
        driver.fail_dial(dial, why);
    }
    Ok(())
}

fn scene(driver: &Driver) -> Scene {
    let vitals = driver.engine().vitals();
    Scene {
        term: vitals.term.0,
        last: (vitals.last.index.0, vitals.last.term.0),
        commit: vitals.commit.0,
        cluster: driver.engine().status().cluster_id.unwrap_or_default().0,
        names: NAMES[..3].iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// Any word, cut anywhere, on any connection.
fn say(driver: &mut Driver, chance: &mut Unstructured<'_>) -> Result<()> {
    let Some(conn) = driver.conn(chance.arbitrary::<u8>()?.into()) else { return Ok(()) };
    let frame = write::framed(&write::frame(&scene(driver), chance)?);
    let cut = if chance.ratio(1u8, 4u8)? { chance.choose_index(frame.len())? } else { 0 };
    let frame = Bytes::from(frame);
    driver.give(Input::Received { conn, bytes: frame.slice(..cut) });
    driver.give(Input::Received { conn, bytes: frame.slice(cut..) });
    Ok(())
}

/// A word as an honest peer would say it now: so the engine leads, or follows, and commits.
fn agree(driver: &mut Driver, chance: &mut Unstructured<'_>) -> Result<()> {
    let Some(conn) = driver.conn(chance.arbitrary::<u8>()?.into()) else { return Ok(()) };
    let vitals = driver.engine().vitals();
    let (term, last) = (vitals.term, vitals.last);
    let next = Term(term.0.saturating_add(1));
    let cluster = driver.engine().status().cluster_id.unwrap_or_default();
    let word = match chance.int_in_range(0..=9u8)? {
        0 => forge::vote(next, true),
        1 | 2 => forge::vote(term, false),
        3 | 4 => forge::appended(term, last.index),
        5 => forge::confirmed(term, u64::from(chance.int_in_range(0..=9u8)?)),
        6 => forge::heartbeat(next, 1),
        7 => forge::append(next, cluster, last, next),
        8 => forge::append(term, cluster, last, term),
        _ => forge::vote_request(next, last),
    };
    driver.give(Input::Received { conn, bytes: word });
    Ok(())
}

fn drain(driver: &mut Driver, chance: &mut Unstructured<'_>) -> Result<()> {
    let at = chance.arbitrary::<u8>()?.into();
    driver.drain(at, chance.arbitrary()?);
    Ok(())
}

fn close(driver: &mut Driver, chance: &mut Unstructured<'_>) -> Result<()> {
    if let Some(conn) = driver.conn(chance.arbitrary::<u8>()?.into()) {
        driver.close(conn, CloseReason::Broken("closed".into()));
    }
    Ok(())
}

fn ask(driver: &mut Driver, chance: &mut Unstructured<'_>) -> Result<()> {
    let key = Bytes::from(vec![b'k'; chance.int_in_range(0..=70usize)?]);
    let value = Bytes::from(vec![b'v'; chance.int_in_range(0..=40usize)? * 30]);
    let request = match chance.int_in_range(0..=15u8)? {
        0..=3 => Request::Write(Command::Set { key, value }),
        4 => Request::Write(Command::Delete { key }),
        5 => {
            let expect = match chance.int_in_range(0..=2u8)? {
                0 => Expect::Absent,
                1 => Expect::Revision(3),
                _ => Expect::Value(value.clone()),
            };
            Request::Write(Command::CompareAndSet { key, expect, value })
        }
        6..=8 => Request::Get { key, read: *chance.choose(&[Read::Linearizable, Read::Lease, Read::Local])? },
        9 => Request::View,
        10 => Request::Status,
        11 => Request::Snapshot,
        12 => {
            let to = if chance.arbitrary()? { Some(name(chance)?) } else { None };
            Request::TransferLeadership { to }
        }
        13 => Request::ChangeMembers { change: change(chance)? },
        14 => Request::Recover,
        _ if chance.ratio(1u8, 4u8)? => Request::Stop,
        _ => Request::Status,
    };
    let budget = Duration::from_millis(u64::from(chance.arbitrary::<u8>()?) * 20);
    driver.ask(request, budget);
    Ok(())
}

fn change(chance: &mut Unstructured<'_>) -> Result<MemberChange> {
    let member = |chance: &mut Unstructured<'_>| -> Result<diskeyval_core::Member> {
        Ok(diskeyval_core::Member { node: name(chance)?, address: "host:7".parse().ok() })
    };
    Ok(match chance.int_in_range(0..=4u8)? {
        0 => {
            let count = chance.int_in_range(0..=4u8)?;
            MemberChange::Reconfigure { members: (0..count).map(|_| member(chance)).collect::<Result<_>>()? }
        }
        1 => MemberChange::AddLearner { member: member(chance)? },
        2 => MemberChange::Promote { node: name(chance)? },
        3 => MemberChange::Remove { node: name(chance)? },
        _ => MemberChange::UpdateAddress {
            node: name(chance)?,
            address: "other:8".parse().expect("an address"),
        },
    })
}

/// The disk does something of what it was told, or says so.
fn work(driver: &mut Driver, chance: &mut Unstructured<'_>) -> Result<()> {
    let how = chance.int_in_range(0..=31u8)?;
    let answer = match how {
        0 => Some(Err(DiskError::Full)),
        1 => Some(Err(DiskError::Missing)),
        2 => Some(Err(DiskError::Failed("broken".into()))),
        3 => Some(Ok(DiskDone::Done)),
        4 => Some(Ok(DiskDone::Listed(Vec::new()))),
        5 => Some(Ok(DiskDone::Read(Bytes::from_static(&[7; 100])))),
        _ => None,
    };
    let many = chance.int_in_range(1..=20u8)?;
    match answer {
        Some(answer) => driver.lie_about_disk(answer),
        None => (0..many).for_each(|_| driver.work()),
    }
    Ok(())
}
