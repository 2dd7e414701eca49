//! The commands.
//!
//! Exit codes: 0 fine, 1 failed while running, 2 bad usage or configuration, 3 a check failed.

mod config;
mod health;
mod replay;
mod run;
mod table;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{Loaded, load};

/// Bad usage or configuration.
const BAD_USAGE: u8 = 2;
/// Failed while running.
const FAILED: u8 = 1;

#[derive(Parser)]
#[command(name = "qiyas", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the sidecar. Without a file it runs on safe defaults, on loopback alone
    Run(Source),
    /// Check a configuration; print every error as file:line:col
    Validate(Source),
    /// Show the effective configuration, or its schema
    Config {
        #[command(subcommand)]
        what: ConfigCommand,
    },
    /// Fold recorded OTLP and print the answers
    Replay(replay::Options),
    /// Ask a running sidecar whether it is alive, for exec probes
    Health(health::Options),
    /// Print the version and how it was built
    Version,
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// The effective configuration as YAML, secrets redacted
    Show(Source),
    /// The JSON Schema of the configuration
    Schema,
}

/// Where the configuration comes from.
#[derive(Args, Clone, Debug)]
pub(crate) struct Source {
    /// Configuration file (YAML)
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Override one key, such as spans.unit=ms; may be given many times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

impl Source {
    /// Loads the configuration; prints every problem and gives the exit code if it cannot be run.
    fn load(&self) -> Result<Loaded, ExitCode> {
        let environment = |name: &str| std::env::var(name).ok();
        load(self.config.as_deref(), &self.sets, &environment).map_err(|problems| {
            eprintln!("{problems}");
            ExitCode::from(BAD_USAGE)
        })
    }
}

/// Runs the command of this process's arguments.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, not errors.
            let code = if error.use_stderr() { BAD_USAGE } else { 0 };
            let _printed = error.print();
            return ExitCode::from(code);
        }
    };
    match cli.command {
        Command::Run(source) => run::run(&source),
        Command::Validate(source) => config::validate(&source),
        Command::Config { what: ConfigCommand::Show(source) } => config::show(&source),
        Command::Config { what: ConfigCommand::Schema } => config::schema(),
        Command::Replay(options) => replay::replay(&options),
        Command::Health(options) => health::health(&options),
        Command::Version => version(),
    }
}

/// Prints an answer. A reader that closed the pipe has had enough: that is no failure.
fn print(answer: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(answer.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write the answer: {error}");
            ExitCode::from(FAILED)
        }
    }
}

fn version() -> ExitCode {
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let (version, arch, os) = (env!("CARGO_PKG_VERSION"), std::env::consts::ARCH, std::env::consts::OS);
    print(&format!("qiyas {version} ({profile}, {arch}-{os})\n"))
}
