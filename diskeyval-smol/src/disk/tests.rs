//! The task against a disk that does what a test says.

use std::sync::mpsc::{self, Receiver, Sender};

use diskeyval_core::{DiskDone, DiskError, FileName};
use futures_lite::future::block_on;

use super::*;

/// No test waits for this to pass.
const AGES: Duration = Duration::from_secs(60);

const SEGMENT: FileName = FileName::Segment(1);

const DONE: Result<DiskDone, DiskError> = Ok(DiskDone::Done);

/// A disk on which each operation takes until the test lets it go on.
struct Scripted {
    begun: Sender<DiskOp>,
    results: Receiver<Result<DiskDone, DiskError>>,
}

impl Perform for Scripted {
    fn perform(&mut self, what: DiskOp) -> Result<DiskDone, DiskError> {
        // The test may have seen enough.
        let _ = self.begun.send(what);
        self.results.recv().unwrap_or(DONE)
    }
}

fn started(performer: impl Perform, executor: &Executor<'static>) -> (Disk, Arc<Bell>) {
    let bell = Arc::new(Bell::default());
    let node = NodeId::new("n1").expect("a good name");
    (Disk::start(node, performer, bell.clone(), executor), bell)
}

fn scripted() -> (Scripted, Receiver<DiskOp>, Sender<Result<DiskDone, DiskError>>) {
    let (begun_sender, begun) = mpsc::channel();
    let (results_sender, results) = mpsc::channel();
    (Scripted { begun: begun_sender, results }, begun, results_sender)
}

fn sync() -> DiskOp {
    DiskOp::Sync { file: SEGMENT }
}

fn write() -> DiskOp {
    DiskOp::Write { file: SEGMENT, at: 0, parts: Vec::new() }
}

fn taken(disk: &Disk) -> Vec<(u64, Result<DiskDone, DiskError>)> {
    let mut inputs = Vec::new();
    disk.take(&mut inputs);
    let report = |input| match input {
        Input::Disk { op, result } => (op.0, result),
        other => panic!("{other:?}"),
    };
    inputs.into_iter().map(report).collect()
}

#[test]
fn operations_are_done_and_reported_in_order_and_a_write_with_its_sync() {
    let executor = Executor::new();
    let (performer, begun, results) = scripted();
    let (mut disk, bell) = started(performer, &executor);
    disk.order(OpId(1), write());
    disk.order(OpId(2), sync());
    disk.order(OpId(3), DiskOp::List);
    disk.send();
    results.send(Err(DiskError::Full)).expect("heard");
    block_on(executor.run(async {
        let (disk, begun) = (&disk, unblock(move || (begun.recv(), begun.recv(), begun)));
        let (first, second, begun) = begun.await;
        assert_eq!((first, second), (Ok(write()), Ok(sync())));
        assert!(taken(disk).is_empty(), "nothing is told before the sync");
        results.send(DONE).expect("heard");
        bell.heard().await;
        assert_eq!(taken(disk), [(1, Err(DiskError::Full)), (2, DONE)]);
        assert_eq!(unblock(move || begun.recv()).await, Ok(DiskOp::List));
        results.send(DONE).expect("heard");
        bell.heard().await;
        assert_eq!(taken(disk), [(3, DONE)]);
    }));
}

#[test]
fn what_was_handed_over_is_finished_before_the_end() {
    let executor = Executor::new();
    let (performer, begun, results) = scripted();
    let (mut disk, _bell) = started(performer, &executor);
    for op in 1..=3 {
        disk.order(OpId(op), sync());
        results.send(DONE).expect("heard");
    }
    assert!(block_on(executor.run(disk.finish(AGES))));
    assert_eq!(begun.try_iter().count(), 3);
}

#[test]
fn a_disk_that_hangs_is_not_waited_for_for_ever() {
    let executor = Executor::new();
    let (performer, begun, results) = scripted();
    let (mut disk, _bell) = started(performer, &executor);
    disk.order(OpId(1), sync());
    assert!(!block_on(executor.run(disk.finish(Duration::from_millis(20)))));
    // With its driver goes the executor. And when the operation comes back, the disk is let go.
    drop(executor);
    drop(results);
    assert_eq!(begun.recv_timeout(AGES), Ok(sync()));
    assert_eq!(begun.recv_timeout(AGES), Err(mpsc::RecvTimeoutError::Disconnected));
}

#[test]
fn a_panic_is_a_failure_of_one_operation() {
    struct Panicking;
    impl Perform for Panicking {
        fn perform(&mut self, what: DiskOp) -> Result<DiskDone, DiskError> {
            assert!(what != DiskOp::List, "on purpose");
            DONE
        }
    }
    let executor = Executor::new();
    let (mut disk, _bell) = started(Panicking, &executor);
    disk.order(OpId(1), DiskOp::List);
    disk.order(OpId(2), sync());
    let desk = disk.desk.clone();
    assert!(block_on(executor.run(disk.finish(AGES))));
    let reports = mem::take(&mut *lock(&desk.reports));
    assert!(
        matches!(&reports[..], [(OpId(1), Err(DiskError::Failed(why))), (OpId(2), Ok(DiskDone::Done))]
            if why.contains("on purpose")),
        "{reports:?}"
    );
}
