//! Schedule files: any text.

use diskeyval_sim::plan::Plan;
use diskeyval_sim::plan::text::write;

/// A plan that was read is possible, and is the same when it is written and read again.
pub fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match Plan::parse(text) {
        Ok(plan) => {
            assert_eq!(plan.check(), Ok(()));
            let again = Plan::parse(&write(&plan)).map_err(|why| why.to_string());
            assert_eq!(again.as_ref(), Ok(&plan));
        }
        Err(why) => drop(why.to_string()),
    }
}
