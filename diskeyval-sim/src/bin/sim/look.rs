//! Runs one plan, and writes what is wanted of it.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use diskeyval_sim::lines;
use diskeyval_sim::notes::Note;
use diskeyval_sim::picture::{Title, Verdict, draw};
use diskeyval_sim::plan::Plan;
use diskeyval_sim::run::{Ran, Wanted, run};

use crate::args::LookArgs;
use crate::exit::{Failure, VIOLATED, say};

/// Runs a plan that `command` runs, too.
pub(crate) fn look(plan: &Plan, seed: u64, command: &str, args: &LookArgs) -> Result<ExitCode, Failure> {
    say(format_args!("{}", plan.setting).to_string().trim_end());
    let started = Instant::now();
    let ran = observe(plan, seed, command, args)?;
    // Not with the rest, which is the same each time.
    let speed = ran.simulated.as_secs_f64() / started.elapsed().as_secs_f64();
    let _ = writeln!(
        io::stderr(),
        "{speed:.0} simulated seconds in a real second, all checks and reports included"
    );
    say(&ran);
    Ok(tell(&ran, command))
}

/// What is violated, and how to see it again.
pub(crate) fn tell(ran: &Ran, command: &str) -> ExitCode {
    match &ran.violation {
        None => {
            say("nothing is violated");
            ExitCode::SUCCESS
        }
        Some(violation) => {
            say(format_args!("violated: {violation}"));
            say(format_args!("replay: {command}"));
            ExitCode::from(VIOLATED)
        }
    }
}

/// Runs a plan, and writes what is wanted.
pub(crate) fn observe(plan: &Plan, seed: u64, command: &str, args: &LookArgs) -> Result<Ran, Failure> {
    if args.history.is_some() && (plan.parts() || plan.forgets()) {
        return Err(Failure::new(
            "there is no history to write: in this plan a node goes on alone, or a directory is put back from a copy, and \
             what clients are told is not that of one cluster. Leave --history out, or take another seed",
        ));
    }
    let mut trace = args.trace.as_deref().map(create).transpose()?;
    let mut html = args.html.as_deref().map(create).transpose()?;
    let mut history = args.history.as_deref().map(create).transpose()?;
    let mut notes: Vec<Note> = Vec::new();
    let mut failed = None;
    let keep = html.is_some();
    let tell = |note: Note| {
        if let Some((file, out)) = &mut trace
            && let Err(failure) = written(file, writeln!(out, "{note}"))
        {
            failed.get_or_insert(failure);
        }
        if keep {
            notes.push(note);
        }
    };
    let watched = args.trace.is_some() || keep;
    let wanted = Wanted { notes: watched.then(|| Box::new(tell) as _), history: true };
    let ran = run(plan, wanted);
    if let Some(failure) = failed {
        return Err(failure);
    }
    if let Some((file, out)) = &mut trace {
        written(file, out.flush())?;
    }
    if let Some((file, out)) = &mut html {
        let verdict = ran.violation.as_ref();
        let title = Title {
            command: command.to_owned(),
            seed,
            settings: plan.setting.to_string().lines().map(ToOwned::to_owned).collect(),
            verdict: verdict.map_or(Verdict::Passed, |violation| Verdict::Failed(violation.to_string())),
        };
        let page = draw(&title, plan.setting.nodes, &notes);
        written(file, out.write_all(page.as_bytes()).and_then(|()| out.flush()))?;
    }
    if let (Some((file, out)), Some(recorded)) = (&mut history, &ran.history) {
        let mut lines = recorded.records().map(|record| lines::to_line(&record));
        written(file, lines.try_for_each(|line| writeln!(out, "{line}")).and_then(|()| out.flush()))?;
    }
    Ok(ran)
}

/// Who reads no further has read enough, as with [`say`].
fn written(file: &Path, result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.map_err(|error| Failure::of_file(file, error)),
    }
}

type Out<'f> = (&'f Path, BufWriter<Box<dyn Write>>);

fn create(file: &Path) -> Result<Out<'_>, Failure> {
    let out: Box<dyn Write> = if file == Path::new("-") {
        Box::new(io::stdout())
    } else {
        Box::new(File::create(file).map_err(|error| Failure::of_file(file, error))?)
    };
    Ok((file, BufWriter::new(out)))
}
