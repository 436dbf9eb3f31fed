//! `sim run` and `sim replay`: one run.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use diskeyval_sim::choice::Choices;
use diskeyval_sim::draw::draw;
use diskeyval_sim::plan::Plan;

use crate::args::{ReplayArgs, RunArgs, list_faults};
use crate::exit::{Failure, say};
use crate::look::look;

pub(crate) fn run(args: &RunArgs) -> Result<ExitCode, Failure> {
    let Some(wishes) = args.wishes.wishes()? else {
        list_faults();
        return Ok(ExitCode::SUCCESS);
    };
    let plan = draw(&mut Choices::from_seed(args.seed), &wishes);
    if args.plan {
        say(plan.to_string().trim_end());
        return Ok(ExitCode::SUCCESS);
    }
    let command = format!("cargo sim run --seed {}{}", args.seed, args.wishes.typed());
    look(&plan, args.seed, &command, &args.look)
}

pub(crate) fn replay(args: &ReplayArgs) -> Result<ExitCode, Failure> {
    let plan = read_plan(&args.file)?;
    look(&plan, plan.setting.noise, &format!("cargo sim replay {}", args.file.display()), &args.look)
}

/// What a schedule is, for those who have given something else.
const FORM: &str = "`sim run --seed 0 --plan` prints a schedule";

/// Reads a schedule file.
pub(crate) fn read_plan(file: &Path) -> Result<Plan, Failure> {
    let text = fs::read_to_string(file).map_err(|error| Failure::of_input(file, error, FORM))?;
    Plan::parse(&text).map_err(|error| Failure::of_input(file, error, FORM))
}
