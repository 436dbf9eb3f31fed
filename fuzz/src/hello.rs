//! The first words on a connection, in both directions, to a node that has just begun or is founded already.

use core::time::Duration;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use diskeyval_core::identity::Identity;
use diskeyval_core::inspect::decode::{Format, Frames};
use diskeyval_core::{
    CloseReason, Config, ConnId, Effect, Engine, Fault, Input, Instant, NodeId, Origin, Seed,
};

use crate::write::{self, Scene};

/// Somebody connects, or is dialled, and says hello in some form, and then more.
pub fn run(bytes: &[u8]) {
    let _ = meet(&mut Unstructured::new(bytes));
}

fn meet(chance: &mut Unstructured<'_>) -> Result<()> {
    let alone = chance.arbitrary()?;
    let mut engine = engine(alone);
    let mut now = Instant::ZERO;
    let dials = turn(&mut engine, now, None);
    let status = engine.status();
    let scene = Scene {
        term: 1,
        last: (2, 1),
        commit: 2,
        cluster: status.cluster_id.unwrap_or_default().0,
        names: ["n1", "n2", "n3"].map(str::to_owned).to_vec(),
    };
    let dial = dials.iter().find_map(|effect| match effect {
        Effect::Dial { dial, .. } => Some(*dial),
        _ => None,
    });
    let origin = match dial.filter(|_| chance.arbitrary().unwrap_or_default()) {
        Some(dial) => Origin::Dialled(dial),
        None => Origin::Accepted,
    };
    let who = match chance.int_in_range(0..=5u8)? {
        0 => Identity::client("n2").expect("a good name"),
        1 => Identity::Node(NodeId::new("stranger").expect("a good name")),
        other => Identity::Node(NodeId::new(&format!("n{}", other % 3 + 1)).expect("a good name")),
    };
    let is_node = matches!(&who, Identity::Node(_));
    let conn = ConnId(1);
    let mut heard = Frames::up_to(1 << 20);
    let mut closed = false;
    turn_of(&mut engine, now, Input::Opened { conn, who, origin }, &mut heard, &mut closed, is_node);
    for _ in 0..4 {
        let frame = write::framed(&write::frame(&scene, chance)?);
        now = now + Duration::from_millis(u64::from(chance.arbitrary::<u8>()?));
        let received = Input::Received { conn, bytes: Bytes::from(frame) };
        turn_of(&mut engine, now, received, &mut heard, &mut closed, is_node);
    }
    // Whoever has not said what is needed by then is hung up on, and a node is none the worse for it.
    now = now + Duration::from_secs(60);
    let why = CloseReason::Broken("closed".into());
    turn_of(&mut engine, now, Input::Closed { conn, why }, &mut heard, &mut closed, is_node);
    assert_eq!(engine.burden().strangers, 0, "nobody is there any more");
    Ok(())
}

fn engine(alone: bool) -> Engine {
    let mut config = Config::new("n1").expect("a good name");
    if !alone {
        for (at, peer) in ["n2", "n3"].into_iter().enumerate() {
            config = config.peer(peer, peer, 1 + u16::try_from(at).unwrap_or(0)).expect("a good name");
        }
    }
    Engine::open(config.validate().expect("a good configuration"), Seed::from_u64(1))
}

fn turn(engine: &mut Engine, now: Instant, input: Option<Input>) -> Vec<Effect> {
    let mut turn = engine.turn(now);
    input.into_iter().for_each(|input| turn.input(input));
    turn.end().collect()
}

/// All that it says is understood, and it says nothing behind its own end.
fn turn_of(
    engine: &mut Engine,
    now: Instant,
    input: Input,
    heard: &mut Frames,
    closed: &mut bool,
    is_node: bool,
) {
    for effect in turn(engine, now, Some(input)) {
        match effect {
            Effect::Send { bytes, .. } => {
                assert!(!*closed, "it speaks on what it has closed");
                heard.push(bytes);
                while let Some(frame) = heard.next_frame().expect("its frames are not too large") {
                    assert!(Format::Frame.decode(&frame).is_some(), "nobody understands {frame:x?}");
                }
            }
            Effect::Close { .. } => *closed = true,
            // Members trust each other, and a node that claims to know newer ones is heard where there is no leader
            // (SECURITY.md): behind its hello one may say what state it has, and lie.
            Effect::Halt { fault: Fault::NoAgreement { .. } | Fault::Diverged { .. } } if is_node => {}
            Effect::Halt { fault } => panic!("a hello has halted it: {fault}"),
            _ => {}
        }
    }
}
