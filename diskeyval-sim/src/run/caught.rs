//! Panics of what is simulated are findings, not ends of the simulator.

use core::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    static CATCHING: Cell<bool> = const { Cell::new(false) };
    static SAID: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Calls something, and gives what it panics with and where, if it does. Nothing is printed then.
pub(crate) fn catch<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = take_hook();
        set_hook(Box::new(move |info| {
            if CATCHING.get() {
                SAID.set(info.to_string().replace('\n', " "));
            } else {
                others(info);
            }
        }));
    });
    CATCHING.set(true);
    let result = catch_unwind(AssertUnwindSafe(call));
    CATCHING.set(false);
    result.map_err(|_| SAID.take())
}
