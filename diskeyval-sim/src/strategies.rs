//! Plans for [`proptest`]: drawn as a hunt draws them, and shrunk as `sim shrink` does it: first large parts of what is done
//! are left out, then single deeds, then the setting is made plain, and disturbances short.
//!
//! ```no_run
//! use diskeyval_sim::plan::Plan;
//! use diskeyval_sim::run::{Wanted, run};
//! use proptest::prelude::*;
//!
//! proptest! {
//!     #[test]
//!     fn nothing_is_ever_violated(plan in any::<Plan>()) {
//!         prop_assert_eq!(run(&plan, Wanted::default()).violation, None);
//!     }
//! }
//! ```

use proptest::arbitrary::Arbitrary;
use proptest::prelude::any;
use proptest::strategy::{NewTree, Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::choice::Choices;
use crate::draw::{Wishes, draw};
use crate::plan::{Deed, Plan, Setting};
use crate::shrink::Smaller;

/// Plans of all kinds.
pub fn plans() -> Plans {
    Plans::default()
}

/// Plans of which something is not left to chance: 1 to 7 nodes, this long, with these faults.
pub fn plans_with(wishes: Wishes) -> Plans {
    Plans { wishes }
}

/// What is done in a setting, in the order of time. `setting` must be possible ([`Setting::check`]).
pub fn deeds(setting: &Setting) -> Deeds {
    Deeds { setting: setting.clone() }
}

/// The strategy of [`plans`].
#[derive(Clone, Debug, Default)]
pub struct Plans {
    wishes: Wishes,
}

/// The strategy of [`deeds`].
#[derive(Clone, Debug)]
pub struct Deeds {
    setting: Setting,
}

/// A plan, and what is smaller.
#[derive(Clone, Debug)]
pub struct PlanTree {
    smaller: Smaller,
}

/// Deeds, and what is smaller.
#[derive(Clone, Debug)]
pub struct DeedsTree {
    plans: PlanTree,
}

impl Strategy for Plans {
    type Tree = PlanTree;
    type Value = Plan;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Plans> {
        let seed = any::<u64>().new_tree(runner)?.current();
        Ok(PlanTree { smaller: Smaller::than(draw(&mut Choices::from_seed(seed), &self.wishes)) })
    }
}

impl Strategy for Deeds {
    type Tree = DeedsTree;
    type Value = Vec<Deed>;

    fn new_tree(&self, runner: &mut TestRunner) -> NewTree<Deeds> {
        let Setting { nodes, hostile, .. } = self.setting;
        let wishes = Wishes { nodes: Some(nodes), hostile: Some(hostile), faults: None, whole: true };
        let PlanTree { smaller } = plans_with(wishes).new_tree(runner)?;
        let plan = Plan { setting: self.setting.clone(), deeds: smaller.best().deeds.clone() };
        Ok(DeedsTree { plans: PlanTree { smaller: Smaller::than(plan).in_its_setting() } })
    }
}

/// `simplify` is called when what is current fails, and `complicate` when it does not any more.
impl ValueTree for PlanTree {
    type Value = Plan;

    fn current(&self) -> Plan {
        self.smaller.proposed().unwrap_or(self.smaller.best()).clone()
    }

    fn simplify(&mut self) -> bool {
        self.smaller.judge(true);
        self.smaller.next().is_some()
    }

    fn complicate(&mut self) -> bool {
        self.smaller.judge(false);
        self.smaller.next().is_some()
    }
}

impl ValueTree for DeedsTree {
    type Value = Vec<Deed>;

    fn current(&self) -> Vec<Deed> {
        self.plans.current().deeds
    }

    fn simplify(&mut self) -> bool {
        self.plans.simplify()
    }

    fn complicate(&mut self) -> bool {
        self.plans.complicate()
    }
}

impl Arbitrary for Plan {
    type Parameters = Wishes;
    type Strategy = Plans;

    fn arbitrary_with(wishes: Wishes) -> Plans {
        plans_with(wishes)
    }
}
