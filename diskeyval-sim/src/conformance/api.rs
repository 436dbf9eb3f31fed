//! The level of the two products: what programs are offered, method by method, and what they are told.
//!
//! A product implements [`Product`], and for what it gives out [`Calls`], [`Awaited`], [`Told`], [`Group`] and [`Lost`]:
//! each of their methods is one of the product's, and nothing else. One that is asynchronous blocks on it.
//!
//! ```text
//!  cases/ ──▶ calls.rs: Node, Pending, Events, Cluster, Recoverable ──▶ the product's methods
//!    │             └─ notes what was called: a whole run has to come to all of them
//!    └──────▶ names.rs: what is public in the product's sources has to be in that list
//! ```
//!
//! All nodes are in this process, on loopback. After each case no thread and no descriptor may be left, so one case runs
//! at a time.

mod calls;
mod cases;
mod names;
mod town;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use diskeyval_core::host::{RecoverError, StartError};
use diskeyval_core::{Config, NodeId, Tls};

pub use calls::{
    Another, Awaited, Calls, Cluster, Drive, Events, Group, Lost, METHODS, Node, Parcel, Pending,
    Recoverable, Told,
};
pub use names::ALONE;

use super::leftovers::left;
use super::runner::{self, Ready, Verdict, say};
use town::Town;

/// What programs link.
pub trait Product: Sync {
    /// Its runtime: `mio` or `smol`, as in [`ALONE`].
    fn name(&self) -> &'static str;

    /// Folders and files in which its public methods stand.
    fn sources(&self) -> Vec<PathBuf>;

    /// As [`Adapter::certificates`](super::Adapter::certificates).
    ///
    /// # Errors
    /// Why there are none.
    fn certificates(&self, nodes: &[NodeId]) -> Result<Vec<Tls>, String>;

    /// As [`Adapter::is_of_the_process`](super::Adapter::is_of_the_process).
    fn is_of_the_process(&self, thread: &str) -> bool;

    /// `Node::start`.
    ///
    /// # Errors
    /// Those of the product.
    fn start(&self, config: Config) -> Result<Node, StartError>;

    /// `Node::start_on`.
    ///
    /// # Errors
    /// Those of the product.
    fn start_on(&self, listener: TcpListener, config: Config) -> Result<Node, StartError>;

    /// `Node::with_driver`.
    ///
    /// # Errors
    /// Those of the product.
    fn with_driver(&self, config: Config) -> Result<(Node, Drive), StartError>;

    /// `Node::with_driver_on`.
    ///
    /// # Errors
    /// Those of the product.
    fn with_driver_on(&self, listener: TcpListener, config: Config) -> Result<(Node, Drive), StartError>;

    /// `Cluster::dev`.
    ///
    /// # Errors
    /// Those of the product, as text.
    fn dev(&self, nodes: usize) -> Result<Cluster, String>;

    /// `Cluster::dev_with`.
    ///
    /// # Errors
    /// Those of the product, as text.
    fn dev_with(&self, nodes: usize, adjust: &dyn Fn(Config) -> Config) -> Result<Cluster, String>;

    /// `Recoverable::open`.
    ///
    /// # Errors
    /// Those of the product.
    fn recoverable(&self, dir: &Path) -> Result<Recoverable, RecoverError>;
}

/// Runs all cases, or those whose names hold what the command line says, as [`super::main`] does. If all of them were run,
/// every method must have been called.
pub fn main(product: &impl Product) -> ExitCode {
    // What belongs to the process, or to the suite, and not to a node: it is there after the first cluster.
    let first = OnceLock::new();
    let first = &|| {
        *first.get_or_init(|| {
            cases::warm_up(&Town::new(product));
            left(&|thread| product.is_of_the_process(thread))
        })
    };
    let ready = |case: &'static cases::Case| Ready {
        name: case.name,
        run: Box::new(move || {
            let first = first();
            (case.run)(&Town::new(product));
            nothing_is_left(product, first);
        }),
    };
    let cases: Vec<_> = cases::CASES.iter().map(ready).collect();
    match runner::run(&cases, 1) {
        Verdict::Over(code) => code,
        Verdict::AllPass => {
            let missed = calls::missed();
            if missed.is_empty() {
                return ExitCode::SUCCESS;
            }
            say(&format!("no case has called {missed:?}"));
            ExitCode::FAILURE
        }
    }
}

/// What a node has is given back in its own time, where nobody waits for its end.
fn nothing_is_left(product: &impl Product, first: (usize, usize)) {
    let end = Instant::now() + AGES;
    loop {
        let now = left(&|thread| product.is_of_the_process(thread));
        if now.0 <= first.0 && now.1 <= first.1 {
            return;
        }
        assert!(Instant::now() < end, "threads and descriptors: {now:?} are left of {first:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// How long anything may take on a busy machine. No case waits for it to pass.
const AGES: Duration = Duration::from_secs(60);
