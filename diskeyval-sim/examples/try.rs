use diskeyval_sim::{
    choice::Choices,
    draw::{Wishes, draw},
    run::{Wanted, run},
};
fn main() {
    let mut args = std::env::args().skip(1);
    let from: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(0);
    let to: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(from + 1);
    let trace = args.next().is_some();
    let started = std::time::Instant::now();
    let mut simulated = 0.0;
    let mut bad = 0;
    for seed in from..to {
        let plan = draw(&mut Choices::from_seed(seed), &Wishes::default());
        let tell = |note: diskeyval_sim::notes::Note| println!("{note}");
        let wanted = Wanted { notes: trace.then(|| Box::new(tell) as _), history: true };
        let ran = run(&plan, wanted);
        simulated += ran.simulated.as_secs_f64();
        if let Some(v) = &ran.violation {
            bad += 1;
            println!("seed {seed}: {v}");
        }
        if to - from < 5 {
            println!("seed {seed}: {ran}");
        }
    }
    let wall = started.elapsed().as_secs_f64();
    println!(
        "{} seeds, {bad} bad, {simulated:.0} sim s, {wall:.2} wall s, {:.0}x",
        to - from,
        simulated / wall
    );
}
