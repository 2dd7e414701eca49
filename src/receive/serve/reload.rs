//! A value read from files, read again when they change.
//!
//! Invariants: the files are looked at (not read) at most once in [`LOOK_INTERVAL`]; a change that cannot be read keeps
//! the value in force and is logged once. Certificates and tokens are rotated under a running process by Kubernetes and
//! by certificate managers; nothing has to be restarted for that.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Least time between two looks at the files.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    #[error("cannot read {path}: {cause}")]
    Read { path: PathBuf, cause: std::io::Error },
    #[error("{path}: {cause}")]
    Content { path: PathBuf, cause: String },
}

impl FileError {
    pub(super) fn content(path: impl Into<PathBuf>, cause: impl ToString) -> Self {
        Self::Content { path: path.into(), cause: cause.to_string() }
    }
}

pub(super) fn read(path: &PathBuf) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(|cause| FileError::Read { path: path.clone(), cause })
}

type Load<T> = Box<dyn Fn() -> Result<T, FileError> + Send + Sync>;

/// When a file was last changed, and its length; `None` where it cannot be looked at.
type Stamp = Option<(SystemTime, u64)>;

pub(super) struct Reloading<T> {
    paths: Vec<PathBuf>,
    load: Load<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    value: Arc<T>,
    stamps: Vec<Stamp>,
    looked: Instant,
}

impl<T> Reloading<T> {
    /// Reads the files for the first time; `load` reads all of `paths`.
    pub(super) fn new(
        paths: Vec<PathBuf>,
        load: impl Fn() -> Result<T, FileError> + Send + Sync + 'static,
        now: Instant,
    ) -> Result<Self, FileError> {
        let stamps = stamps(&paths);
        let value = Arc::new(load()?);
        Ok(Self { paths, load: Box::new(load), state: Mutex::new(State { value, stamps, looked: now }) })
    }

    pub(super) fn get(&self, now: Instant) -> Arc<T> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(state.looked) < LOOK_INTERVAL {
            return Arc::clone(&state.value);
        }
        state.looked = now;
        let stamps = stamps(&self.paths);
        if stamps != state.stamps {
            state.stamps = stamps;
            match (self.load)() {
                Ok(value) => {
                    state.value = Arc::new(value);
                    tracing::info!(files = ?self.paths, "read again after a change");
                }
                Err(error) => tracing::error!("changed, but not usable; the former content stays in force: {error}"),
            }
        }
        Arc::clone(&state.value)
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    paths.iter().map(stamp).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_after_the_interval_and_a_bad_one_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("number");
        std::fs::write(&path, "1").unwrap();
        let start = Instant::now();
        let from = path.clone();
        let load = move || {
            let text = String::from_utf8_lossy(&read(&from)?).into_owned();
            text.parse::<u32>().map_err(|error| FileError::content(&from, error))
        };
        let number = Reloading::new(vec![path.clone()], load, start).unwrap();
        std::fs::write(&path, "22").unwrap();
        assert_eq!(*number.get(start), 1, "not looked at yet");
        assert_eq!(*number.get(start + LOOK_INTERVAL), 22);
        std::fs::write(&path, "three").unwrap();
        assert_eq!(*number.get(start + 2 * LOOK_INTERVAL), 22);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(*number.get(start + 3 * LOOK_INTERVAL), 22);
        std::fs::write(&path, "4444").unwrap();
        assert_eq!(*number.get(start + 4 * LOOK_INTERVAL), 4444);
    }

    #[test]
    fn errors_name_the_file() {
        let missing = PathBuf::from("/nowhere/token");
        let error = read(&missing).unwrap_err().to_string();
        assert!(error.starts_with("cannot read /nowhere/token: "), "{error}");
    }
}
