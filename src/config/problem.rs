//! What is wrong with a configuration, as it is printed.

use std::fmt;

/// Whether a problem stops the sidecar from starting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    Error,
    Warning,
}

/// One thing that is wrong. Prints `file:line:col: message`, or `source: message` where the source is not a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub severity: Severity,
    /// The file as it was named; for other sources `--set key=value`, or an environment variable.
    pub file: String,
    /// From 1; 0 where the source has no lines.
    pub line: usize,
    /// In characters, from 1; 0 where the source has no lines.
    pub column: usize,
    pub message: String,
}

impl Problem {
    /// A problem of something that has no lines.
    pub fn of(severity: Severity, source: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity, file: source.into(), line: 0, column: 0, message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        let severity = if self.severity == Severity::Warning { "warning: " } else { "" };
        write!(f, ": {severity}{}", self.message)
    }
}

/// Why a configuration cannot be used: every error that was found, in the order of the file. Prints one a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Problems(pub Vec<Problem>);
