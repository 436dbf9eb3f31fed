//! `sim mutants`: how many wrong versions of the core are found out?

#[cfg(feature = "mutants")]
mod armed;
#[cfg(feature = "mutants")]
mod disk;

#[cfg(not(feature = "mutants"))]
use std::process::ExitCode;

#[cfg(not(feature = "mutants"))]
use crate::args::MutantsArgs;
#[cfg(not(feature = "mutants"))]
use crate::exit::Failure;

/// Builds this command with the feature, in a folder of its own, and calls it with the same arguments.
#[cfg(not(feature = "mutants"))]
pub(crate) fn mutants(_: &MutantsArgs) -> Result<ExitCode, Failure> {
    use std::process::Command;

    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    if !std::path::Path::new(manifest).exists() {
        return Err(Failure::new(format_args!(
            "mutants are built from the sources, and {manifest} is not there: run this in the repository"
        )));
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/mutants")),
        |folder| std::path::PathBuf::from(folder).join("mutants"),
    );
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["run", "--release", "--quiet", "--manifest-path", manifest, "--bin", "sim"])
        .args(["--features", "mutants", "--target-dir"])
        .arg(target)
        .arg("--")
        .args(std::env::args_os().skip(1))
        .status()
        .map_err(|error| Failure::new(format_args!("cargo cannot be started: {error}")))?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2);
    Ok(ExitCode::from(code))
}

#[cfg(feature = "mutants")]
pub(crate) use armed::mutants;
