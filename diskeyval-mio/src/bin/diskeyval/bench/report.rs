//! What was measured, as rows and as tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write as _};

use super::row::{Row, median};
use crate::exit::Failure;

/// Figures by round, and whose they are.
#[derive(Default)]
pub(super) struct Report {
    ours: Vec<(u16, Row)>,
    others: Vec<(u16, String, Row)>,
}

/// The middle figures of one case in one round.
type ByRound = BTreeMap<u16, f64>;

impl Report {
    pub(super) fn add_ours(&mut self, round: u16, rows: Vec<Row>, print: bool) -> Result<(), Failure> {
        print_rows(&rows, print)?;
        self.ours.extend(rows.into_iter().map(|row| (round, row)));
        Ok(())
    }

    pub(super) fn add(&mut self, round: u16, name: &str, rows: Vec<Row>, print: bool) -> Result<(), Failure> {
        print_rows(&rows, print)?;
        self.others.extend(rows.into_iter().map(|row| (round, name.into(), row)));
        Ok(())
    }

    /// The tables: on stdout, or if the rows are there, on stderr.
    pub(super) fn finish(&self, json: bool) -> Result<(), Failure> {
        let ratios = self.ratios();
        if json {
            let row = |ratio: &Ratio, round: u16, value: f64| Row {
                peer: format!("diskeyval/{}", ratio.name),
                case: format!("{}/{}", ratio.ours, ratio.theirs),
                metric: format!("{}-ratio", ratio.metric),
                unit: "x".into(),
                run: u32::from(round),
                value: Some(value),
            };
            let rows: Vec<Row> =
                ratios.iter().flat_map(|r| r.rounds.iter().map(|(&at, &value)| row(r, at, value))).collect();
            print_rows(&rows, true)?;
            let _ = write!(io::stderr(), "{}", self.tables(&ratios));
            return Ok(());
        }
        write!(io::stdout(), "{}", self.tables(&ratios)).map_err(cannot_print)
    }

    fn tables(&self, ratios: &[Ratio]) -> String {
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{:<22} {:>11} {:>23} {:>10} {:>10} {:>12} {:>12}",
            "", "ops/s", "[min .. max]", "p50 us", "p99 us", "writes/sync", "bytes/byte"
        );
        let mut cases: Vec<&str> = Vec::new();
        for (_, row) in &self.ours {
            if !cases.contains(&row.case.as_str()) {
                cases.push(&row.case);
            }
        }
        for case in cases {
            let all = |metric: &str| -> Vec<f64> {
                let rows = self.ours.iter().filter(|(_, row)| row.case == case && row.metric == metric);
                rows.filter_map(|(_, row)| row.value).collect()
            };
            let ops = all("ops");
            let (min, max) = bounds(ops.iter().copied());
            let middle = |values| median(values).unwrap_or(f64::NAN);
            let spread = format!("[{min:.0} .. {max:.0}]");
            let (p50, p99) = (middle(all("p50")), middle(all("p99")));
            let rare = |metric| median(all(metric)).map_or(String::from("-"), |value| format!("{value:.2}"));
            let (syncs, bytes) = (rare("writes-per-sync"), rare("bytes-per-payload-byte"));
            let _ = writeln!(
                text,
                "{case:<22} {:>11.0} {spread:>23} {p50:>10.0} {p99:>10.0} {syncs:>12} {bytes:>12}",
                middle(ops)
            );
        }
        if ratios.is_empty() {
            return text;
        }
        let _ = writeln!(text, "\n{:<70} {:>8}   by round", "ours / theirs", "median");
        for ratio in ratios {
            let rounds: Vec<String> = ratio.rounds.values().map(|value| format!("{value:.2}")).collect();
            let what = format!("{} of {} / {} {}", ratio.metric, ratio.ours, ratio.name, ratio.theirs);
            let middle = median(ratio.rounds.values().copied().collect()).unwrap_or(f64::NAN);
            let _ = writeln!(text, "{what:<70} {middle:>7.2}x   {}", rounds.join(" "));
        }
        text
    }

    /// Ours over theirs, round by round, of what can be compared.
    fn ratios(&self) -> Vec<Ratio> {
        let mut ours: BTreeMap<(&str, &str), ByRound> = BTreeMap::new();
        let mut theirs: BTreeMap<(&str, &str, &str), ByRound> = BTreeMap::new();
        for metric in ["ops", "p99"] {
            for (case, rounds) in middles(self.ours.iter().map(|(round, row)| (*round, row)), metric) {
                ours.insert((case, metric), rounds);
            }
            let mut names: Vec<&str> = self.others.iter().map(|(_, name, _)| name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let rows = self.others.iter().filter(|(_, other, _)| other == name);
                for (case, rounds) in middles(rows.map(|(round, _, row)| (*round, row)), metric) {
                    theirs.insert((name, case, metric), rounds);
                }
            }
        }
        let mut ratios = Vec::new();
        for (&(case, metric), own) in &ours {
            for (&(name, other, _), values) in theirs.iter().filter(|((_, _, m), _)| *m == metric) {
                let same_name = theirs.contains_key(&(name, case, metric));
                let fits = if same_name { other == case } else { Row::shape(other) == Row::shape(case) };
                if !fits {
                    continue;
                }
                let rounds = own.iter().filter_map(|(at, own)| Some((*at, own / values.get(at)?))).collect();
                ratios.push(Ratio {
                    name: name.into(),
                    ours: case.into(),
                    theirs: other.into(),
                    metric: metric.into(),
                    rounds,
                });
            }
        }
        ratios.sort_by(|a, b| (a.metric != "ops", &a.name).cmp(&(b.metric != "ops", &b.name)));
        ratios
    }
}

/// Ours over theirs.
#[derive(Debug)]
struct Ratio {
    name: String,
    ours: String,
    theirs: String,
    metric: String,
    rounds: ByRound,
}

/// For each case the middle of what a round has brought.
fn middles<'r>(rows: impl Iterator<Item = (u16, &'r Row)>, metric: &str) -> BTreeMap<&'r str, ByRound> {
    let mut found: BTreeMap<&str, BTreeMap<u16, Vec<f64>>> = BTreeMap::new();
    for (round, row) in rows.filter(|(_, row)| row.metric == metric) {
        let values = found.entry(&row.case).or_default().entry(round).or_default();
        values.extend(row.value.filter(|value| *value > 0.0));
    }
    let of_rounds = |rounds: BTreeMap<u16, Vec<f64>>| -> ByRound {
        rounds.into_iter().filter_map(|(round, values)| Some((round, median(values)?))).collect()
    };
    found.into_iter().map(|(case, rounds)| (case, of_rounds(rounds))).collect()
}

pub(super) fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), value| (min.min(value), max.max(value)))
}

pub(super) fn print_rows(rows: &[Row], print: bool) -> Result<(), Failure> {
    if !print {
        return Ok(());
    }
    let mut out = io::stdout().lock();
    for row in rows {
        let line = serde_json::to_string(row).map_err(Failure::failed)?;
        writeln!(out, "{line}").map_err(cannot_print)?;
    }
    out.flush().map_err(cannot_print)
}

pub(super) fn cannot_print(error: io::Error) -> Failure {
    Failure::failed(format!("the figures cannot be printed: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(case: &str, value: f64) -> Row {
        Row {
            peer: "p".into(),
            case: case.into(),
            metric: "ops".into(),
            unit: "1/s".into(),
            run: 0,
            value: Some(value),
        }
    }

    #[test]
    fn ratios_are_taken_round_by_round_of_cases_that_end_alike() {
        let mut report = Report::default();
        for (round, ours, theirs) in [(0, 60.0, [1.0, 2.0, 3.0]), (1, 20.0, [4.0, 4.0, 4.0])] {
            report.add_ours(round, vec![row("embed-mem-put-c64", ours)], false).expect("kept");
            let rows = theirs.map(|value| row("tls-put-c64", value)).to_vec();
            report.add(round, "etcd", rows, false).expect("kept");
            report.add(round, "etcd", vec![row("tls-put-c1", 1.0)], false).expect("kept");
        }
        let ratios = report.ratios();
        assert_eq!(ratios.len(), 1, "{ratios:?}");
        assert_eq!(ratios[0].rounds, BTreeMap::from([(0, 30.0), (1, 5.0)]));
    }

    #[test]
    fn a_case_of_the_same_name_is_compared_alone() {
        let mut report = Report::default();
        report.add_ours(0, vec![row("embed-mem-put-c1", 1.0)], false).expect("kept");
        let rows = vec![row("embed-mem-put-c1", 2.0), row("remote-mem-put-c1", 4.0)];
        report.add(0, "floor", rows, false).expect("kept");
        let ratios = report.ratios();
        assert_eq!(ratios.len(), 1, "{ratios:?}");
        assert_eq!((ratios[0].theirs.as_str(), ratios[0].rounds[&0]), ("embed-mem-put-c1", 0.5));
    }
}
