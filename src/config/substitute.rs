//! Environment variables in the configuration: `${env:NAME}`, `${env:NAME:-default}`, `${NAME}`, and `$$` for a dollar
//! sign, as in the OpenTelemetry Collector.
//!
//! Invariants: substitution happens in scalars after the YAML was parsed, so that a variable's text can never add keys
//! beside its own; what a variable holds is not searched for further references; an unset variable without a default is
//! an error.
//!
//! A scalar that is nothing but one reference takes the type of the text it gets, so that `${env:PORTS}` can be a number
//! or a list. It keeps the text too: where a string is wanted, `0123` stays `0123`.

use serde_json::Value;

use super::tree::{Kind, Node, resolve};
use super::yaml::{self, Fault};

/// Looks an environment variable up.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// How deep defaults may hold references themselves: `${env:A:-${env:B}}`.
const MAX_NESTING: usize = 8;

/// Substitutes in every scalar of `root`; gives what could not be.
pub(super) fn substitute(root: &mut Node, env: Env) -> Vec<Fault> {
    let mut faults = Vec::new();
    root.for_each_scalar(&mut |node| {
        let Kind::Scalar(Value::String(text)) = &node.kind else { return };
        if !text.contains('$') {
            return;
        }
        match expand(text, env, MAX_NESTING) {
            Ok(Expanded { text, whole: true }) => *node = retyped(node, text),
            Ok(Expanded { text, whole: false }) => node.kind = Kind::Scalar(Value::String(text)),
            Err(message) => {
                faults.push(Fault::new(node.place, message));
                node.kind = Kind::Empty;
            }
        }
    });
    faults
}

/// What stands where a scalar was nothing but one reference.
fn retyped(scalar: &Node, text: String) -> Node {
    let place = scalar.place;
    let mut node = match resolve(&text) {
        Value::Null if text.is_empty() => Node::new(place, Kind::Empty),
        Value::String(_) => match yaml::parse(&text) {
            Ok(mut parsed) if matches!(parsed.kind, Kind::Sequence(_) | Kind::Mapping(_)) => {
                parsed.move_to(place);
                parsed
            }
            _ => Node::string(place, text.clone()),
        },
        value => Node::new(place, Kind::Scalar(value)),
    };
    let is_string = matches!(node.kind, Kind::Scalar(Value::String(_)));
    node.text = (!is_string).then_some(text);
    node
}

struct Expanded {
    text: String,
    /// Whether the input was exactly one reference.
    whole: bool,
}

fn expand(input: &str, env: Env, nesting: usize) -> Result<Expanded, String> {
    let mut output = String::with_capacity(input.len());
    let mut rest = input;
    let mut whole = false;
    while let Some((before, after)) = rest.split_once('$') {
        output.push_str(before);
        if let Some(after_escape) = after.strip_prefix('$') {
            output.push('$');
            rest = after_escape;
        } else if let Some(body) = after.strip_prefix('{') {
            let (reference, after_reference) =
                split_reference(body).ok_or_else(|| format!("`${{{body}` has no closing brace"))?;
            whole = before.is_empty() && rest.len() == input.len() && after_reference.is_empty();
            output.push_str(&look_up(reference, env, nesting)?);
            rest = after_reference;
        } else {
            output.push('$');
            rest = after;
        }
        if output.len() > yaml::MAX_BYTES {
            return Err(format!("expands to more than {} bytes", yaml::MAX_BYTES));
        }
    }
    output.push_str(rest);
    Ok(Expanded { text: output, whole })
}

/// Splits `NAME:-x}rest` at the brace that closes it.
fn split_reference(body: &str) -> Option<(&str, &str)> {
    let mut depth = 1usize;
    for (at, byte) in body.bytes().enumerate() {
        match byte {
            b'{' if body.get(..at).is_some_and(|before| before.ends_with('$')) => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((body.get(..at)?, body.get(at + 1..)?));
        }
    }
    None
}

fn look_up(reference: &str, env: Env, nesting: usize) -> Result<String, String> {
    let (name, default) = match reference.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (reference, None),
    };
    let name = name.strip_prefix("env:").unwrap_or(name);
    let first_ok = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !first_ok || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(format!(
            "`${{{reference}}}` is not a reference; expected ${{env:NAME}} or ${{env:NAME:-default}}, or $$ for a dollar sign"
        ));
    }
    match (env(name), default) {
        (Some(value), _) => Ok(value),
        (None, Some(_)) if nesting == 0 => Err(format!("`${{{reference}}}` nests defaults too deep")),
        (None, Some(default)) => expand(default, env, nesting - 1).map(|expanded| expanded.text),
        (None, None) => {
            Err(format!("environment variable {name} is not set; give it, or a default: ${{env:{name}:-…}}"))
        }
    }
}
