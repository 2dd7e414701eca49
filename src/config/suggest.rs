//! What was probably meant by a word that is not known.

use serde_json::Value;

use super::Config;
use super::tree::Path;
use super::values::shown;

/// The message for a key that is not known at `parent`, where `known` are.
pub(super) fn unknown_key(found: &str, known: &[&str], parent: &Path) -> String {
    let here = if parent.0.is_empty() { "at the top".to_owned() } else { format!("in `{parent}`") };
    let found_shown = shown(found);
    if let Some(near) = nearest(found, known) {
        return format!("unknown key `{found_shown}` {here}; did you mean `{near}`?");
    }
    if let [elsewhere] = places_of_key(found).as_slice() {
        return format!("unknown key `{found_shown}` {here}; did you mean `{elsewhere}`?");
    }
    format!("unknown key `{found_shown}` {here}; known there: {}", known.join(", "))
}

/// A longer list is not repeated beside a suggestion.
const SHORT_LIST: usize = 12;

/// The message for a value that is none of `known`.
pub(super) fn unknown_value(found: &str, known: &[&str]) -> String {
    let found_shown = shown(found);
    let list = known.join(", ");
    match nearest(found, known) {
        Some(near) if known.len() > SHORT_LIST => format!("`{found_shown}` is not known here; did you mean `{near}`?"),
        Some(near) => format!("`{found_shown}` is not one of {list}; did you mean `{near}`?"),
        None => format!("`{found_shown}` is not one of {list}"),
    }
}

/// The candidate that `found` is most probably a slip of: same letters in another spelling, or few edits away.
pub(super) fn nearest<'a>(found: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let wanted = letters(found);
    let distance = |candidate: &str| {
        let candidate = letters(candidate);
        if candidate == wanted { 0 } else { strsim::damerau_levenshtein(&wanted, &candidate) }
    };
    let close_enough = |candidate: &str| candidate.len().max(found.len()).div_ceil(3);
    let by_edits = candidates
        .iter()
        .map(|candidate| (distance(candidate), *candidate))
        .filter(|(edits, candidate)| *edits <= close_enough(candidate) && (*edits == 0 || *edits < wanted.len()))
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate);
    let contained = || {
        let part = |candidate: &&&str| {
            wanted.len() >= 3
                && (letters(candidate).contains(&wanted)
                    || (candidate.len() >= 3 && wanted.contains(&letters(candidate))))
        };
        candidates.iter().find(part).copied()
    };
    by_edits.or_else(contained)
}

/// Lower-case letters and digits alone, so that `allowedOrigins` and `allowed-origins` are `allowed_origins`. At most 64.
fn letters(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).take(64).collect::<String>().to_lowercase()
}

/// Where in the whole configuration a key of this name stands.
fn places_of_key(key: &str) -> Vec<String> {
    let mut places = Vec::new();
    if let Ok(defaults) = serde_json::to_value(Config::default()) {
        collect(&defaults, &Path::default(), key, &mut places);
    }
    places
}

fn collect(value: &Value, at: &Path, key: &str, places: &mut Vec<String>) {
    let Value::Object(object) = value else { return };
    for (name, part) in object {
        let here = at.key(name);
        if name == key {
            places.push(here.to_string());
        }
        collect(part, &here, key, places);
    }
}
