//! What a simulated second costs, and how much of that is checking: the same seeds with all checkers and with none, by
//! turns, on one thread. Five nodes, default timeouts, all faults drawn as for any seed.
//!
//! `cargo run --release -p diskeyval-sim --example cost -- 50`

#![allow(clippy::print_stdout)] // It is a report.

use std::time::{Duration, Instant};

use diskeyval_sim::choice::Choices;
use diskeyval_sim::draw::{Wishes, draw};
use diskeyval_sim::plan::Plan;
use diskeyval_sim::run::{Ran, Wanted, run, run_watched};

const ROUNDS: usize = 3;

fn main() {
    let seeds: u64 = std::env::args().nth(1).and_then(|seeds| seeds.parse().ok()).unwrap_or(50);
    let wishes = Wishes { nodes: Some(5), hostile: Some(Duration::from_secs(60)), ..Wishes::default() };
    let mut plans: Vec<Plan> = (0..seeds).map(|seed| draw(&mut Choices::from_seed(seed), &wishes)).collect();
    for plan in &mut plans {
        plan.setting.election_timeout = Duration::from_millis(300);
        plan.setting.heartbeat = Duration::from_millis(50);
    }
    let time = |run: &dyn Fn(&Plan) -> Ran| {
        let started = Instant::now();
        let ran: Vec<Ran> = plans.iter().map(run).collect();
        let simulated: Duration = ran.iter().map(|ran| ran.simulated).sum();
        let asked: u64 = ran.iter().map(|ran| ran.asked).sum();
        (simulated.as_secs_f64(), asked as f64, started.elapsed().as_secs_f64())
    };
    for round in 1..=ROUNDS {
        let (simulated, asked, checked) = time(&|plan| run(plan, Wanted::default()));
        let (_, _, bare) = time(&|plan| run_watched(plan, Vec::new(), Wanted::default()));
        println!(
            "round {round}: {simulated:.0} simulated seconds, {:.0} requests in each hostile second; {:.0} simulated \
             seconds a second with all checkers, {:.0} with none: checking takes {:.0} % of the time",
            asked / (seeds as f64 * 60.0),
            simulated / checked,
            simulated / bare,
            100.0 * (1.0 - bare / checked),
        );
    }
}
