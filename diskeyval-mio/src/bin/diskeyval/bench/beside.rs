//! Another command that measures something by turns with ours.

use std::process::{Command, Stdio};
use std::str::FromStr;

use super::row::Row;
use crate::exit::Failure;

/// A name, and what the shell is to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Beside {
    pub(super) name: String,
    command: String,
}

impl FromStr for Beside {
    type Err = &'static str;

    fn from_str(given: &str) -> Result<Beside, &'static str> {
        match given.split_once('=') {
            Some((name, command)) if !name.is_empty() && !command.trim().is_empty() => {
                Ok(Beside { name: name.into(), command: command.into() })
            }
            _ => Err("a name and a command are needed, as etcd=./etcd.sh"),
        }
    }
}

impl Beside {
    /// Runs it to its end, and takes the rows that it prints. What else it prints is not for us.
    pub(super) fn run(&self) -> Result<Vec<Row>, Failure> {
        let cannot = |what: String| Failure::failed(format!("{}: `{}` {what}", self.name, self.command));
        let output = Command::new("sh")
            .args(["-c", &self.command])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| cannot(format!("cannot be run: {error}")))?;
        if !output.status.success() {
            return Err(cannot(format!("failed: {}", output.status)));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let rows = Row::read_all(&text).map_err(|error| cannot(format!("printed a bad row: {error}")))?;
        if rows.is_empty() {
            return Err(cannot("has printed no figures".into()));
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_may_hold_what_separates_it_from_its_name() {
        let beside: Beside = "x=A=1 ./run".parse().expect("good");
        assert_eq!((beside.name.as_str(), beside.command.as_str()), ("x", "A=1 ./run"));
        for bad in ["", "x", "x=", "=y", "x= "] {
            assert!(bad.parse::<Beside>().is_err(), "{bad}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn rows_are_taken_and_all_else_is_passed_over() {
        let row = r#"{"peer":"p","case":"put-c1","metric":"ops","unit":"1/s","run":0,"value":2.5}"#;
        let beside: Beside = format!("x=echo hello; echo '{row}'").parse().expect("good");
        let rows = beside.run().expect("it runs");
        assert_eq!((rows.len(), rows[0].value), (1, Some(2.5)));
        assert!("x=echo hello".parse::<Beside>().expect("good").run().is_err(), "no figures");
        assert!("x=exit 3".parse::<Beside>().expect("good").run().is_err(), "failed");
        assert!("x=echo '{}'".parse::<Beside>().expect("good").run().is_err(), "no row");
    }
}
