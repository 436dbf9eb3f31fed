//! What no order can explain, seen without a search.
//!
//! A value that is brought about once is there for one stretch of time. Of the operations that bring it about
//! or ask for it, let `first` be the earliest return and `last` the latest call. If `first < last`, the value
//! is there from the one to the other (the *zone* of the value, after Gibbons and Korach), and an operation
//! that ran wholly within must have left it there.
//!
//! A stale read far behind its time shows at once in this way, where the search would try every order of what
//! is concurrent around the write.

use super::step::{ABSENT, Step, Value};

/// Whether some operation ran within the zone of a value and is at odds with it. `musts` is sorted by call;
/// `offered` says how many steps bring each value about.
pub(super) fn contradict(musts: &[Step], mays: &[Step], offered: &[u32]) -> bool {
    let mut zones: Vec<Zone> = vec![Zone::EMPTY; offered.len()];
    for step in musts.iter().chain(mays) {
        let wants = step.kind.wants().filter(|_| step.must);
        for value in [wants, step.kind.target()].into_iter().flatten() {
            zones[value as usize].extend(step);
        }
    }
    let is_brought_once = |&(value, _): &(usize, &Zone)| match value {
        // It is there at the beginning of time; a removal brings it about once more.
        value if value == ABSENT as usize => offered[value] == 0,
        value => offered[value] == 1,
    };
    zones.iter().enumerate().filter(is_brought_once).any(|(value, zone)| {
        let value = Value::try_from(value).expect("values are numbered by it");
        let start = if value == ABSENT { 0 } else { musts.partition_point(|step| step.call <= zone.first) };
        let within = musts[start..].iter().take_while(|step| step.call < zone.last);
        within.into_iter().any(|step| step.returned < zone.last && step.kind.apply(value) != Some(value))
    })
}

#[derive(Clone, Copy)]
struct Zone {
    first: u64,
    last: u64,
}

impl Zone {
    const EMPTY: Zone = Zone { first: u64::MAX, last: 0 };

    fn extend(&mut self, step: &Step) {
        self.first = self.first.min(step.returned);
        self.last = self.last.max(step.call);
    }
}
