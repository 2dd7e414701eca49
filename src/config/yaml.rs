//! YAML text to a [`Node`] tree.
//!
//! Invariants: the text is at most [`MAX_BYTES`] long, one document, nested at most [`MAX_DEPTH`] deep, and has at most
//! [`MAX_NODES`] nodes once aliases are expanded, so no file can make the sidecar hang or swell. Whatever breaks one of
//! these, a key given twice, or a syntax error is a [`Fault`] with its place; of a file that cannot be read as YAML only
//! the first fault is known.
//!
//! Parsing is iterative: the parser's events are folded with a stack of unfinished collections.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};
use serde_json::Value;

use super::tree::{Entry, Kind, MAX_DEPTH, Node, Place, resolve};
use super::values::shown;

/// The longest configuration that is read.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// The most nodes of a configuration, aliases expanded.
const MAX_NODES: usize = 100_000;

/// The most keys of one mapping; it keeps the search for a key given twice short.
const MAX_KEYS: usize = 4096;

/// Something wrong at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub place: Place,
    pub message: String,
}

impl Fault {
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into() }
    }
}

/// Reads one document. `Err` has every fault that was found; the tree of an empty document is [`Kind::Empty`].
pub(super) fn parse(text: &str) -> Result<Node, Vec<Fault>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.len() > MAX_BYTES {
        let message = format!("the configuration has {} bytes; at most {MAX_BYTES} are read", text.len());
        return Err(vec![Fault::new(START, message)]);
    }
    let mut parser = Parser::new_from_str(text);
    let mut builder = Builder::default();
    while let Some(event) = parser.next_event() {
        let step = match event {
            Ok((event, span)) => builder.event(event, span),
            Err(error) => Err(Fault::new(place(*error.marker()), format!("not YAML: {}", error.info()))),
        };
        if let Err(fault) = step {
            builder.faults.push(fault);
            break;
        }
    }
    if builder.faults.is_empty() {
        Ok(builder.root.unwrap_or(Node::new(START, Kind::Empty)))
    } else {
        Err(builder.faults)
    }
}

const START: Place = Place::File { line: 1, column: 1 };

fn place(mark: Marker) -> Place {
    Place::File { line: mark.line().max(1), column: mark.col() + 1 }
}

/// A collection whose end has not been seen.
struct Open {
    place: Place,
    anchor: usize,
    items: Items,
}

enum Items {
    Sequence(Vec<Node>),
    Mapping { entries: Vec<Entry>, key: Option<(String, Place)>, merged: Vec<Entry> },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    root: Option<Node>,
    documents: usize,
    faults: Vec<Fault>,
}

impl Builder {
    /// Takes one event. `Err` is a fault after which nothing more can be said.
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        let at = place(span.start);
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(Fault::new(at, "a second document starts here; expected one"));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = scalar(at, &text, style, tag.as_deref())?;
                self.node(node, anchor)
            }
            Event::SequenceStart(anchor, tag) => {
                known_tag(at, tag.as_deref(), "seq")?;
                self.open(at, anchor, Items::Sequence(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                known_tag(at, tag.as_deref(), "map")?;
                self.open(at, anchor, Items::Mapping { entries: Vec::new(), key: None, merged: Vec::new() })
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let kind = match open.items {
                    Items::Sequence(items) => Kind::Sequence(items),
                    Items::Mapping { mut entries, merged, .. } => {
                        if entries.len().saturating_add(merged.len()) > MAX_KEYS {
                            return Err(Fault::new(open.place, format!("a mapping of more than {MAX_KEYS} keys")));
                        }
                        for entry in merged {
                            if !entries.iter().any(|own| own.key == entry.key) {
                                entries.push(entry);
                            }
                        }
                        Kind::Mapping(entries)
                    }
                };
                self.node(Node::new(open.place, kind), open.anchor)
            }
            Event::Alias(anchor) => {
                let Some(node) = self.anchors.get(&anchor).cloned() else {
                    return Err(Fault::new(at, "an alias inside the node it names"));
                };
                let expanded = count(&node);
                self.nodes = self.nodes.saturating_add(expanded);
                let depth = self.open.len() + depth(&node);
                if self.nodes > MAX_NODES || depth > MAX_DEPTH {
                    return Err(Fault::new(
                        at,
                        format!("aliases expand to more than {MAX_NODES} nodes or {MAX_DEPTH} levels"),
                    ));
                }
                self.node(node, 0)
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(&mut self, at: Place, anchor: usize, items: Items) -> Result<(), Fault> {
        let expects_key = matches!(self.open.last(), Some(Open { items: Items::Mapping { key: None, .. }, .. }));
        if expects_key {
            return Err(Fault::new(at, "a key must be plain text, not a list or a mapping"));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(Fault::new(at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.open.push(Open { place: at, anchor, items });
        Ok(())
    }

    /// Puts a finished node where it belongs.
    fn node(&mut self, node: Node, anchor: usize) -> Result<(), Fault> {
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes > MAX_NODES {
            return Err(Fault::new(node.place, format!("more than {MAX_NODES} values")));
        }
        if anchor > 0 {
            self.nodes = self.nodes.saturating_add(count(&node));
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.items) {
            None => self.root = Some(node),
            Some(Items::Sequence(items)) => items.push(node),
            Some(Items::Mapping { entries, key, merged }) => match key.take() {
                None => *key = Some((key_text(&node)?, node.place)),
                Some((name, _)) if name == "<<" => merged.extend(mappings(node)?),
                Some((_, key_place)) if entries.len() >= MAX_KEYS => {
                    return Err(Fault::new(key_place, format!("a mapping of more than {MAX_KEYS} keys")));
                }
                Some((name, key_place)) => {
                    let first = entries.iter().find(|entry| entry.key == name).map(|entry| entry.key_place);
                    match first {
                        Some(Place::File { line, .. }) => {
                            let message = format!("`{}` is given twice; first in line {line}", shown(&name));
                            self.faults.push(Fault::new(key_place, message));
                        }
                        _ => entries.push(Entry { key: name, key_place, value: node }),
                    }
                }
            },
        }
        Ok(())
    }
}

fn scalar(at: Place, text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Node, Fault> {
    let Some(tag) = tag else {
        return Ok(match style {
            ScalarStyle::Plain if text.is_empty() => Node::new(at, Kind::Empty),
            ScalarStyle::Plain => Node::plain(at, text),
            _ => Node::string(at, text.to_owned()),
        });
    };
    let value = match tag.suffix.as_str() {
        "str" if tag.is_yaml_core_schema() => Value::String(text.to_owned()),
        "bool" | "int" | "float" | "null" if tag.is_yaml_core_schema() => resolve(text),
        _ => return Err(Fault::new(at, format!("tag `{}` is not known here", shown(&tag.to_string())))),
    };
    Ok(Node::new(at, Kind::Scalar(value)))
}

fn known_tag(at: Place, tag: Option<&Tag>, expected: &str) -> Result<(), Fault> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == expected) => {
            Err(Fault::new(at, format!("tag `{}` is not known here", shown(&tag.to_string()))))
        }
        _ => Ok(()),
    }
}

/// A key as text: numbers and booleans are taken as written.
fn key_text(node: &Node) -> Result<String, Fault> {
    match (&node.kind, &node.text) {
        (_, Some(text)) | (Kind::Scalar(Value::String(text)), None) => Ok(text.clone()),
        (Kind::Scalar(Value::Null), None) => Ok("null".to_owned()),
        (Kind::Empty, _) => Err(Fault::new(node.place, "a key is missing before `:`")),
        _ => Err(Fault::new(node.place, "a key must be plain text, not a list or a mapping")),
    }
}

/// The entries of a merge key's value: a mapping or a list of them, the first of which wins.
fn mappings(node: Node) -> Result<Vec<Entry>, Fault> {
    let not_a_mapping = Fault::new(node.place, "`<<` merges mappings; expected an alias of one, or a list of them");
    match node.kind {
        Kind::Mapping(entries) => Ok(entries),
        Kind::Sequence(items) => {
            let mut merged: Vec<Entry> = Vec::new();
            for item in items {
                let Kind::Mapping(entries) = item.kind else { return Err(not_a_mapping) };
                merged.extend(entries);
            }
            Ok(merged)
        }
        Kind::Empty | Kind::Scalar(_) => Err(not_a_mapping),
    }
}

/// Nodes in a tree; bounded by what was already built.
fn count(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::Empty | Kind::Scalar(_) => 0,
        Kind::Sequence(items) => items.iter().map(count).sum::<usize>(),
        Kind::Mapping(entries) => entries.iter().map(|entry| count(&entry.value)).sum::<usize>(),
    }
}

/// Levels of collections in a tree.
fn depth(node: &Node) -> usize {
    match &node.kind {
        Kind::Empty | Kind::Scalar(_) => 0,
        Kind::Sequence(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Kind::Mapping(entries) => 1 + entries.iter().map(|entry| depth(&entry.value)).max().unwrap_or(0),
    }
}
