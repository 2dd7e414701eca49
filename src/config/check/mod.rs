//! What types cannot say: ranges, names that must be unique, names that must exist, addresses that must not meet.
//!
//! Invariant: every message names the value that is wrong and what was expected, and its path is the key to change. The
//! checks read the configuration alone; the tree is asked only for what the user gave and what is a default.

mod endpoints;
mod files;
mod forward;
mod measures;
mod objectives;
mod users;

use super::Config;
use super::suggest;
use super::tree::{Node, Path};
use super::values::{Dur, shown};

pub(super) use endpoints::own_listener;
pub(super) use files::files;

/// What was found, by path.
#[derive(Default)]
pub(super) struct Checked {
    pub errors: Vec<(Path, String)>,
    pub warnings: Vec<(Path, String)>,
}

/// Checks the whole of `config`, which was read from `root`.
pub(super) fn check(config: &Config, root: &Node) -> Checked {
    let mut checker = Checker { config, root, found: Checked::default() };
    endpoints::check(&mut checker);
    forward::check(&mut checker);
    measures::check(&mut checker);
    users::check(&mut checker);
    objectives::check(&mut checker);
    checker.found
}

struct Checker<'a> {
    config: &'a Config,
    root: &'a Node,
    found: Checked,
}

impl Checker<'_> {
    fn error(&mut self, path: Path, message: impl Into<String>) {
        self.found.errors.push((path, message.into()));
    }

    fn warn(&mut self, path: Path, message: impl Into<String>) {
        self.found.warnings.push((path, message.into()));
    }

    /// Whether the user gave the key at `path`, and it is not left to its default.
    fn given(&self, path: &Path) -> bool {
        self.root.gives(path)
    }

    fn above_zero(&mut self, path: Path, duration: Dur) {
        if duration.is_zero() {
            self.error(path, "0s is too short; expected a duration above 0");
        }
    }

    fn at_least_one(&mut self, path: Path, number: u64) {
        if number == 0 {
            self.error(path, "0 is too few; expected at least 1");
        }
    }

    /// Names each of which must be given and stand once. `what` is the word for the thing named.
    fn names<'n>(&mut self, list: &Path, key: &str, what: &str, names: impl Iterator<Item = &'n str>) {
        let mut seen: Vec<&str> = Vec::new();
        for (index, name) in names.enumerate() {
            let path = list.index(index).key(key);
            if name.is_empty() {
                self.error(path, format!("`{key}` is missing: every {what} needs one"));
            } else if seen.contains(&name) {
                self.error(path, format!("a second {what} is called `{}`; names must differ", shown(name)));
            } else {
                seen.push(name);
            }
        }
    }

    /// A name that must be among `known`.
    fn exists(&mut self, path: Path, name: &str, known: &[&str], what: &str) {
        if known.contains(&name) {
            return;
        }
        let message = match suggest::nearest(name, known) {
            Some(near) => format!("there is no {what} `{}`; did you mean `{near}`?", shown(name)),
            None if known.is_empty() => format!("there is no {what} `{}`: none is configured", shown(name)),
            None => format!("there is no {what} `{}`; there is {}", shown(name), known.join(", ")),
        };
        self.error(path, message);
    }
}

/// The path of a dotted key that has no index.
fn path(dotted: &str) -> Path {
    Path::parse(dotted)
}
