//! A node: what a program starts, asks and stops.
//!
//! ```text
//!  Node::ask ─────────────┐                                     ┌──▶ a thread for each dial, then for each link: reads
//!  link threads: received ┼─▶ words ──▶ driver.rs: one turn ────┼──▶ beside it, one that writes what it is given
//!  disk thread: reports ──┘             after the other         └──▶ the disk's thread
//! ```

mod directory;
mod disk;
mod driver;
mod links;

use std::error::Error as StdError;
use std::net::{IpAddr, TcpListener};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use diskeyval_core::tls::Policy;
use diskeyval_core::{Answer, Config, Doubt, Engine, Error, Refusal, Request, Seed};

use self::directory::Directory;
use self::disk::Disk;
use self::driver::{Driver, Word};
use self::links::Links;

/// How many words may wait for the driver. Whoever has one more waits itself, and so in the end does the peer that
/// sends too much.
const WORDS: usize = 256;

pub(crate) struct Node {
    words: SyncSender<Word>,
    driver: Mutex<Option<JoinHandle<()>>>,
}

impl Node {
    /// Starts a node behind a listener that is bound where its configuration says.
    pub(crate) fn start(listener: TcpListener, mut config: Config) -> Result<Node, Box<dyn StdError>> {
        // Whatever port 0 has become, others are told the real one.
        let local = listener.local_addr()?;
        config.port = local.port();
        if config.host.parse::<IpAddr>().is_ok() {
            config.host = local.ip().to_string();
        }
        let settings = config.validate()?;
        // The core checks certificate, key and CA, and says what TLS is allowed.
        let tls = config.tls.as_ref().ok_or("there is no certificate, and nodes speak only mutual TLS")?;
        let policy = Policy::from_pem(tls, settings.node_id())?;
        // All chance of the engine comes from here, the name of this life among it: it must be real.
        let mut seed = [0; 32];
        let provider = policy.client_config().crypto_provider().clone();
        provider.secure_random.fill(&mut seed).map_err(|_| "the generator of random numbers has failed")?;
        let kept = config.persistence.as_ref();
        let directory = kept.map(|kept| Directory::open(kept.dir.as_ref())).transpose()?;

        let (words, heard) = mpsc::sync_channel(WORDS);
        let links = Links::open(listener, policy, &settings, words.clone())?;
        let disk = directory.map(|directory| Disk::start(directory, words.clone()));
        let driver = Driver::new(Engine::open(settings, Seed(seed)), links, disk, heard);
        let driver = Mutex::new(Some(thread::spawn(move || driver.live())));
        Ok(Node { words, driver })
    }

    /// Hands a request to the engine, and waits for its answer.
    pub(crate) fn ask(&self, request: Request, budget: Duration) -> Answer {
        let (answer, answered) = mpsc::channel();
        let (never, lost) = (instead(&request, Refusal::Stopped.into()), Error::Unknown(Doubt::Stopped));
        let lost = instead(&request, lost);
        match self.words.send(Word::Ask { request, budget, answer }) {
            // It has not come to the engine.
            Err(_) => never,
            // Exactly one answer comes for each, unless the driver ends before it has even looked at it, or panics.
            Ok(()) => answered.recv().unwrap_or(lost),
        }
    }

    /// Ends the node in order, and waits until nothing of it is left.
    pub(crate) fn stop(&self) {
        self.ask(Request::Stop, Duration::from_secs(60));
        if let Some(driver) = lock(&self.driver).take() {
            // If it has panicked, it is over as well.
            let _ = driver.join();
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The answer to a request that no engine answers any more.
fn instead(request: &Request, error: Error) -> Answer {
    match request {
        Request::Write(_) => Answer::Written(Err(error)),
        // A read has no effect that could be in doubt.
        Request::Get { .. } => Answer::Read(Err(Refusal::Stopped.into())),
        Request::Snapshot => Answer::Snapshot(Err(error)),
        Request::TransferLeadership { .. } => Answer::Transferred(Err(error)),
        Request::ChangeMembers { .. } => Answer::MembersChanged(Err(error)),
        Request::Recover => Answer::Recovered(Err(error)),
        _ => Answer::Stopped,
    }
}

/// A thread that panicked while it held the lock has left nothing half done: the locks here hold plain lists.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
