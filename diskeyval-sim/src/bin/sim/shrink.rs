//! `sim shrink`: makes what fails small.

use std::fs;
use std::process::ExitCode;

use diskeyval_sim::choice::Choices;
use diskeyval_sim::draw::draw;
use diskeyval_sim::plan::Plan;

use crate::args::{ShrinkArgs, list_faults};
use crate::exit::{Failure, VIOLATED, say};
use crate::run::read_plan;

pub(crate) fn shrink(args: &ShrinkArgs) -> Result<ExitCode, Failure> {
    let Some(wishes) = args.wishes.wishes()? else {
        list_faults();
        return Ok(ExitCode::SUCCESS);
    };
    let plan = match (&args.file, args.seed) {
        (Some(file), _) => read_plan(file)?,
        (None, seed) => draw(&mut Choices::from_seed(seed.unwrap_or_default()), &wishes),
    };
    shrink_plan(&plan, args.tries, args.out.as_deref(), "cargo sim replay")
}

/// Shrinks a plan, and writes what comes out, which `replay` with the file behind it runs again.
pub(crate) fn shrink_plan(
    plan: &Plan,
    tries: u64,
    out: Option<&std::path::Path>,
    replay: &str,
) -> Result<ExitCode, Failure> {
    let shrunk = diskeyval_sim::shrink::shrink(plan, &[], &mut |tried| tried < tries);
    let Some(shrunk) = shrunk else {
        return Err(Failure::new(
            "nothing is violated by this run, so there is nothing to shrink: give the seed, or the schedule, and the options with which it failed",
        ));
    };
    let head = format!(
        "# {} of {} deeds are left, after {} tries\n# violated: {}\n",
        shrunk.plan.deeds.len(),
        plan.deeds.len(),
        shrunk.tried,
        shrunk.violation
    );
    let text = shrunk.plan.to_string();
    let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let text = format!("{first}\n{head}{rest}");
    match out {
        None => say(text.trim_end()),
        Some(file) => {
            if let Err(error) = fs::write(file, &text) {
                // It may have taken long to find.
                say(text.trim_end());
                return Err(Failure::of_file(file, error));
            }
            say(head.trim_end());
            say(format_args!("replay: {replay} {}", file.display()));
        }
    }
    Ok(ExitCode::from(VIOLATED))
}
