//! Writers who ask for as much as they can, and a ledger of what each write came to.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::Duration;

use diskeyval_core::Outcome;

use super::cluster::{BUDGET, Cluster, name, until};
use super::remote::Gone;
use super::words::{Ask, Told, Trouble};

/// A write to a key that nobody else writes to, and what became of it.
#[derive(Debug)]
struct Write {
    key: String,
    fate: Fate,
}

#[derive(Debug)]
enum Fate {
    Committed(u64),
    Refused,
    Unknown,
}

/// Writers at work.
pub(super) struct Load<'scope> {
    stop: &'scope AtomicBool,
    committed: &'scope AtomicU64,
    writers: Vec<ScopedJoinHandle<'scope, Vec<Write>>>,
}

/// What a load is controlled by, for as long as it lasts.
#[derive(Default)]
pub(super) struct Reins {
    stop: AtomicBool,
    committed: AtomicU64,
}

/// What all writes came to.
pub(super) struct Ledger(Vec<Write>);

impl<'scope> Load<'scope> {
    /// So many writers at each of these nodes. One whose node is not there waits until it is again.
    pub(super) fn begin<'env>(
        scope: &'scope Scope<'scope, 'env>,
        reins: &'scope Reins,
        cluster: &'scope Cluster,
        nodes: &[usize],
        writers: usize,
    ) -> Load<'scope> {
        let mut handles = Vec::new();
        for &node in nodes {
            for writer in 0..writers {
                handles.push(scope.spawn(move || write(cluster, reins, node, writer)));
            }
        }
        Load { stop: &reins.stop, committed: &reins.committed, writers: handles }
    }

    /// Waits until so many more writes are committed.
    pub(super) fn wait_for(&self, more: u64) {
        let goal = self.committed.load(Ordering::Relaxed) + more;
        until(&format!("{more} more writes are committed"), || {
            self.committed.load(Ordering::Relaxed) >= goal
        });
    }

    pub(super) fn end(mut self) -> Ledger {
        self.stop.store(true, Ordering::Relaxed);
        let join = |writer: ScopedJoinHandle<'_, Vec<Write>>| writer.join().expect("a writer does not panic");
        Ledger(std::mem::take(&mut self.writers).into_iter().flat_map(join).collect())
    }
}

impl Drop for Load<'_> {
    /// A case that fails in the middle does not wait for writers who write on and on.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn write(cluster: &Cluster, reins: &Reins, node: usize, writer: usize) -> Vec<Write> {
    let mut done = Vec::new();
    while !reins.stop.load(Ordering::Relaxed) {
        let Some(remote) = cluster.node_if_it_runs(node) else {
            thread::sleep(Duration::from_millis(5));
            continue;
        };
        let key = format!("load-{node}-{writer}-{}", done.len());
        let answer = remote.ask(Ask::Set { key: key.clone(), value: key.clone() }, BUDGET);
        let fate = match answer {
            Ok(Told::Written(Ok(Outcome::Set { revision }))) => {
                reins.committed.fetch_add(1, Ordering::Relaxed);
                Fate::Committed(revision)
            }
            Ok(Told::Written(Err(Trouble::Refused(_)))) => Fate::Refused,
            Ok(Told::Written(Err(Trouble::Unknown(_)))) | Err(Gone) => Fate::Unknown,
            other => panic!("{} answers a write by {other:?}", name(node)),
        };
        if !matches!(fate, Fate::Committed(_)) {
            // Who is refused at once does not ask again at once.
            thread::sleep(Duration::from_millis(5));
        }
        done.push(Write { key, fate });
    }
    done
}

impl Ledger {
    /// Every node that runs has each committed write, where it was said to be, and none that was refused.
    pub(super) fn check(&self, cluster: &Cluster) {
        for node in cluster.running() {
            let view = cluster.view(node);
            for Write { key, fate } in &self.0 {
                let found = view.get(key);
                match fate {
                    Fate::Committed(revision) => {
                        let found = found.unwrap_or_else(|| panic!("{} has lost {key}", name(node)));
                        assert_eq!((&found.value, found.revision), (key, *revision), "{}", name(node));
                    }
                    Fate::Refused => assert_eq!(found, None, "{key} was refused, and is there"),
                    Fate::Unknown => {}
                }
            }
        }
    }
}
