//! Plans out of a fuzzer's bytes.

use arbitrary::{Arbitrary, Result, Unstructured};

use super::Plan;
use crate::choice::Choices;
use crate::draw::{Wishes, draw};

/// Every choice of a plan is made by some bytes, until they end; what is left then is as simple as can be.
impl<'a> Arbitrary<'a> for Plan {
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Plan> {
        let bytes = bytes.bytes(bytes.len())?;
        Ok(draw(&mut Choices::from_bytes(bytes), &Wishes::default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_make_a_plan_that_is_possible() {
        let bytes: Vec<u8> = (0..=250).cycle().step_by(37).take(2000).collect();
        for length in [0, 1, 10, 100, 2000] {
            let plan = Plan::arbitrary(&mut Unstructured::new(&bytes[..length])).expect("a plan");
            assert_eq!(plan.check(), Ok(()), "of {length} bytes");
        }
    }
}
