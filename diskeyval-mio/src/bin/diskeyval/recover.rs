//! `recover`: has the node of a directory go on alone.

use std::io::{self, Write};

use diskeyval_mio::{Damage, RecoverError, Recoverable, Recovered, Recovery, StartError};

use crate::args::RecoverArgs;
use crate::exit::Failure;

pub(crate) fn run(args: &RecoverArgs) -> Result<(), Failure> {
    let found = Recoverable::open(&args.data).map_err(failure)?;
    tell(&report(found.report()))?;
    if !args.accept_data_loss {
        return Err(Failure::not_accepted(
            "nothing was changed: to have the node go on from this, alone, add `--accept-data-loss`",
        ));
    }
    let done = found.accept_data_loss().map_err(failure)?;
    tell(&what_was_done(&done))
}

fn failure(error: RecoverError) -> Failure {
    match error {
        RecoverError::Directory(error @ StartError::DirectoryInUse { .. }) => Failure::failed(error),
        RecoverError::Directory(error) => Failure::input(error),
        error => Failure::failed(error),
    }
}

fn tell(lines: &[String]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let told = lines.iter().try_for_each(|line| writeln!(out, "{line}")).and_then(|()| out.flush());
    match told {
        // Whoever closed stdout has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        told => told.map_err(|error| Failure::failed(format!("what was found cannot be told: {error}"))),
    }
}

/// What would be kept, what may never have been acknowledged, and what is lost.
fn report(found: &Recovery) -> Vec<String> {
    let Recovery { node, former, committed, kept, seen, .. } = found;
    let mut lines =
        vec![format!("node {node}, of cluster {former}"), format!("kept: everything up to entry {kept}")];
    if kept > committed {
        let what = "may never have been acknowledged to anybody, and is kept all the same";
        lines.push(if committed.0 == 0 {
            format!("doubtful: nothing here shows what was committed; some of that {what}")
        } else {
            format!(
                "doubtful: it is certain that entry {committed} was committed; what stands behind it {what}"
            )
        });
    }
    if seen > kept {
        lines.push(format!(
            "lost: entries up to {seen}, as far as can be seen, which stand behind what cannot be relied on"
        ));
    }
    let lost = if found.left_out.is_empty() {
        format!("whatever the other nodes have acknowledged behind entry {kept}")
    } else {
        format!("whatever was acknowledged behind entry {kept}, by this node or by others")
    };
    lines.push(format!("lost: {lost}"));
    let from =
        |damage: &Damage| format!("left out: {} from byte {} on: {}", damage.file, damage.at, damage.what);
    lines.extend(found.left_out.iter().map(from));
    lines
}

fn what_was_done(done: &Recovered) -> Vec<String> {
    let Recovered { report: Recovery { node, cluster, revision, .. }, set_aside, prefix, .. } = done;
    vec![
        format!("{node} goes on alone as cluster {cluster}, from revision {revision}: start it as before"),
        format!("set aside: {set_aside} files ({prefix}…); remove them once nobody needs them"),
        "the other nodes belong to another cluster from now on: wipe what they hold before they are taken in (`add`, `promote`)"
            .to_owned(),
    ]
}
