//! What a node, and whoever looks at its files, makes of a directory that somebody has tampered with.

use core::time::Duration;

use arbitrary::Unstructured;
use bytes::Bytes;
use diskeyval_core::storage::{NoRecovery, Recoverer, describe};
use diskeyval_core::{
    Config, Damage, DiskDone, DiskError, DiskOp, Effect, Engine, Event, Fault, FileName, Input, Instant,
    Persistence, Seed, Settings, StorageFault,
};
use diskeyval_sim::images::Directory;

use crate::directory::{Files, tampered};

/// It is told in words, opened, opened again, and gone on from alone.
pub fn run(bytes: &[u8]) {
    let Ok(files) = tampered(&mut Unstructured::new(bytes)) else { return };
    let told = describe(&shared(&files)).fault;
    let mut directory = Directory::holding(files.clone());
    let opened = open(&mut directory, 1);
    match (&told, &opened) {
        (None, Opened::Damaged(damage)) => panic!("in words nothing is wrong, and the node says: {damage}"),
        (Some(StorageFault::Damaged(damage)), Opened::Serves) => {
            panic!("in words there is damage, and the node serves: {damage}")
        }
        _ => {}
    }
    if opened == Opened::Serves {
        let again = open(&mut directory, 2);
        assert_eq!(again, Opened::Serves, "what it has written itself is not what it can open");
    }
    go_on_alone(Directory::holding(files));
}

fn shared(files: &Files) -> Vec<(FileName, Bytes)> {
    files.iter().map(|(file, bytes)| (*file, Bytes::copy_from_slice(bytes))).collect()
}

#[derive(Debug, PartialEq, Eq)]
enum Opened {
    Serves,
    Damaged(Damage),
    Halted(Fault),
    /// It asks for nothing more, and is not open.
    Waits,
}

fn settings() -> Settings {
    let mut config = Config::new("node-1").expect("a good name");
    let mut persistence = Persistence::in_dir("data");
    persistence.compact_every = 64 << 10;
    config.persistence = Some(persistence);
    for (port, peer) in (1..).zip(["node-2", "node-3"]) {
        config = config.peer(peer, peer, port).expect("a good name");
    }
    config.limits.max_key = 64;
    config.limits.max_value = 1024;
    config.validate().expect("a good configuration")
}

fn open(directory: &mut Directory, life: u64) -> Opened {
    let mut engine = Engine::open(settings(), Seed::from_u64(life));
    let (mut inbox, mut now, mut opened) = (Vec::new(), Instant::ZERO, Opened::Waits);
    // It is opened, and then lives for a while.
    for _ in 0..400 {
        let mut turn = engine.turn(now);
        inbox.drain(..).for_each(|input| turn.input(input));
        for effect in turn.end().collect::<Vec<_>>() {
            match effect {
                Effect::Disk { op, what } => {
                    inbox.push(Input::Disk { op, result: perform(directory, &what) });
                }
                Effect::Halt { fault } => return Opened::Halted(fault),
                Effect::Event(Event::Damaged(damage)) => opened = Opened::Damaged(damage),
                _ => {}
            }
        }
        if opened == Opened::Waits && engine.found().is_some() {
            opened = Opened::Serves;
        }
        if inbox.is_empty() {
            now = now + Duration::from_millis(100);
            if now > Instant::ZERO + Duration::from_secs(2) {
                break;
            }
        }
    }
    opened
}

/// No file that is asked for may be larger than any of ours.
fn perform(directory: &mut Directory, what: &DiskOp) -> Result<DiskDone, DiskError> {
    match what {
        DiskOp::Create { size, .. } => assert!(*size < 1 << 26, "a file of {size} bytes"),
        DiskOp::Write { at, .. } => assert!(*at < 1 << 26, "a write at {at}"),
        _ => {}
    }
    directory.perform(what)
}

fn go_on_alone(mut directory: Directory) {
    let mut recoverer = Recoverer::new(Seed::from_u64(3));
    let mut accepted = false;
    for _ in 0..400 {
        let ops = recoverer.take_ops();
        if ops.is_empty() {
            if accepted || recoverer.found().is_none() {
                break;
            }
            recoverer.accept_data_loss();
            accepted = true;
        }
        for (op, what) in ops {
            match recoverer.done(op, perform(&mut directory, &what)) {
                Ok(()) => {}
                Err(NoRecovery::Full) => panic!("there is room"),
                Err(why) => {
                    assert!(!accepted, "what was found cannot be gone on from: {why}");
                    return drop(why.to_string());
                }
            }
        }
    }
    if accepted {
        assert!(recoverer.set_aside().is_some(), "it is not done");
        match open(&mut directory, 4) {
            Opened::Serves => {}
            // Whoever tampered has given it to another.
            Opened::Halted(Fault::Storage(
                StorageFault::OtherNode { .. } | StorageFault::OtherCluster { .. },
            )) => {}
            opened => panic!("nobody can go on from what was made: {opened:?}"),
        }
    }
}
