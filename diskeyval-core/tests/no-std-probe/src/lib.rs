//! Compiles only as long as neither the core nor anything that it depends on links std: std brings a panic
//! handler of its own, and there can be only one.
//!
//! ```text
//! cargo check --locked --manifest-path diskeyval-core/tests/no-std-probe/Cargo.toml --target-dir target/no-std-probe
//! ```
//!
//! With `--features std-through-tls` the same must fail, by E0152 (duplicate lang item `panic_impl`).

#![no_std]
#![forbid(unsafe_code)]

pub use diskeyval_core::identity::of_certificate;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}
