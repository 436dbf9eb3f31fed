//! The text form: what is written is read back, and what is no history is told apart with its place and
//! reason.

use diskeyval_sim::history::{Action, Outcome, Record};
use diskeyval_sim::lines::{MAX_LINE, parse_line, read, to_line};

mod generate;

use generate::{Chance, Plan, history};

#[test]
fn lines_are_exactly_these() {
    let lines = [
        r#"{"client":1,"op":"set","key":"k","value":"v","expect":null,"call":1,"return":2,"outcome":"ok","result":null,"revision":7}"#,
        r#"{"client":1,"op":"set","key":"k","value":"v","expect":null,"call":1,"return":null,"outcome":"unknown","result":null}"#,
        r#"{"client":2,"op":"get","key":"","value":null,"expect":null,"call":0,"return":2,"outcome":"ok","result":null}"#,
        r#"{"client":2,"op":"get","key":"\"\n","value":null,"expect":null,"call":0,"return":2,"outcome":"ok","result":"ü","revision":7}"#,
        r#"{"client":2,"op":"delete","key":"k","value":null,"expect":null,"call":0,"return":2,"outcome":"ok","result":true}"#,
        r#"{"client":2,"op":"delete","key":"k","value":null,"expect":null,"call":0,"return":2,"outcome":"fail","result":null}"#,
        r#"{"client":3,"op":"cas","key":"k","value":"v","expect":null,"call":0,"return":2,"outcome":"ok","result":false}"#,
        r#"{"client":3,"op":"cas","key":"k","value":null,"expect":"v","call":0,"return":18446744073709551615,"outcome":"ok","result":true}"#,
        r#"{"op":"event","node":"n1","key":"k","value":null,"revision":9,"at":5}"#,
    ];
    for line in lines {
        assert_eq!(to_line(&parse_line(line.as_bytes()).expect(line)), line);
    }
}

#[test]
fn what_does_not_apply_may_be_left_out() {
    let line = br#" {"op":"get","outcome":"ok","result":"v","call":1,"return":1,"key":"k","client":1} "#;
    let Ok(Record::Operation(operation)) = parse_line(line) else { panic!("not read") };
    assert_eq!(operation.action, Action::Get { outcome: Outcome::Ok(Some("v".into())) });
}

#[test]
fn generated_histories_come_back() {
    let records = history(&Plan { operations: 2000, ..Plan::default() });
    let lines: Vec<String> = records.iter().map(|record| format!("{}\n\n", to_line(record))).collect();
    let read = read(lines.concat().as_bytes()).expect("readable");
    let operations =
        read.operations().iter().map(|numbered| (numbered.line, Record::Operation(numbered.record.clone())));
    let events = read.events().iter().map(|numbered| (numbered.line, Record::Event(numbered.record.clone())));
    let mut back: Vec<(u64, Record)> = operations.chain(events).collect();
    back.sort_by_key(|(line, _)| *line);
    assert!(back.iter().map(|(line, _)| *line).eq((0..records.len() as u64).map(|at| 2 * at + 1)));
    assert!(back.iter().map(|(_, record)| record).eq(&records));
}

#[test]
fn errors_name_line_reason_and_beginning() {
    let good = r#"{"op":"event","node":"n1","key":"k","value":null,"revision":9,"at":5}"#;
    let cases = [
        ("{nonsense", "key must be a string at column 2"),
        ("nonsense", "not a JSON object"),
        (r#"["get","k"]"#, "not a JSON object"),
        ("{}", "missing field `op`"),
        (r#"{"op":"put","key":"k"}"#, "`op` is \"put\"; it must be"),
        (r#"{"op":"event","node":"n1","key":"k","revision":9,"at":5}"#, "`value` is missing"),
        (
            r#"{"op":"event","node":"n1","key":"k","value":null,"revision":-9,"at":5}"#,
            "invalid value: integer `-9`",
        ),
        (
            r#"{"op":"event","node":"n1","key":"k","value":null,"revision":9,"at":5,"call":1}"#,
            "an event has no `call`",
        ),
        (
            r#"{"op":"get","key":"k","client":1,"call":3,"return":2,"outcome":"ok","result":null}"#,
            "before its call",
        ),
        (
            r#"{"op":"get","key":"k","client":1,"call":3,"return":4,"outcome":"ok"}"#,
            "`result` must be what the get read",
        ),
        (
            r#"{"op":"get","key":"k","client":1,"call":3,"return":4,"outcome":"ok","result":7}"#,
            "expected null, true, false or a string",
        ),
        (
            r#"{"op":"get","key":"k","client":1,"call":3,"return":null,"outcome":"ok","result":"v"}"#,
            "there was no answer",
        ),
        (
            r#"{"op":"get","key":"k","value":"v","client":1,"call":3,"return":4,"outcome":"ok","result":"v"}"#,
            "a get has no `value`",
        ),
        (r#"{"op":"set","key":"k","value":null,"client":1,"call":3,"return":4,"outcome":"ok"}"#, "not null"),
        (
            r#"{"op":"set","key":"k","value":"v","expect":"w","client":1,"call":3,"return":4,"outcome":"ok"}"#,
            "a set has no `expect`",
        ),
        (
            r#"{"op":"cas","key":"k","value":"v","client":1,"call":3,"return":4,"outcome":"ok","result":true}"#,
            "`expect` is missing",
        ),
        (
            r#"{"op":"delete","key":"k","client":1,"call":3,"return":4,"outcome":"ok","result":null}"#,
            "true or false",
        ),
        (
            r#"{"op":"delete","key":"k","client":1,"call":3,"return":4,"outcome":"perhaps"}"#,
            "`outcome` is \"perhaps\"",
        ),
        (
            r#"{"op":"delete","key":"k","client":1,"call":3,"return":4,"outcome":"fail","revison":3}"#,
            "unknown field `revison`",
        ),
        (r#"{"op":"delete","op":"get","key":"k"}"#, "duplicate field `op`"),
    ];
    for (bad, why) in cases {
        let text = format!("{good}\n\n  \t\r\n{bad}\n{good}\n");
        let told = read(text.as_bytes()).expect_err(bad).to_string();
        assert!(told.starts_with("line 4: ") && told.contains(why), "{bad}: {told}");
        assert!(
            told.ends_with(&bad[..bad.len().min(20)]) || told.contains(&bad[..bad.len().min(100)]),
            "{told}"
        );
        assert!(!told.contains("at line"), "{told}");
    }
}

#[test]
fn a_line_has_a_limit() {
    let endless = std::io::Read::take(std::io::repeat(b'['), u64::MAX);
    let told = read(std::io::BufReader::new(endless)).expect_err("endless").to_string();
    assert!(told.starts_with(&format!("line 1: longer than {MAX_LINE} bytes")), "{told}");
    let deep = "[".repeat(100_000);
    assert!(parse_line(format!("{{\"op\":{deep}").as_bytes()).is_err());
}

/// A good line with a few bytes changed, cut or doubled is read or refused, and never more than that.
#[test]
fn damaged_lines_do_no_harm() {
    let mut chance = Chance::new(7);
    let lines: Vec<String> =
        history(&Plan { operations: 50, ..Plan::default() }).iter().map(to_line).collect();
    for _ in 0..50_000 {
        let mut line =
            lines[usize::try_from(chance.below(lines.len() as u64)).expect("small")].clone().into_bytes();
        for _ in 0..=chance.below(3) {
            let at = usize::try_from(chance.below(line.len() as u64)).expect("small");
            match chance.below(3) {
                0 => line[at] = u8::try_from(chance.below(256)).expect("a byte"),
                1 => line.truncate(at.max(1)),
                _ => line.insert(at, line[at]),
            }
        }
        if let Ok(history) = read(line.as_slice()) {
            let _ = diskeyval_sim::check(&history).to_string();
        }
    }
}
