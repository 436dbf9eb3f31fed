//! The disk: a thread that does to the node's directory what the engine asks for, so that nobody waits for it.
//!
//! Operations are carried out in order, and reported in order. What a failure means is the engine's to say.

use std::sync::mpsc::{self, Sender, SyncSender};
use std::thread::{self, JoinHandle};

use diskeyval_core::{DiskOp, Input, OpId};

use super::directory::Directory;
use super::driver::Word;

pub(super) struct Disk {
    orders: Sender<(OpId, DiskOp)>,
    thread: JoinHandle<()>,
}

impl Disk {
    pub(super) fn start(mut directory: Directory, words: SyncSender<Word>) -> Disk {
        let (orders, to_do) = mpsc::channel();
        let thread = thread::spawn(move || {
            for (op, what) in to_do {
                let result = directory.perform(what);
                // If nobody hears it any more, the rest is done all the same.
                let _ = words.send(Word::Input(Input::Disk { op, result }));
            }
        });
        Disk { orders, thread }
    }

    pub(super) fn order(&self, op: OpId, what: DiskOp) {
        // It ends only after the last order. If it has panicked, nothing is reported, and so nothing promised.
        let _ = self.orders.send((op, what));
    }

    /// Waits until all is done that was ordered, and the directory is let go.
    pub(super) fn close(self) {
        drop(self.orders);
        let _ = self.thread.join();
    }
}
