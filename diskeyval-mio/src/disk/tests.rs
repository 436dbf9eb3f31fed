//! The thread against a disk that does what a test says.

use std::sync::mpsc::{self, Receiver, Sender};

use diskeyval_core::{DiskDone, DiskError, FileName};
use mio::{Events, Poll, Token};

use super::*;

/// No test waits for this to pass.
const AGES: Duration = Duration::from_secs(60);

const SEGMENT: FileName = FileName::Segment(1);

const DONE: Result<DiskDone, DiskError> = Ok(DiskDone::Done);

fn write(file: FileName, at: u64, parts: &[&'static [u8]]) -> DiskOp {
    DiskOp::Write { file, at, parts: parts.iter().copied().map(bytes::Bytes::from_static).collect() }
}

// ---- The thread ---------------------------------------------------------------------------------------

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

struct Bench {
    disk: Disk,
    begun: Receiver<DiskOp>,
    results: Sender<Result<DiskDone, DiskError>>,
    poll: Poll,
}

impl Bench {
    fn new() -> Bench {
        let (begun_sender, begun) = mpsc::channel();
        let (results, results_receiver) = mpsc::channel();
        let poll = Poll::new().expect("a poll");
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).expect("a waker"));
        let node = NodeId::new("n1").expect("a good name");
        let performer = Scripted { begun: begun_sender, results: results_receiver };
        let disk = Disk::start(&node, performer, waker).expect("a thread");
        Bench { disk, begun, results, poll }
    }

    fn order(&mut self, orders: &[(u64, DiskOp)]) {
        for (op, what) in orders {
            self.disk.order(OpId(*op), what.clone());
        }
        self.disk.send();
    }

    fn begun(&self) -> DiskOp {
        self.begun.recv_timeout(AGES).expect("an operation begins")
    }

    /// Whether the driver is woken within `span`.
    fn woken(&mut self, span: Duration) -> bool {
        let mut events = Events::with_capacity(1);
        self.poll.poll(&mut events, Some(span)).expect("poll");
        !events.is_empty()
    }

    fn taken(&self) -> Vec<(u64, Result<DiskDone, DiskError>)> {
        let mut inputs = Vec::new();
        self.disk.take(&mut inputs);
        let report = |input| match input {
            Input::Disk { op, result } => (op.0, result),
            other => panic!("{other:?}"),
        };
        inputs.into_iter().map(report).collect()
    }
}

fn sync() -> DiskOp {
    DiskOp::Sync { file: SEGMENT }
}

#[test]
fn a_write_and_its_sync_wake_the_driver_once() {
    let mut bench = Bench::new();
    assert!(bench.disk.doze());
    bench.order(&[
        (1, write(SEGMENT, 0, &[b"a"])),
        (2, write(SEGMENT, 1, &[b"b"])),
        (3, sync()),
        (4, DiskOp::List),
    ]);
    bench.results.send(DONE).expect("heard");
    bench.results.send(Err(DiskError::Full)).expect("heard");
    for _ in 0..3 {
        bench.begun();
    }
    assert!(bench.taken().is_empty(), "nothing is told before the sync");
    assert!(bench.disk.doze() && !bench.woken(Duration::ZERO));
    bench.results.send(DONE).expect("heard");
    assert!(bench.woken(AGES));
    assert_eq!(bench.taken(), [(1, DONE), (2, Err(DiskError::Full)), (3, DONE)]);
    assert!(bench.disk.doze());
    assert_eq!(bench.begun(), DiskOp::List);
    bench.results.send(Ok(DiskDone::Listed(Vec::new()))).expect("heard");
    assert!(bench.woken(AGES));
    assert!(!bench.disk.doze(), "something is waiting");
    assert_eq!(bench.taken(), [(4, Ok(DiskDone::Listed(Vec::new())))]);
}

#[test]
fn a_driver_that_is_awake_is_not_woken() {
    let mut bench = Bench::new();
    bench.order(&[(1, sync())]);
    bench.begun();
    bench.results.send(DONE).expect("heard");
    bench.order(&[(2, sync())]);
    bench.begun();
    // The first one has been reported by now.
    assert!(!bench.woken(Duration::ZERO));
    assert_eq!(bench.taken(), [(1, DONE)]);
}

#[test]
fn what_was_handed_over_is_finished_before_the_end() {
    let mut bench = Bench::new();
    bench.order(&[(1, write(SEGMENT, 0, &[b"a"])), (2, sync())]);
    bench.disk.order(OpId(3), DiskOp::List);
    for _ in 0..3 {
        bench.results.send(DONE).expect("heard");
    }
    bench.disk.close();
    assert!(bench.disk.finish(AGES));
    assert_eq!(bench.begun.try_iter().count(), 3);
}

#[test]
fn a_disk_that_hangs_is_not_waited_for_for_ever() {
    let mut bench = Bench::new();
    bench.order(&[(1, sync())]);
    bench.begun();
    bench.disk.close();
    assert!(!bench.disk.finish(Duration::from_millis(20)));
    // And when it comes back, the thread ends.
    drop(bench.results);
    assert_eq!(bench.begun.recv_timeout(AGES), Err(mpsc::RecvTimeoutError::Disconnected));
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
    let poll = Poll::new().expect("a poll");
    let waker = Arc::new(Waker::new(poll.registry(), Token(0)).expect("a waker"));
    let mut disk = Disk::start(&NodeId::new("n1").expect("a good name"), Panicking, waker).expect("a thread");
    disk.order(OpId(1), DiskOp::List);
    disk.order(OpId(2), sync());
    disk.close();
    let desk = disk.desk.clone();
    assert!(disk.finish(AGES));
    let reports = mem::take(&mut lock(&desk.reports).waiting);
    assert!(
        matches!(&reports[..], [(OpId(1), Err(DiskError::Failed(why))), (OpId(2), Ok(DiskDone::Done))]
            if why.contains("on purpose")),
        "{reports:?}"
    );
}
