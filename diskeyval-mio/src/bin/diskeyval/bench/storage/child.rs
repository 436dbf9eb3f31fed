//! A process that measures one thing, and what it says of itself.

use std::fs;
use std::process::{Command, Stdio};

use clap::ValueEnum as _;

use super::super::place::Place;
use super::super::row::Row;
use super::{Part, StorageArgs};
use crate::exit::Failure;

/// A process that is about to be started.
pub(super) struct Child {
    part: Part,
    command: Command,
}

impl Child {
    pub(super) fn new(part: Part, args: &StorageArgs, place: &Place) -> Child {
        let own = std::env::current_exe().unwrap_or_else(|_| "diskeyval".into());
        let name = part.to_possible_value().map_or_else(String::new, |value| value.get_name().into());
        let mut command = Command::new(own);
        command.args(["bench", "storage", "--child", &name]).arg("--data").arg(place.path());
        let numbers = [
            ("--keys", args.keys.to_string()),
            ("--nodes", args.nodes.to_string()),
            ("--in-flight", args.in_flight.to_string()),
            ("--seconds", args.seconds.as_secs_f64().to_string()),
        ];
        for (name, value) in numbers {
            command.args([name, &value]);
        }
        Child { part, command }
    }

    /// A snapshot is written soon after there are so many bytes of log.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn compact_every(mut self, log: f64) -> Child {
        self.command.args(["--compact-every", &((log * 1.02) as u64).to_string()]);
        self
    }

    /// Runs it to its end, and takes its rows.
    pub(super) fn run(mut self, round: u16) -> Result<Vec<Row>, Failure> {
        let case = self.part.case();
        let failed = |what: String| Failure::failed(format!("{case}: {what}"));
        let output = self
            .command
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| failed(format!("no process can be started: {error}")))?;
        if !output.status.success() {
            return Err(failed(format!("the process failed: {}", output.status)));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let mut rows = Row::read_all(&text).map_err(|error| failed(error.to_string()))?;
        for row in &mut rows {
            row.run = u32::from(round);
        }
        Ok(rows)
    }
}

/// The most memory that this process has had, in MiB, where the system tells.
pub(super) fn peak_memory() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024.0)
}
