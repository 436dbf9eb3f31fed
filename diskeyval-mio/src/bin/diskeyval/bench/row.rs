//! One figure a line, as JSON: how measurements of different programs come together.

use serde::{Deserialize, Serialize};

/// The name of the blocking adapter among programs.
pub(super) const OURS: &str = "diskeyval";

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    /// The program.
    pub(super) peer: String,
    /// What was done.
    pub(super) case: String,
    /// What was measured of it.
    pub(super) metric: String,
    pub(super) unit: String,
    /// Which of several runs.
    pub(super) run: u32,
    /// `None` where there was nothing to measure.
    pub(super) value: Option<f64>,
}

impl Row {
    /// A figure of this program's.
    pub(super) fn of(
        peer: &str,
        case: &str,
        metric: &str,
        unit: &str,
        round: u16,
        value: Option<f64>,
    ) -> Row {
        let (peer, case) = (peer.into(), case.into());
        Row { peer, case, metric: metric.into(), unit: unit.into(), run: u32::from(round), value }
    }

    /// A figure of the blocking adapter.
    pub(super) fn ours(case: &str, metric: &str, unit: &str, round: u16, value: Option<f64>) -> Row {
        Row::of(OURS, case, metric, unit, round, value)
    }

    /// The rows in what a program has printed; what else it prints is not for us.
    pub(super) fn read_all(text: &str) -> Result<Vec<Row>, serde_json::Error> {
        text.lines().filter(|line| line.starts_with('{')).map(serde_json::from_str).collect()
    }

    /// What must agree for two cases to be compared: the operation and how many are in flight, which stand at
    /// the end (`put-c64`).
    pub(super) fn shape(case: &str) -> &str {
        let mut dashes = case.rmatch_indices('-').map(|(at, _)| at);
        dashes.nth(1).map_or(case, |at| &case[at + 1..])
    }
}

/// The middle of several figures.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_of_a_case_is_its_last_two_words() {
        assert_eq!(Row::shape("tls-tmpfs-put-c64"), "put-c64");
        assert_eq!(Row::shape("put-c64"), "put-c64");
        assert_eq!(Row::shape("put"), "put");
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
