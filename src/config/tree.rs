//! The configuration as a tree that remembers where each part was written.
//!
//! Invariants: every node has a [`Place`]; a mapping has no key twice; nesting is at most [`MAX_DEPTH`]. A scalar keeps
//! its text beside its typed value, so that `0123` can still become the string it was written as.

use std::fmt;

use serde_json::{Number, Value};

/// Deepest nesting of mappings and sequences.
pub(super) const MAX_DEPTH: usize = 64;

/// Where a part of the configuration was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the file; both count from 1, columns in characters.
    File { line: usize, column: usize },
    /// By the `--set` of this index.
    Set(usize),
}

/// One part of the configuration.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub place: Place,
    pub kind: Kind,
    /// The text this node was read from, where it may still become a string: a plain scalar, or what an environment
    /// variable held.
    pub text: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// A key with nothing after it. It means the default, unlike an explicit `null`.
    Empty,
    Scalar(Value),
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    pub key_place: Place,
    pub value: Node,
}

/// One step from a node to a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// The way from the root to a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Path(pub Vec<Step>);

impl Path {
    pub fn key(&self, key: &str) -> Self {
        self.with(Step::Key(key.to_owned()))
    }

    pub fn index(&self, index: usize) -> Self {
        self.with(Step::Index(index))
    }

    fn with(&self, step: Step) -> Self {
        let mut steps = self.0.clone();
        steps.push(step);
        Self(steps)
    }

    /// Reads `forward.0.endpoint`. A key that is itself all digits cannot be told from an index; none of ours is.
    pub fn parse(dotted: &str) -> Self {
        let step = |part: &str| match part.parse() {
            Ok(index) if part.bytes().all(|byte| byte.is_ascii_digit()) => Step::Index(index),
            _ => Step::Key(part.to_owned()),
        };
        if dotted.is_empty() { Self::default() } else { Self(dotted.split('.').map(step).collect()) }
    }

    pub fn parent(&self) -> Self {
        let (_, parent) = self.0.split_last().map_or((None, &[][..]), |(last, parent)| (Some(last), parent));
        Self(parent.to_vec())
    }

    pub fn starts_with(&self, prefix: &Self) -> bool {
        self.0.starts_with(&prefix.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            let dot = if position == 0 { "" } else { "." };
            match step {
                Step::Key(key) => write!(f, "{dot}{key}")?,
                Step::Index(index) => write!(f, "{dot}{index}")?,
            }
        }
        Ok(())
    }
}

impl Node {
    pub fn new(place: Place, kind: Kind) -> Self {
        Self { place, kind, text: None }
    }

    /// A plain scalar, typed by YAML's core schema.
    pub fn plain(place: Place, text: &str) -> Self {
        let value = resolve(text);
        let text = (!value.is_null() && !value.is_string()).then(|| text.to_owned());
        Self { place, kind: Kind::Scalar(value), text }
    }

    pub fn string(place: Place, text: String) -> Self {
        Self::new(place, Kind::Scalar(Value::String(text)))
    }

    /// The child `step` leads to.
    pub fn child(&self, step: &Step) -> Option<&Self> {
        match (&self.kind, step) {
            (Kind::Mapping(entries), Step::Key(key)) => entries.iter().find(|e| e.key == *key).map(|e| &e.value),
            (Kind::Sequence(items), Step::Index(index)) => items.get(*index),
            (Kind::Mapping(entries), Step::Index(index)) => {
                let key = index.to_string();
                entries.iter().find(|e| e.key == key).map(|e| &e.value)
            }
            _ => None,
        }
    }

    fn child_mut(&mut self, step: &Step) -> Option<&mut Self> {
        match (&mut self.kind, step) {
            (Kind::Mapping(entries), Step::Key(key)) => {
                entries.iter_mut().find(|e| e.key == *key).map(|e| &mut e.value)
            }
            (Kind::Sequence(items), Step::Index(index)) => items.get_mut(*index),
            _ => None,
        }
    }

    /// The node at `path`, if the configuration has it.
    pub fn get(&self, path: &Path) -> Option<&Self> {
        path.0.iter().try_fold(self, |node, step| node.child(step))
    }

    /// Whether the configuration gives a value at `path`. A key with nothing after it gives none.
    pub fn gives(&self, path: &Path) -> bool {
        self.get(path).is_some_and(|node| node.kind != Kind::Empty)
    }

    fn get_mut(&mut self, steps: &[Step]) -> Option<&mut Self> {
        steps.iter().try_fold(self, |node, step| node.child_mut(step))
    }

    /// Where `path` is given: its value, or what comes nearest above it.
    pub fn place_of(&self, path: &Path) -> Place {
        let mut node = self;
        for step in &path.0 {
            match node.child(step) {
                Some(child) => node = child,
                None => break,
            }
        }
        node.place
    }

    /// Where the last key of `path` is written.
    pub fn key_place_of(&self, path: &Path) -> Place {
        let parent = self.get(&path.parent());
        let entry = match (parent.map(|node| &node.kind), path.0.last()) {
            (Some(Kind::Mapping(entries)), Some(Step::Key(key))) => entries.iter().find(|entry| entry.key == *key),
            _ => None,
        };
        entry.map_or_else(|| self.place_of(path), |entry| entry.key_place)
    }

    /// Takes the node at `path` out. `false` where there is none.
    pub fn remove(&mut self, path: &Path) -> bool {
        let Some((last, parent)) = path.0.split_last() else { return false };
        let Some(parent) = self.get_mut(parent) else { return false };
        match (&mut parent.kind, last) {
            (Kind::Mapping(entries), Step::Key(key)) => {
                let before = entries.len();
                entries.retain(|entry| entry.key != *key);
                entries.len() < before
            }
            (Kind::Sequence(items), Step::Index(index)) if *index < items.len() => {
                items.remove(*index);
                true
            }
            _ => false,
        }
    }

    /// Turns the deepest node on the way to `path` that still knows its text back into that text. `false` where none does.
    pub fn restore_text(&mut self, path: &Path) -> bool {
        for length in (0..=path.0.len()).rev() {
            let Some(steps) = path.0.get(..length) else { continue };
            let Some(node) = self.get_mut(steps) else { continue };
            if let Some(text) = node.text.take() {
                node.kind = Kind::Scalar(Value::String(text));
                return true;
            }
        }
        false
    }

    /// Puts `value` at `path`, making the mappings on the way. Errors name the step that does not fit.
    pub fn set(&mut self, path: &Path, value: Node) -> Result<(), String> {
        let place = value.place;
        let mut node = self;
        for (depth, step) in path.0.iter().enumerate() {
            let so_far = Path(path.0.get(..depth).unwrap_or_default().to_vec());
            let nothing = matches!(node.kind, Kind::Empty | Kind::Scalar(Value::Null));
            if nothing {
                node.kind = match step {
                    Step::Key(_) => Kind::Mapping(Vec::new()),
                    Step::Index(_) => Kind::Sequence(Vec::new()),
                };
                node.place = place;
            }
            node = match (&mut node.kind, step) {
                (Kind::Mapping(entries), Step::Key(_) | Step::Index(_)) => {
                    let key = match step {
                        Step::Key(key) => key.clone(),
                        Step::Index(index) => index.to_string(),
                    };
                    let at = entries.iter().position(|entry| entry.key == key).unwrap_or_else(|| {
                        entries.push(Entry { key, key_place: place, value: Node::new(place, Kind::Empty) });
                        entries.len() - 1
                    });
                    let Some(entry) = entries.get_mut(at) else { return Err("out of range".to_owned()) };
                    &mut entry.value
                }
                (Kind::Sequence(items), Step::Index(index)) => {
                    if *index == items.len() {
                        items.push(Node::new(place, Kind::Empty));
                    }
                    let count = items.len();
                    items.get_mut(*index).ok_or_else(|| {
                        format!("`{so_far}` has {count} items; {index} is neither one of them nor the next")
                    })?
                }
                (Kind::Sequence(_), Step::Key(key)) => {
                    return Err(format!("`{so_far}` is a list; expected an index, found `{key}`"));
                }
                _ => return Err(format!("`{so_far}` is a single value and has no parts")),
            };
        }
        *node = value;
        Ok(())
    }

    /// Calls `visit` for every scalar's node.
    pub fn for_each_scalar(&mut self, visit: &mut dyn FnMut(&mut Node)) {
        match &mut self.kind {
            Kind::Empty => {}
            Kind::Scalar(_) => visit(self),
            Kind::Sequence(items) => items.iter_mut().for_each(|item| item.for_each_scalar(visit)),
            Kind::Mapping(entries) => entries.iter_mut().for_each(|entry| entry.value.for_each_scalar(visit)),
        }
    }

    /// Gives this node and all below it one place: a value from elsewhere stands where it was asked for.
    pub fn move_to(&mut self, place: Place) {
        self.place = place;
        match &mut self.kind {
            Kind::Empty | Kind::Scalar(_) => {}
            Kind::Sequence(items) => items.iter_mut().for_each(|item| item.move_to(place)),
            Kind::Mapping(entries) => entries.iter_mut().for_each(|entry| {
                entry.key_place = place;
                entry.value.move_to(place);
            }),
        }
    }
}

/// Types a plain scalar by YAML 1.2's core schema. `yes`, `no`, `on`, `off` are strings there.
pub(super) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let starts_with_digit = unsigned.starts_with(|c: char| c.is_ascii_digit());
    let integer = match unsigned.get(..2) {
        Some("0x") => unsigned
            .get(2..)
            .filter(|digits| !digits.starts_with('+'))
            .and_then(|digits| u64::from_str_radix(digits, 16).ok()),
        Some("0o") => unsigned
            .get(2..)
            .filter(|digits| !digits.starts_with('+'))
            .and_then(|digits| u64::from_str_radix(digits, 8).ok()),
        _ if starts_with_digit => unsigned.parse::<u64>().ok(),
        _ => None,
    };
    if let Some(integer) = integer {
        return Value::from(integer);
    }
    if let Ok(negative) = text.parse::<i64>() {
        return Value::from(negative);
    }
    let could_be_float = text.bytes().any(|byte| byte.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let float = could_be_float.then(|| text.parse::<f64>().ok().and_then(Number::from_f64)).flatten();
    float.map_or_else(|| Value::String(text.to_owned()), Value::Number)
}
