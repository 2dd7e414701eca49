//! `validate`, `config show`, `config schema`.

use std::process::ExitCode;

use super::{BAD_USAGE, Source, print};

/// Prints every error and warning; 0 if it can be run.
pub(super) fn validate(source: &Source) -> ExitCode {
    let loaded = match source.load() {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    for warning in &loaded.warnings {
        eprintln!("{warning}");
    }
    if let Err(problems) = loaded.check_files() {
        eprintln!("{problems}");
        return ExitCode::from(BAD_USAGE);
    }
    print("the configuration is valid\n")
}

pub(super) fn show(source: &Source) -> ExitCode {
    match source.load() {
        Ok(loaded) => print(&crate::config::show(&loaded.config)),
        Err(code) => code,
    }
}

pub(super) fn schema() -> ExitCode {
    print(&format!("{:#}\n", crate::config::schema()))
}
