//! Keys that are read and checked but whose stage is not built yet.
//!
//! [`NOT_YET`] is the whole list; a change that builds a stage takes its lines out. A line only speaks where the
//! configuration gives the key a value other than its default.

use serde_json::Value;

use super::Config;
use super::tree::{Node, Path, Step};

/// A key, the value that is not served (none: any but the default), and what that means.
struct NotYet {
    /// Dotted; `*` is any index.
    key: &'static str,
    value: Option<&'static str>,
    meaning: &'static str,
}

const fn any(key: &'static str, meaning: &'static str) -> NotYet {
    NotYet { key, value: None, meaning }
}

const fn only(key: &'static str, value: &'static str, meaning: &'static str) -> NotYet {
    NotYet { key, value: Some(value), meaning }
}

const NO_SCRAPER: &str = "this scraper is not built yet; it reports nothing";

/// What is not built yet.
const NOT_YET: &[NotYet] = &[
    any("receivers.prometheus", "scraping is not built yet; no target is scraped"),
    only("receivers.host.scrapers.*", "process", NO_SCRAPER),
    only("receivers.host.scrapers.*", "container", NO_SCRAPER),
    only("receivers.host.scrapers.*", "gpu", NO_SCRAPER),
    any("journal.path", "the journal on disk is not built yet; records are kept in memory alone"),
    any("journal.disk", "the journal on disk is not built yet"),
    any("journal.fsync", "the journal on disk is not built yet"),
    any("state", "keeping state is not built yet; counters start anew with each start"),
    any("ai.capture_content", "nothing keeps prompt and answer text yet"),
    any("ai.drift", "drift is not measured yet"),
    any("ai.fairness", "fairness is not measured yet"),
    any("ai.agents", "coding agents are not measured yet"),
    any("ai.join_ttl", "ground truth is not joined yet"),
    any("ai.quality_window", "quality is not measured yet"),
    any("users", "users are not measured yet"),
    any("services", "availability is not measured yet"),
    any("slos", "SLOs are checked but not measured yet"),
    any("kpis", "KPIs are not measured yet"),
    any("alerts", "alerts are not sent yet"),
    only("forward.*.content", "drop", "content is not cut out yet; everything is sent"),
    only("forward.*.temporality", "delta", "delta is not built yet; cumulative is sent"),
    any("api", "the API answers health alone so far"),
];

/// What `config`, read from `root`, asks for that is not built yet, by path.
pub(super) fn not_yet_used(config: &Config, root: &Node) -> Vec<(Path, String)> {
    let (Ok(config), Ok(default)) = (serde_json::to_value(config), serde_json::to_value(Config::default())) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for line in NOT_YET {
        let steps: Vec<&str> = line.key.split('.').collect();
        for path in matching(&config, &steps, &Path::default()) {
            let given = root.gives(&path);
            let value = value_at(&config, &path);
            let asked_for = match line.value {
                Some(unserved) => {
                    let list = path.parent();
                    let untouched = value_at(&config, &list) == value_at(&default, &list);
                    value.and_then(Value::as_str) == Some(unserved) && !untouched
                }
                None => value != value_at(&default, &path),
            };
            if given && asked_for {
                found.push((path.clone(), format!("`{path}`: {}", line.meaning)));
            }
        }
    }
    found
}

/// The paths in `value` that `steps` matches.
fn matching(value: &Value, steps: &[&str], at: &Path) -> Vec<Path> {
    let Some((first, rest)) = steps.split_first() else { return vec![at.clone()] };
    match value {
        Value::Array(items) if *first == "*" => {
            items.iter().enumerate().flat_map(|(index, item)| matching(item, rest, &at.index(index))).collect()
        }
        Value::Object(object) => {
            object.get(*first).map(|part| matching(part, rest, &at.key(first))).unwrap_or_default()
        }
        _ => Vec::new(),
    }
}

fn value_at<'a>(value: &'a Value, path: &Path) -> Option<&'a Value> {
    path.0.iter().try_fold(value, |value, step| match step {
        Step::Key(key) => value.get(key),
        Step::Index(index) => value.get(index),
    })
}
