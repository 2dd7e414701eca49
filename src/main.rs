//! The `qiyas` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    qiyas::cli::main()
}
