//! `validate`, `config show`, `config schema`.

use std::process::ExitCode;

use super::{BAD_USAGE, Source};

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
    println!("the configuration is valid");
    ExitCode::SUCCESS
}

pub(super) fn show(source: &Source) -> ExitCode {
    match source.load() {
        Ok(loaded) => {
            print!("{}", crate::config::show(&loaded.config));
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

pub(super) fn schema() -> ExitCode {
    println!("{:#}", crate::config::schema());
    ExitCode::SUCCESS
}
