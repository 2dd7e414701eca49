//! `replay`: folds recorded OTLP at full speed and prints the answers.
//!
//! Time is the records' own: `received` is the running maximum of their event times that are not later than the wall
//! clock at the start (or `--as-of`).

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::{BAD_USAGE, FAILED, Source, print, table};
use crate::journal::{Origin, Payload, Record};
use crate::measure::ai::ModelAnswer;
use crate::measure::{Mode, State};
use crate::observe::genai::price::Prices;
use crate::observe::{Observations, Observer};
use crate::otlp::{self, Fault, Signal, json};
use crate::units::UnixNanos;

/// The longest line read.
const MAX_LINE_BYTES: u64 = 256 << 20;

#[derive(Args, Debug)]
pub(super) struct Options {
    /// OTLP/JSON lines as the Collector's file exporter writes them; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    source: Source,
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Answer as of this time (RFC 3339); later items are left out and counted
    #[arg(long, value_name = "TIME")]
    as_of: Option<jiff::Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Table,
}

/// The answers of a recording.
#[derive(Debug, Serialize)]
struct Answers {
    as_of: Option<String>,
    ai: AiAnswers,
    ignored: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Serialize)]
struct AiAnswers {
    models: Vec<ModelAnswer>,
}

#[derive(Debug, thiserror::Error)]
enum ReplayError {
    #[error("cannot read {file}: {source}")]
    Read { file: String, source: std::io::Error },
    #[error("{file}:{line}: a line is longer than {MAX_LINE_BYTES} bytes")]
    TooLong { file: String, line: u64 },
}

pub(super) fn replay(options: &Options) -> ExitCode {
    let loaded = match options.source.load() {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let prices = match Prices::new(&loaded.config.ai.prices) {
        Ok(prices) => Arc::new(prices),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(BAD_USAGE);
        }
    };
    let observer = Arc::new(Observer::new(&loaded.config.spans));
    let state = State::new(&loaded.config, Arc::clone(&observer), prices, Mode::Recording, 0);
    let latest = options
        .as_of
        .map_or_else(UnixNanos::now, |time| UnixNanos(u64::try_from(time.as_nanosecond()).unwrap_or_default()));
    let mut replay = Replay {
        observer,
        state,
        latest,
        as_of: options.as_of.is_some(),
        received: UnixNanos(0),
        lines: 0,
        skipped: 0,
    };
    for file in &options.files {
        if let Err(error) = replay.file(file) {
            eprintln!("{error}");
            return ExitCode::from(FAILED);
        }
    }
    replay.state.finish();
    let (lines, skipped) = (replay.lines, replay.skipped);
    let answers = replay.answers();
    let text = match options.format {
        Format::Json => serde_json::to_string_pretty(&answers).map(|json| json + "\n"),
        Format::Table => Ok(table::models(&answers.ai.models)),
    };
    if skipped > 0 {
        eprintln!("skipped {skipped} lines that are not OTLP");
        if lines == 0 {
            // An empty answer to a file that is none would look like one.
            eprintln!(
                "nothing was read: the files hold no OTLP/JSON lines (compressed and binary recordings are not read yet)"
            );
            return ExitCode::from(FAILED);
        }
    }
    match text {
        Ok(text) => print(&text),
        Err(error) => {
            eprintln!("cannot write the answers: {error}");
            ExitCode::from(FAILED)
        }
    }
}

struct Replay {
    observer: Arc<Observer>,
    state: State,
    /// Times later than this are not believed, or with `as_of` left out.
    latest: UnixNanos,
    as_of: bool,
    received: UnixNanos,
    lines: u64,
    skipped: u64,
}

impl Replay {
    fn file(&mut self, path: &Path) -> Result<(), ReplayError> {
        let name = path.display().to_string();
        let read = |source| ReplayError::Read { file: name.clone(), source };
        let input: Box<dyn Read> = match path.to_str() {
            Some("-") => Box::new(std::io::stdin()),
            _ => Box::new(File::open(path).map_err(read)?),
        };
        let mut input = BufReader::with_capacity(1 << 20, input);
        let mut line = Vec::new();
        let mut number = 0;
        loop {
            line.clear();
            number += 1;
            let length = (&mut input).take(MAX_LINE_BYTES).read_until(b'\n', &mut line).map_err(read)?;
            if length == 0 {
                return Ok(());
            }
            if length as u64 == MAX_LINE_BYTES {
                return Err(ReplayError::TooLong { file: name.clone(), line: number });
            }
            if line.trim_ascii().is_empty() {
                continue;
            }
            if let Err(error) = self.line(line.trim_ascii()) {
                self.skipped += 1;
                eprintln!("{name}:{number}: {error}");
            }
        }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
        let (signal, request) = json::decode_any_line(line)?;
        let (request, seen) = self.observe(signal, request)?;
        self.lines += 1;
        let (earliest, latest) = seen.time_span(self.latest);
        if self.as_of && earliest.is_some_and(|earliest| earliest > self.latest) {
            self.state.leave_out("after_as_of", seen.items() as u64);
            return Ok(());
        }
        self.received = self.received.max(latest.unwrap_or(self.received));
        let record = Record::replayed(self.lines, self.received, Origin::App, Payload::Otlp(signal), request, seen);
        self.state.fold(&record);
        Ok(())
    }

    fn observe(&self, signal: Signal, request: Bytes) -> Result<(Bytes, Observations), Fault> {
        match self.observer.observe(signal, &request) {
            Err(fault @ Fault::Split { .. }) => {
                let request = otlp::canonical(signal, &request).ok_or(fault)?;
                let seen = self.observer.observe(signal, &request)?;
                Ok((request, seen))
            }
            seen => Ok((request, seen?)),
        }
    }

    fn answers(&self) -> Answers {
        let now = self.state.now();
        let as_of = jiff::Timestamp::from_nanosecond(i128::from(now.0)).ok().filter(|_| now.0 > 0);
        Answers {
            as_of: as_of.map(|time| time.to_string()),
            ai: AiAnswers { models: self.state.models() },
            ignored: self.state.ignored(),
        }
    }
}
