//! The JSON Schema of the configuration, and the reference page made from it.
//!
//! Both come from the structs, their defaults and their doc comments; a test compares the page in `docs/` with what this
//! module makes (`UPDATE_DOCS=1 cargo test --lib config::reference` writes it anew).

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::Config;

/// The JSON Schema (draft 2020-12) of the configuration.
pub fn schema() -> Value {
    let schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Config>();
    let mut schema = schema.to_value();
    if let Some(object) = schema.as_object_mut() {
        object.insert("title".to_owned(), Value::from("Qiyas configuration"));
    }
    let definitions = schema.get_mut("$defs").and_then(Value::as_object_mut);
    for definition in definitions.into_iter().flat_map(Map::values_mut) {
        forget_defaults_of_required(definition);
    }
    schema
}

/// A key that must be given has no default, though the struct behind it has one until it is read.
fn forget_defaults_of_required(definition: &mut Value) {
    let required = definition.get("required").cloned().unwrap_or_default();
    for key in required.as_array().into_iter().flatten().filter_map(Value::as_str) {
        let property = definition.get_mut("properties").and_then(|properties| properties.get_mut(key));
        if let Some(property) = property.and_then(Value::as_object_mut) {
            property.remove("default");
        }
    }
}

/// The opening of the page.
const INTRODUCTION: &str = "\
# Configuration

One YAML file, all of it optional: `qiyas run --config FILE`. Without a file the defaults below run, with every listener on
loopback. `--set a.b=value` lays a value over the file. An unknown key is an error that names its line, its column and the
nearest known key; `qiyas validate --config FILE` prints every error.

Durations are written `500ms`, `10s`, `5m`, `1h30m`, `7d`; sizes `512KiB`, `64MiB`, or as a number of bytes. A key with
nothing after it has its default; an explicit `null` turns off what can be turned off.

`${env:NAME}` stands for an environment variable, `${env:NAME:-default}` for one that may be unset, `$$` for a dollar sign.
Where `forward` is empty, the standard variables `OTEL_EXPORTER_OTLP_ENDPOINT`, `_HEADERS`, `_PROTOCOL`, `_COMPRESSION`,
`_TIMEOUT`, `_CERTIFICATE`, `_CLIENT_CERTIFICATE`, `_CLIENT_KEY`, `_INSECURE` and their forms for one signal
(`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` …) make a destination. Where no protocol is named, port 4317 means gRPC and any other
port HTTP. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` name the sidecar itself.

This page is generated from the source; `qiyas config schema` prints the same as JSON Schema.
";

/// The reference page, as Markdown.
pub fn reference() -> String {
    let schema = schema();
    let page = Page { definitions: schema.get("$defs").and_then(Value::as_object) };
    let mut text = INTRODUCTION.to_owned();
    let sections = schema.get("properties").and_then(Value::as_object);
    for (key, property) in sections.into_iter().flatten() {
        text.push_str(&format!("\n## `{key}`\n\n"));
        let description = page.description(property);
        if !description.is_empty() {
            text.push_str(&format!("{description}\n\n"));
        }
        text.push_str("| key | takes | default | meaning |\n|---|---|---|---|\n");
        let mut rows = Vec::new();
        page.rows(key, property, &mut rows);
        text.push_str(&rows.concat());
    }
    text
}

struct Page<'a> {
    definitions: Option<&'a Map<String, Value>>,
}

impl<'a> Page<'a> {
    /// The definition a schema refers to, itself or beside `null`; else the schema.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        let direct = schema.get("$ref");
        let beside_null = schema.get("anyOf").and_then(Value::as_array).and_then(|any| match any.as_slice() {
            [one, null] if null.get("type").and_then(Value::as_str) == Some("null") => one.get("$ref"),
            _ => None,
        });
        let name = direct.or(beside_null).and_then(Value::as_str).and_then(|name| name.strip_prefix("#/$defs/"));
        name.and_then(|name| self.definitions?.get(name)).unwrap_or(schema)
    }

    fn description(&self, schema: &'a Value) -> String {
        let of = |schema: &Value| schema.get("description").and_then(Value::as_str).map(str::to_owned);
        of(schema).or_else(|| of(self.resolved(schema))).unwrap_or_default().replace('\n', " ")
    }

    /// Adds the rows of `schema`, which stands at `key`.
    fn rows(&self, key: &str, schema: &'a Value, rows: &mut Vec<String>) {
        let resolved = self.resolved(schema);
        let properties = resolved.get("properties").and_then(Value::as_object);
        if let Some(properties) = properties {
            let optional = self.resolved(schema) != schema && schema.get("anyOf").is_some();
            if optional {
                rows.push(self.row(key, "a mapping, or `null`", schema));
            }
            let required = resolved.get("required").and_then(Value::as_array);
            for (name, property) in properties {
                let from = rows.len();
                self.rows(&format!("{key}.{name}"), property, rows);
                let is_required = required.is_some_and(|keys| keys.iter().any(|key| key == name));
                if let Some(row) = rows.get_mut(from).filter(|_| is_required) {
                    *row = row.replacen("|  |", "| *required* |", 1);
                }
            }
            return;
        }
        let items = resolved.get("items").map(|items| (items, self.resolved(items)));
        if let Some((items, item)) = items
            && item.get("properties").is_some()
        {
            rows.push(self.row(key, "a list", schema));
            self.rows(&format!("{key}[]"), items, rows);
            return;
        }
        rows.push(self.row(key, &self.takes(schema), schema));
    }

    fn row(&self, key: &str, takes: &str, schema: &'a Value) -> String {
        let default = match schema.get("default") {
            Some(Value::Object(_)) => String::new(),
            Some(default) => format!("`{}`", compact(default)),
            None => String::new(),
        };
        let mut meaning = self.description(schema);
        let choices = self.choices(self.resolved(schema));
        let explained =
            choices.iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| format!("`{name}`: {text}"));
        let explained = explained.collect::<Vec<_>>().join(" ");
        if !explained.is_empty() {
            meaning = format!("{meaning} {explained}").trim().to_owned();
        }
        format!("| `{key}` | {} | {default} | {} |\n", takes.replace('|', "\\|"), meaning.replace('|', "\\|"))
    }

    /// The values of an enumeration, with what each means.
    fn choices(&self, schema: &'a Value) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut choices = Vec::new();
        let branches = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
        for branch in branches.chain(std::iter::once(schema)) {
            let description = if std::ptr::eq(branch, schema) { String::new() } else { self.description(branch) };
            if let Some(name) = branch.get("const").and_then(text) {
                choices.push((name, description.clone()));
            }
            let names = branch.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(text);
            choices.extend(names.map(|name| (name, description.clone())));
            let only_key = branch.get("properties").and_then(Value::as_object).filter(|keys| keys.len() == 1);
            if let Some((name, _)) =
                only_key.and_then(|keys| keys.iter().next()).filter(|_| !std::ptr::eq(branch, schema))
            {
                choices.push((format!("{{{name}: path}}"), description));
            }
        }
        choices
    }

    /// What a key takes, in words.
    fn takes(&self, schema: &'a Value) -> String {
        let resolved = self.resolved(schema);
        let or_null = if schema.get("anyOf").is_some() && !std::ptr::eq(resolved, schema) { ", or `null`" } else { "" };
        let choices = self.choices(resolved);
        if !choices.is_empty() {
            let names: Vec<String> = choices.iter().map(|(name, _)| format!("`{name}`")).collect();
            return names.join(", ") + or_null;
        }
        if let Some(items) = resolved.get("items") {
            return format!("a list of: {}", self.takes(items));
        }
        if let Some(values) = resolved.get("additionalProperties").filter(|values| values.is_object()) {
            return format!("a mapping of names to: {}", self.takes(values));
        }
        let named = schema.get("$ref").or_else(|| schema.get("anyOf")?.get(0)?.get("$ref")).and_then(Value::as_str);
        let by_name = match named.and_then(|name| name.rsplit('/').next()) {
            Some("Dur") => Some("a duration"),
            Some("Size") => Some("a size"),
            Some("Memory") => Some("`auto` or a size"),
            Some("Percent") => Some("a percentage"),
            Some("Ratio") => Some("a ratio"),
            Some("Timestamp") => Some("a time (RFC 3339)"),
            Some("Url") => Some("a URL"),
            Some("Secret") => Some("a secret text"),
            Some("HeaderValue") => Some("text or `{file: path}`"),
            Some("Threshold") => Some("a threshold"),
            Some("AttributeValue") => Some("text, a number or a boolean"),
            _ => None,
        };
        if let Some(name) = by_name {
            return format!("{name}{or_null}");
        }
        let types: Vec<&str> = match resolved.get("type") {
            Some(Value::String(one)) => vec![one.as_str()],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        };
        let words = types.iter().map(|name| match *name {
            "string" => "text",
            "integer" => "a whole number",
            "number" => "a number",
            "boolean" => "`true` or `false`",
            "null" => "`null`",
            other => other,
        });
        words.collect::<Vec<_>>().join(" or ")
    }
}

/// A default on one line.
fn compact(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(compact).collect::<Vec<_>>().join(", ")),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), |number| number.to_string()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_page_is_the_one_in_the_docs() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/configuration.md");
        let made = reference();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &made).unwrap();
        }
        let kept = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            kept == made,
            "docs/configuration.md is not what the source says: UPDATE_DOCS=1 cargo test --lib config::reference"
        );
    }

    #[test]
    fn the_schema_says_its_draft_and_its_defaults() {
        let schema = schema();
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["$defs"]["Limits"]["properties"]["series"]["default"], 20_000);
        assert_eq!(schema["$defs"]["Spans"]["properties"]["buckets"]["default"][11], "1.4s");
    }

    #[test]
    fn every_key_is_described() {
        let schema = schema();
        let page = Page { definitions: schema["$defs"].as_object() };
        let mut bare = Vec::new();
        for (name, definition) in schema["$defs"].as_object().unwrap() {
            for (key, property) in definition["properties"].as_object().into_iter().flatten() {
                let own = property["description"].as_str().unwrap_or_default();
                let is_scalar = page.resolved(property).get("properties").is_none()
                    && page.choices(page.resolved(property)).is_empty();
                if own.is_empty() && (is_scalar || page.description(property).is_empty()) {
                    bare.push(format!("{name}.{key}"));
                }
            }
        }
        assert_eq!(bare, Vec::<String>::new(), "keys without a doc comment");
    }
}
