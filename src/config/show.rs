//! The effective configuration as YAML, secrets redacted.
//!
//! Redaction is not done here: the types that hold secrets never serialize them (see `secrets`). What is printed reads
//! back as the same configuration, but for those.

use serde_json::Value;

use super::Config;
use super::tree::resolve;

/// `config` as YAML.
pub fn show(config: &Config) -> String {
    let mut yaml = String::new();
    if let Ok(value) = serde_json::to_value(config) {
        block(&value, 0, &mut yaml);
    }
    yaml
}

fn block(value: &Value, indent: usize, yaml: &mut String) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                pad(indent, yaml);
                yaml.push_str(&string(key));
                yaml.push(':');
                after_marker(value, indent + 2, yaml);
            }
        }
        Value::Array(items) => {
            for item in items {
                pad(indent, yaml);
                yaml.push('-');
                match item {
                    Value::Object(object) if !object.is_empty() => {
                        // The first key stands beside the dash; the others line up under it.
                        let mut lines = String::new();
                        block(item, indent + 2, &mut lines);
                        yaml.push(' ');
                        yaml.push_str(lines.trim_start_matches(' '));
                    }
                    item => after_marker(item, indent + 2, yaml),
                }
            }
        }
        scalar => {
            pad(indent, yaml);
            yaml.push_str(&inline(scalar));
            yaml.push('\n');
        }
    }
}

/// What follows `key:` or `-`: on the same line where it fits there.
fn after_marker(value: &Value, indent: usize, yaml: &mut String) {
    let is_block = match value {
        Value::Object(object) => !object.is_empty(),
        Value::Array(items) => items.iter().any(|item| item.is_object() || item.is_array()),
        _ => false,
    };
    if is_block {
        yaml.push('\n');
        block(value, indent, yaml);
    } else {
        yaml.push(' ');
        yaml.push_str(&inline(value));
        yaml.push('\n');
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::Object(_) => "{}".to_owned(),
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::String(text) => string(text),
        other => other.to_string(),
    }
}

/// A string, quoted where YAML would read it as something else. A dollar sign is doubled, as references to environment
/// variables ask for.
fn string(text: &str) -> String {
    let text = &text.replace('$', "$$");
    let plain_inside = |c: char| c.is_ascii_alphanumeric() || "_./%+-".contains(c);
    let starts_plain = text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '_');
    let colons_plain = !text.ends_with(':') && text.chars().all(|c| plain_inside(c) || c == ':');
    // YAML 1.1 readers take these for booleans.
    let old_boolean = ["y", "n", "yes", "no", "on", "off"].contains(&text.to_ascii_lowercase().as_str());
    let stays_string = resolve(text).is_string() && !old_boolean;
    if starts_plain && colons_plain && stays_string { text.clone() } else { Value::String(text.clone()).to_string() }
}

fn pad(indent: usize, yaml: &mut String) {
    yaml.extend(std::iter::repeat_n(' ', indent));
}
