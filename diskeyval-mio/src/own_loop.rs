//! A node in a loop of the program's own, in the place of a thread.

use std::fmt;
use std::ops::ControlFlow;
use std::time::Duration;

use crate::driver::Driving;
use crate::queue::End;

/// What moves a node that has no thread for it ([`Node::with_driver`](crate::Node::with_driver)): a loop of the program's
/// own takes a [`turn`](Driver::turn) whenever there is something to do.
///
/// On Unix it is a source of events ([`mio::event::Source`]): register it with the program's own [`mio::Poll`], as
/// readable, under any token, and wait no longer than [`timeout`](Driver::timeout) says. Elsewhere, and without a `Poll`, a
/// loop over [`turn_within`](Driver::turn_within) does, which waits by itself.
///
/// ```no_run
/// use mio::{Events, Interest, Poll, Token};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let config = diskeyval_mio::Config::new("node-1")?;
/// # #[cfg(unix)]
/// # {
/// let (node, mut driver) = diskeyval_mio::Node::with_driver(config)?;
/// let mut poll = Poll::new()?;
/// poll.registry().register(&mut driver, Token(7), Interest::READABLE)?;
/// let mut events = Events::with_capacity(64);
/// loop {
///     poll.poll(&mut events, driver.timeout())?;
///     // Here the program looks at its own events.
///     if driver.turn().is_break() {
///         break; // the node has ended
///     }
/// }
/// # drop(node);
/// # }
/// # Ok(())
/// # }
/// ```
///
/// **Nothing goes on between two turns**, so the thread of the loop must not wait for an answer itself: none of the blocking calls
/// would return. There, hand over with [`submit`](crate::Node::submit) and look with
/// [`Pending::try_take`](crate::Pending::try_take) or be called ([`on_complete`](crate::Pending::on_complete), from a thread that
/// every node has), and end the node with [`stop`](crate::Node::stop). A loop that is busy for an election timeout costs its node its part.
///
/// Dropping it ends the node without handing leadership over: what is pending ends as
/// [`Refusal::Stopped`](crate::Refusal::Stopped) or [`Doubt::Stopped`](crate::Doubt::Stopped), and connections are closed.
#[must_use = "the node does not live unless turns are taken"]
pub struct Driver {
    /// Until the node has ended.
    driving: Option<Driving>,
}

impl Driver {
    pub(crate) fn new(driving: Driving) -> Driver {
        Driver { driving: Some(driving) }
    }

    /// How long there is nothing to do unless something arrives; `None` is for ever. Ask before each wait: it changes with
    /// each turn, and with time.
    pub fn timeout(&self) -> Option<Duration> {
        self.driving.as_ref()?.how_long()
    }

    /// Does what there is to do, and does not wait. To call it too often does no harm. `Break` says that the node has ended.
    ///
    /// The last turn closes: it takes up to a second until the other ends of connections have closed, too, and up to
    /// five more if the disk does not answer.
    pub fn turn(&mut self) -> ControlFlow<()> {
        self.step(Some(Duration::ZERO))
    }

    /// As [`turn`](Driver::turn), but waits until there is something to do, for `span` at the most.
    pub fn turn_within(&mut self, span: Duration) -> ControlFlow<()> {
        let own = self.timeout();
        self.step(Some(own.map_or(span, |own| own.min(span))))
    }

    fn step(&mut self, span: Option<Duration>) -> ControlFlow<()> {
        let Some(driving) = &mut self.driving else { return ControlFlow::Break(()) };
        match driving.step(span) {
            None => {
                // What is asked for from now on ends a wait, also of one who has not asked for how long.
                driving.how_long();
                ControlFlow::Continue(())
            }
            Some(end) => {
                self.finish(end);
                ControlFlow::Break(())
            }
        }
    }

    fn finish(&mut self, end: End) {
        if let Some(driving) = self.driving.take() {
            driving.finish(end);
        }
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.finish(End::Stopped);
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").field("has_ended", &self.driving.is_none()).finish_non_exhaustive()
    }
}

/// The driver waits at a `Poll` of its own, which is readable for another one when it has news. A node that has ended
/// has none.
#[cfg(unix)]
mod source {
    use std::io;
    use std::os::fd::RawFd;

    use mio::event::Source;
    use mio::unix::SourceFd;
    use mio::{Interest, Registry, Token};

    use super::{Driver, Driving};

    impl Driver {
        fn fd(&self) -> Option<RawFd> {
            self.driving.as_ref().map(Driving::as_raw_fd)
        }
    }

    impl Source for Driver {
        fn register(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
            self.fd().map_or(Ok(()), |fd| SourceFd(&fd).register(registry, token, interests))
        }

        fn reregister(&mut self, registry: &Registry, token: Token, interests: Interest) -> io::Result<()> {
            self.fd().map_or(Ok(()), |fd| SourceFd(&fd).reregister(registry, token, interests))
        }

        fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
            self.fd().map_or(Ok(()), |fd| SourceFd(&fd).deregister(registry))
        }
    }
}
