//! How a node's process comes to its end: who asks for it, and what is waited for.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use diskeyval_mio::Node;

use crate::terminal;

/// Why the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Somebody typed `quit`, or closed the terminal's input.
    Quit,
    /// A signal came.
    Signal,
    /// The node has ended by itself.
    Node,
    /// The node has served, and is no member any more.
    Removed,
}

/// What the threads of a node's process share.
pub(crate) struct Session {
    endings: Sender<Ending>,
    ending: AtomicBool,
    busy: Mutex<bool>,
    idle: Condvar,
}

impl Session {
    pub(crate) fn new(endings: Sender<Ending>) -> Arc<Session> {
        let (ending, busy, idle) = (AtomicBool::new(false), Mutex::new(false), Condvar::new());
        Arc::new(Session { endings, ending, busy, idle })
    }

    /// Asks for the end. Says whether it had been asked for before.
    pub(crate) fn end(&self, why: Ending) -> bool {
        let again = self.ending.swap(true, Ordering::AcqRel);
        if !again {
            // Whoever listens is gone only when the process ends anyway.
            let _ = self.endings.send(why);
        }
        again
    }

    /// Whether the end has been asked for.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// From now on, and until what is returned is dropped, somebody waits for an answer.
    pub(crate) fn busy(&self) -> Busy<'_> {
        *self.lock() = true;
        Busy(self)
    }

    /// Waits for the answer that is being given, if one is, but not for long: nobody may be reading it.
    pub(crate) fn wait_idle(&self, span: Duration) {
        let busy = self.lock();
        let _guard = self.idle.wait_timeout_while(busy, span, |busy| *busy);
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As long as this lives, somebody waits for an answer.
pub(crate) struct Busy<'a>(&'a Session);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        *self.0.lock() = false;
        self.0.idle.notify_all();
    }
}

/// From now on SIGINT and SIGTERM ask for the end in order, and end the process at once if that has been asked
/// for already.
#[cfg(unix)]
pub(crate) fn heed_signals(session: &Arc<Session>) -> std::io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;

    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let session = session.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if session.end(Ending::Signal) {
                terminal::restore();
                process::exit(128 + signal);
            }
        }
    })?;
    Ok(())
}

/// From now on SIGHUP has a node look at the files of its certificates.
#[cfg(unix)]
pub(crate) fn reload_on_hangup(node: &Node) -> std::io::Result<()> {
    use signal_hook::consts::SIGHUP;
    use signal_hook::iterator::Signals;

    let mut signals = Signals::new([SIGHUP])?;
    let node = node.clone();
    std::thread::Builder::new().name("hangups".to_owned()).spawn(move || {
        for _ in signals.forever() {
            // What is wrong is told by the node, and stands in its log.
            let _ = node.reload();
        }
    })?;
    Ok(())
}

/// There is no such signal elsewhere.
#[cfg(not(unix))]
pub(crate) fn reload_on_hangup(_: &Node) -> std::io::Result<()> {
    Ok(())
}

/// Elsewhere, the system ends the process.
#[cfg(not(unix))]
pub(crate) fn heed_signals(_: &Arc<Session>) -> std::io::Result<()> {
    Ok(())
}
