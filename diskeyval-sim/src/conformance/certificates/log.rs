//! What nodes say of those whom they turn away.

use std::fmt;
use std::sync::Mutex;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::conformance::remote::lock;

/// Nodes, and what they said.
static SAID: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// From now on all is kept. Another listener may be there already: then nothing is heard, and cases fail.
pub(super) fn listen() {
    let _ = tracing::subscriber::set_global_default(Ear);
}

/// Whether a node has given a reason that holds these words.
pub(super) fn has_said(node: &str, words: &str) -> bool {
    lock(&SAID).iter().any(|(who, why)| who == node && why.contains(words))
}

/// All that a node has said.
pub(super) fn of(node: &str) -> Vec<String> {
    lock(&SAID).iter().filter(|(who, _)| who == node).map(|(_, why)| why.clone()).collect()
}

struct Ear;

impl Subscriber for Ear {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("diskeyval")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut said = Said::default();
        event.record(&mut said);
        // What it says of those whom it has dialled itself is read in its status.
        if said.is_of_a_visitor {
            lock(&SAID).push((said.node, said.why));
        }
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Said {
    node: String,
    why: String,
    is_of_a_visitor: bool,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "node" => self.node = value.to_owned(),
            "why" => self.why = value.to_owned(),
            "from" => self.is_of_a_visitor = true,
            _ => {}
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
