//! The guide lists the cases, as they are. `UPDATE=1` writes them anew.

use std::collections::BTreeSet;
use std::path::Path;
use std::{env, fs};

use super::cases::Verdict;
use super::{MEETINGS, cases};

const BEGIN: &str = "<!-- Written by a test: UPDATE=1 cargo test -p diskeyval-sim --features conformance the_guide_lists -->\n";
const END: &str = "<!-- So far. -->\n";

fn cell(verdict: Verdict) -> String {
    match verdict {
        Verdict::Linked => "**let in**".to_owned(),
        Verdict::Refused(words) => format!("refused: “{words}”"),
        Verdict::CutOff(words) => format!("cut off: “{words}”"),
    }
}

fn tables() -> String {
    let mut out = String::from(
        "\n| Case | Its certificate has, or is | Made by | When it dials | When it is dialled |\n|---|---|---|---|---|\n",
    );
    for case in cases::all() {
        let (dials, dialled) = (cell(case.dials), cell(case.dialled));
        out += &format!("| `{}` | {} | {} | {dials} | {dialled} |\n", case.name, case.what, case.by);
    }
    out += "\n| Case | What it demands |\n|---|---|\n";
    for meeting in MEETINGS.iter().copied().flatten() {
        out += &format!("| `{}` | {} |\n", meeting.name, meeting.demand);
    }
    out + "\n"
}

#[test]
fn the_guide_lists_all_cases() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/certificates.md");
    let text = fs::read_to_string(&path).expect("the chapter");
    let (before, rest) = text.split_once(BEGIN).expect("where the tables begin");
    let (found, after) = rest.split_once(END).expect("where they end");
    if env::var_os("UPDATE").is_some() {
        let text = [before, BEGIN, &tables(), END, after].concat();
        return fs::write(&path, text).expect("it can be written");
    }
    assert_eq!(found, tables());
}

#[test]
fn there_are_enough_of_both_kinds() {
    let names: BTreeSet<&str> = cases::all()
        .map(|case| case.name)
        .chain(MEETINGS.iter().copied().flatten().map(|meeting| meeting.name))
        .collect();
    let meetings: usize = MEETINGS.iter().map(|meetings| meetings.len()).sum();
    assert_eq!(names.len(), cases::all().count() + meetings, "no two have one name");
    let is_good = |case: &&cases::Case| (case.dials, case.dialled) == (Verdict::Linked, Verdict::Linked);
    let good = cases::all().filter(is_good).count();
    assert!(good >= 8 && cases::all().count() - good >= 60, "{good} are let in");
}
