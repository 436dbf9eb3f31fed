//! A node starts on a directory, alone and without time: what does it find, and what does it do to the directory?

use diskeyval_core::{Damage, DiskOp, Effect, Engine, Event, Fault, Input, Instant, Seed, Settings};

use super::directory::Directory;
use super::ledger::Found;

/// What an opening has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Open(Found),
    Damaged(Damage),
    Halted(Fault),
    /// It does nothing, and is not open.
    Stuck,
}

/// More turns than any opening takes.
const ENOUGH: usize = 2_000;

/// Opens a node, and carries out what it asks for until it asks for nothing more. `watch` is told of each operation
/// before it is carried out, and whether the node is open by then.
pub(super) fn open(
    settings: &Settings,
    seed: u64,
    directory: &mut Directory,
    mut watch: impl FnMut(&Directory, &DiskOp, Option<&Found>),
) -> Outcome {
    let mut engine = Engine::open(settings.clone(), Seed::from_u64(seed));
    let mut inbox = Vec::new();
    let mut found = None;
    for _ in 0..ENOUGH {
        let mut turn = engine.turn(Instant::ZERO);
        inbox.drain(..).for_each(|input| turn.input(input));
        let mut ops = Vec::new();
        for effect in turn.end() {
            match effect {
                Effect::Disk { op, what } => ops.push((op, what)),
                Effect::Halt { fault } => return Outcome::Halted(fault),
                Effect::Event(Event::Damaged(damage)) => return Outcome::Damaged(damage),
                _ => {}
            }
        }
        found = found.or_else(|| Found::of(&engine));
        for (op, what) in ops {
            watch(directory, &what, found.as_ref());
            let result = directory.perform(&what);
            inbox.push(Input::Disk { op, result });
        }
        if inbox.is_empty() {
            return found.map_or(Outcome::Stuck, Outcome::Open);
        }
    }
    Outcome::Stuck
}
