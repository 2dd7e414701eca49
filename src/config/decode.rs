//! A [`Node`] tree into [`Config`], with every error and not only the first.
//!
//! serde stops at the first error. So the part that it names is recorded with its place and taken out of the tree, and the
//! rest is read again, until nothing is wrong or [`MAX_FAULTS`] were found. A scalar that has the wrong type gets one more
//! chance as the text it was written as: a name may be `2024`.

use serde_json::Value;
use serde_path_to_error::Segment;

use super::Config;
use super::suggest;
use super::tree::{Kind, Node, Path, Step};
use super::values::shown;
use super::yaml::Fault;

/// After so many errors the rest is not looked for.
pub(super) const MAX_FAULTS: usize = 100;

/// So many scalars are read again as text; each costs one more reading of the whole.
const MAX_RESTORED: usize = 200;

/// What could be read of a configuration, and what could not.
pub(super) struct Decoded {
    pub config: Config,
    pub faults: Vec<Fault>,
    /// The paths that were taken out; nothing more is said about them.
    pub removed: Vec<Path>,
}

/// Reads `root`, taking what is wrong out of it.
pub(super) fn decode(root: &mut Node) -> Decoded {
    let mut faults = Vec::new();
    let mut removed = Vec::new();
    if root.kind == Kind::Empty {
        root.kind = Kind::Mapping(Vec::new());
    }
    let mut restored = 0;
    while faults.len() < MAX_FAULTS {
        let error = match serde_path_to_error::deserialize::<_, Config>(&*root) {
            Ok(config) => return Decoded { config, faults, removed },
            Err(error) => error,
        };
        let path = existing(root, &tree_path(error.path()));
        let message = error.into_inner().to_string();
        let unknown_key = message.starts_with("unknown field");
        let rereadable = if unknown_key { path.parent() } else { path.clone() };
        if restored < MAX_RESTORED && root.restore_text(&rereadable) {
            restored += 1;
            continue;
        }
        let place = if unknown_key { root.key_place_of(&path) } else { root.place_of(&path) };
        faults.push(Fault::new(place, explain(&message, &path, root.get(&path))));
        if !root.remove(&path) {
            break;
        }
        removed.push(path);
    }
    Decoded { config: Config::default(), faults, removed }
}

fn tree_path(path: &serde_path_to_error::Path) -> Path {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { variant } => Some(Step::Key(variant.clone())),
        Segment::Unknown => None,
    };
    Path(path.iter().filter_map(step).collect())
}

/// As much of `path` as the tree has.
fn existing(root: &Node, path: &Path) -> Path {
    let mut found = Path::default();
    let mut node = root;
    for step in &path.0 {
        let Some(child) = node.child(step) else { break };
        found.0.push(step.clone());
        node = child;
    }
    found
}

/// serde's message in the words of the file.
fn explain(message: &str, path: &Path, node: Option<&Node>) -> String {
    let quoted = quoted(message);
    let (found, known) = quoted.split_first().map_or(("", &[][..]), |(found, known)| (*found, known));
    if message.starts_with("unknown field") {
        return suggest::unknown_key(found, known, &path.parent());
    }
    if message.starts_with("unknown variant") {
        return suggest::unknown_value(found, known);
    }
    let Some((what, expected)) = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .and_then(|rest| rest.rsplit_once(", expected "))
    else {
        return message.to_owned();
    };
    let expected = expectation(expected);
    let found = match node.map(|node| &node.kind) {
        Some(Kind::Scalar(Value::Null)) | None if what == "null" => "null".to_owned(),
        Some(Kind::Scalar(Value::String(text))) => format!("`{}`", shown(text)),
        Some(Kind::Scalar(value)) => format!("`{value}`"),
        Some(Kind::Sequence(_)) => "a list".to_owned(),
        Some(Kind::Mapping(entries)) if expected == "exactly one key" => format!("{} keys", entries.len()),
        Some(Kind::Mapping(_)) => "a mapping".to_owned(),
        _ => what.to_owned(),
    };
    format!("expected {expected}, found {found}")
}

/// The words between backquotes.
fn quoted(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

/// What serde says it expected, without Rust's names.
fn expectation(expected: &str) -> String {
    let plain = match expected {
        "a boolean" => "true or false",
        "u64" | "u32" | "usize" => "a whole number of at least 0",
        "i64" | "i32" => "a whole number",
        "f64" => "a number",
        "a sequence" => "a list",
        "a map" => "a mapping",
        "path string" => "a path",
        "map with a single key" => "exactly one key",
        _ if expected.starts_with("struct ") => "a mapping",
        _ if expected.starts_with("enum ") || expected.ends_with("enum") => "a name",
        other => other,
    };
    plain.to_owned()
}
