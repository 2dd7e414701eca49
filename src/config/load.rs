//! From a file, `--set` options and the environment to a [`Config`].
//!
//! Order: the file is parsed, references to environment variables are substituted, `--set` values are laid over, the
//! tree is read into [`Config`], the standard OpenTelemetry variables are added, and the whole is checked. Each step
//! reports all it finds; a step whose input could not be read is skipped.

use std::io::Read;
use std::path::Path as FilePath;

use super::check;
use super::decode::{self, Decoded};
use super::otel_env::{self, Resource};
use super::problem::{Problem, Problems, Severity};
use super::substitute::{self, Env};
use super::tree::{Kind, MAX_DEPTH, Node, Path, Place};
use super::values::shown;
use super::yaml::{self, Fault, MAX_BYTES};
use super::{Config, unused};

/// A configuration that can be run.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    /// What is odd but does not stop the sidecar, keys whose stage is not built yet among them.
    pub warnings: Vec<Problem>,
    /// The sidecar's own resource.
    pub resource: Resource,
    source: Source,
}

impl Loaded {
    /// Checks that every file the configuration names can be read. To be called before running, not before showing.
    pub fn check_files(&self) -> Result<(), Problems> {
        let faults = check::files(&self.config);
        let place = |(path, message): (Path, String)| Fault::new(self.source.root.place_of(&path), message);
        self.source.problems(faults.into_iter().map(place).collect(), Severity::Error)
    }
}

/// Where a configuration came from, to say so in messages.
#[derive(Clone, Debug)]
struct Source {
    file: String,
    sets: Vec<String>,
    root: Node,
}

impl Source {
    fn problem(&self, fault: Fault, severity: Severity) -> Problem {
        match fault.place {
            Place::File { line, column } => {
                Problem { severity, file: self.file.clone(), line, column, message: fault.message }
            }
            Place::Set(index) => {
                let option = self.sets.get(index).map(|set| set_name(set)).unwrap_or_default();
                Problem::of(severity, option, fault.message)
            }
        }
    }

    /// `Err` with the faults in the order of the file, where there are any.
    fn problems(&self, mut faults: Vec<Fault>, severity: Severity) -> Result<(), Problems> {
        faults.sort_by_key(|fault| match fault.place {
            Place::File { line, column } => (0, line, column),
            Place::Set(index) => (1, index, 0),
        });
        faults.dedup();
        if faults.is_empty() {
            return Ok(());
        }
        let not_shown = faults.len().saturating_sub(decode::MAX_FAULTS);
        faults.truncate(decode::MAX_FAULTS);
        let mut problems: Vec<Problem> = faults.into_iter().map(|fault| self.problem(fault, severity)).collect();
        if not_shown > 0 {
            problems.push(Problem::of(
                severity,
                self.file.clone(),
                format!("{not_shown} further errors are not shown"),
            ));
        }
        Err(Problems(problems))
    }
}

/// How a `--set` option is named in messages: the value of a key that may hold a secret is left out.
fn set_name(set: &str) -> String {
    let (key, value) = set.split_once('=').unwrap_or((set, ""));
    let secret = ["headers", "routing_key", "url", "redis"].iter().any(|part| key.split('.').any(|step| step == *part));
    if secret || value.contains('@') { format!("--set {}=…", shown(key)) } else { format!("--set {}", shown(set)) }
}

/// Loads the configuration of `path` (none: the defaults), with `sets` (`a.b=value`) laid over it. `env` looks
/// environment variables up; nothing else here does.
pub fn load(path: Option<&FilePath>, sets: &[String], env: Env) -> Result<Loaded, Problems> {
    match path {
        None => load_text("configuration", "", sets, env),
        Some(path) => {
            let file = path.display().to_string();
            let text =
                read(path).map_err(|message| Problems(vec![Problem::of(Severity::Error, file.clone(), message)]))?;
            match String::from_utf8(text) {
                Ok(text) => load_text(&file, &text, sets, env),
                Err(error) => Err(Problems(vec![not_utf8(&file, &error)])),
            }
        }
    }
}

fn read(path: &FilePath) -> Result<Vec<u8>, String> {
    let opened = std::fs::File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    let mut bytes = Vec::new();
    let limit = MAX_BYTES as u64 + 1;
    opened.take(limit).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() > MAX_BYTES {
        return Err(format!("has more than {MAX_BYTES} bytes; a configuration that long is not read"));
    }
    Ok(bytes)
}

fn not_utf8(file: &str, error: &std::string::FromUtf8Error) -> Problem {
    let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
    let valid = String::from_utf8_lossy(valid);
    let line = valid.matches('\n').count() + 1;
    let column = valid.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Problem { severity: Severity::Error, file: file.to_owned(), line, column, message: "not UTF-8 text".to_owned() }
}

/// Loads the configuration `text`, which messages call `file`. See [`load`].
pub fn load_text(file: &str, text: &str, sets: &[String], env: Env) -> Result<Loaded, Problems> {
    let empty = Node::new(Place::File { line: 1, column: 1 }, Kind::Empty);
    let mut source = Source { file: file.to_owned(), sets: sets.to_vec(), root: empty };
    match yaml::parse(text) {
        Ok(root) => source.root = root,
        Err(faults) => {
            source.problems(faults, Severity::Error)?;
        }
    }
    let mut faults = substitute::substitute(&mut source.root, env);
    for (index, set) in sets.iter().enumerate() {
        if let Err(message) = lay_over(&mut source.root, index, set, env) {
            faults.push(Fault::new(Place::Set(index), message));
        }
    }
    let Decoded { mut config, faults: wrong, removed } = decode::decode(&mut source.root);
    faults.extend(wrong);
    let mut checked = check::check(&config, &source.root);
    checked.errors.retain(|(path, _)| !removed.iter().any(|gone| follows_from(gone, path, &source.root)));
    let place = |(path, message): (Path, String)| Fault::new(source.root.place_of(&path), message);
    // A part that could not be read has its default meanwhile, of which nothing is to be said.
    let unread: Vec<Place> = faults.iter().map(|fault| fault.place).collect();
    let in_file = |place: Place| matches!(place, Place::File { .. });
    let found = checked.errors.into_iter().map(place);
    faults.extend(found.filter(|fault| !(in_file(fault.place) && unread.contains(&fault.place))));
    source.problems(faults, Severity::Error)?;

    for forward in &mut config.forward {
        forward.name_after_endpoint();
    }
    let mut warnings = Vec::new();
    let odd: Vec<Fault> =
        checked.warnings.into_iter().chain(unused::not_yet_used(&config, &source.root)).map(place).collect();
    if let Err(Problems(odd)) = source.problems(odd, Severity::Warning) {
        warnings.extend(odd);
    }
    if config.forward.is_empty() {
        let (forward, odd) = otel_env::destinations(env);
        warnings.extend(odd);
        let (own, others): (Vec<_>, Vec<_>) =
            forward.into_iter().partition(|forward| check::own_listener(&config, &forward.endpoint).is_some());
        if let Some(first) = own.first() {
            let message = format!("{} is one of our own listeners; it is not forwarded to", first.endpoint);
            let variable = otel_env::endpoint_variable(env, &first.endpoint);
            warnings.push(Problem::of(Severity::Warning, variable, message));
        }
        config.forward = others;
    }
    let (resource, odd) = otel_env::resource(env);
    warnings.extend(odd);
    Ok(Loaded { config, warnings, resource, source })
}

/// Whether a check's error at `path` may only be there because `gone` was taken out of `root`: it was the part itself, a
/// part of it, or another key where a key is missing now.
fn follows_from(gone: &Path, path: &Path, root: &Node) -> bool {
    let parent = gone.parent();
    let missing_beside = root.get(path).is_none() && path.parent() == parent && !parent.0.is_empty();
    path.starts_with(gone) || *path == parent || missing_beside
}

/// Lays one `--set` option over `root`.
fn lay_over(root: &mut Node, index: usize, set: &str, env: Env) -> Result<(), String> {
    let (key, value) = set.split_once('=').ok_or("expected key=value, such as api.endpoint=127.0.0.1:5000")?;
    let key = key.trim();
    let path = Path::parse(key);
    if key.is_empty() || key.split('.').any(str::is_empty) {
        return Err("the key is empty; expected one such as api.endpoint".to_owned());
    }
    if path.0.len() > MAX_DEPTH {
        return Err(format!("nested deeper than {MAX_DEPTH} levels"));
    }
    let first = |faults: Vec<Fault>| faults.into_iter().next().map(|fault| fault.message).unwrap_or_default();
    let mut node = yaml::parse(value).map_err(first)?;
    let faults = substitute::substitute(&mut node, env);
    if !faults.is_empty() {
        return Err(first(faults));
    }
    node.move_to(Place::Set(index));
    root.set(&path, node)
}
