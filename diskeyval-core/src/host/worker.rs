//! Who carries out what is ordered of a node's directory, one after the other: on whichever thread the adapter has for it.

use std::any::Any;
use std::format;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::string::String;
use std::time::Duration;
use std::vec::Vec;

use tracing::{error, warn};

use super::{Clock, Perform, belongs_to, verb};
use crate::id::{NodeId, OpId};
use crate::io::{DiskDone, DiskError, DiskOp};

/// What takes longer than this is worth a word in the log.
const SLOW: Duration = Duration::from_secs(1);

/// What became of an operation.
pub type DiskReport = (OpId, Result<DiskDone, DiskError>);

/// One for each directory. Dropping it lets go of the directory, which may block.
#[derive(Debug)]
pub struct Worker<P> {
    node: NodeId,
    performer: P,
    clock: Clock,
    /// Nothing could be made for want of room, and that was told.
    is_full: bool,
}

impl<P: Perform> Worker<P> {
    /// The one of this node.
    pub fn new(node: NodeId, performer: P) -> Worker<P> {
        Worker { node, performer, clock: Clock::new(), is_full: false }
    }

    /// Carries out what one turn has ordered, in its order. May block. What has become of it is reported as soon as it is known, but
    /// what belongs together is reported together.
    pub fn work(&mut self, batch: Vec<(OpId, DiskOp)>, mut report: impl FnMut(&mut Vec<DiskReport>)) {
        let mut done = Vec::new();
        let mut batch = batch.into_iter().peekable();
        while let Some((op, what)) = batch.next() {
            let more_follows = batch.peek().is_some_and(|(_, next)| belongs_to(&what, next));
            done.push((op, self.carry_out(what)));
            if !more_follows {
                report(&mut done);
                done.clear();
            }
        }
    }

    fn carry_out(&mut self, what: DiskOp) -> Result<DiskDone, DiskError> {
        let (node, verb, begin) = (&self.node, verb(&what), self.clock.now());
        let makes = matches!(what, DiskOp::Create { size: 1.., .. });
        let result =
            catch_unwind(AssertUnwindSafe(|| self.performer.perform(what))).unwrap_or_else(|panic| {
                let why = text_of(&*panic);
                error!(%node, why, "an operation on the disk has panicked, which is a bug");
                Err(DiskError::Failed(format!("{verb}: this program has a bug: {why}")))
            });
        let took = self.clock.now().since(begin);
        if took > SLOW {
            warn!(%node, ?took, "the disk is slow: {verb}");
        }
        // A node that starts waits for room, and has nobody to tell but the log. It is tried again and again.
        match &result {
            Err(DiskError::Full) if makes && !self.is_full => {
                warn!(%node, "the disk is full, and what follows waits for room: {verb}");
                self.is_full = true;
            }
            Ok(_) if makes => self.is_full = false,
            _ => {}
        }
        result
    }
}

/// What a panic said, if it said it in words.
pub fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no text)")
}
