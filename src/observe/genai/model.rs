//! A model's name and version.

/// Splits what was sent into a name and a version.
///
/// The name is the request's model (the response's where the request names none). The version is what the response's
/// model adds to it (`gpt-4o-mini` and `gpt-4o-mini-2024-07-18` → `2024-07-18`); where only a dated name is known its date
/// is the version; else `unversioned`.
pub fn name_and_version<'a>(request: &'a str, response: &'a str) -> (&'a str, &'a str) {
    let name = if request.is_empty() { response } else { request };
    if let Some(version) = added(name, response) {
        return (name, version);
    }
    split_date(name).unwrap_or((name, "unversioned"))
}

/// What `response` adds to `name` behind a separator.
fn added<'a>(name: &str, response: &'a str) -> Option<&'a str> {
    let version = response.strip_prefix(name)?.strip_prefix(['-', '@', ':'])?;
    // `gpt-4o` answered by `gpt-4o-mini` would be another model, not a version.
    (version.starts_with(|first: char| first.is_ascii_digit()) || version.starts_with("preview")).then_some(version)
}

/// Splits off a trailing `-YYYY-MM-DD` or `-YYYYMMDD`.
fn split_date(name: &str) -> Option<(&str, &str)> {
    [10, 8].into_iter().find_map(|length| {
        let (model, date) = name.split_at_checked(name.len().checked_sub(length)?)?;
        let model = model.strip_suffix(['-', '@'])?;
        (is_date(date) && !model.is_empty()).then_some((model, date))
    })
}

fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let shape_fits = match bytes {
        [_, _, _, _, b'-', _, _, b'-', _, _] => true,
        other => other.len() == 8,
    };
    let digits: Vec<u32> =
        bytes.iter().filter(|byte| byte.is_ascii_digit()).map(|byte| u32::from(byte - b'0')).collect();
    let [y1, y2, _, _, m1, m2, d1, d2] = digits.as_slice() else { return false };
    let (century, month, day) = (y1 * 10 + y2, m1 * 10 + m2, d1 * 10 + d2);
    shape_fits && (19..=21).contains(&century) && (1..=12).contains(&month) && (1..=31).contains(&day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_what_the_response_adds() {
        for (request, response, expected) in [
            ("gpt-4o-mini", "gpt-4o-mini-2024-07-18", ("gpt-4o-mini", "2024-07-18")),
            ("gpt-4o-mini", "gpt-4o-mini", ("gpt-4o-mini", "unversioned")),
            ("gpt-4o", "gpt-4o-mini-2024-07-18", ("gpt-4o", "unversioned")),
            ("", "gpt-4o-mini-2024-07-18", ("gpt-4o-mini", "2024-07-18")),
            ("gpt-4o-2024-08-06", "gpt-4o-2024-08-06", ("gpt-4o", "2024-08-06")),
            ("claude-3-5-sonnet-20241022", "", ("claude-3-5-sonnet", "20241022")),
            ("model-12345678", "", ("model-12345678", "unversioned")),
            ("llama3", "", ("llama3", "unversioned")),
            ("", "", ("", "unversioned")),
        ] {
            assert_eq!(name_and_version(request, response), expected, "{request} {response}");
        }
    }
}
