//! Histories: any text, and whatever stands in it judged.

use diskeyval_sim::history::History;
use diskeyval_sim::linear::Budget;
use diskeyval_sim::lines::{parse_line, read, to_line};
use diskeyval_sim::report::check_within;

/// The search for an order is given up soon here: that it is right is another target's.
const BUDGET: Budget = Budget { steps: 2_000 };

/// A record that was read is the same when it is written and read again, and a judgement has no surprises.
pub fn run(bytes: &[u8]) {
    let history = match read(bytes) {
        Ok(history) => history,
        Err(why) => return drop(why.to_string()),
    };
    let mut again = History::new();
    for record in history.records() {
        let line = to_line(&record);
        let same = parse_line(line.as_bytes()).unwrap_or_else(|why| panic!("{line}: {why}"));
        assert_eq!(same, record, "{line}");
        again.push(same);
    }
    let (one, other) = (check_within(&history, BUDGET), check_within(&again, BUDGET));
    assert_eq!((one.operations, one.events), (history.operations().len(), history.events().len()));
    assert_eq!((one.is_clean(), one.undecided.len()), (other.is_clean(), other.undecided.len()));
    drop(one.to_string());
}
