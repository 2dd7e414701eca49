//! Escaping of names for clients that do not take UTF-8.
//!
//! Every name that leaves [`metric`] or [`label`] under a scheme other than [`Escaping::AllowUtf8`] is in the legacy
//! character set. A name already in it passes unchanged under every scheme, as it does in Prometheus's own client
//! libraries: a dashboard's name must not depend on what the scraper negotiated.
//!
//! Source: Prometheus, "UTF-8 metric and label name escaping schemes".

use std::fmt::Write as _;

/// How names outside the legacy set are shown; the `escaping` parameter of `Accept` and `Content-Type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Escaping {
    /// As they are, in quotes.
    AllowUtf8,
    /// Other characters become `_`.
    #[default]
    Underscores,
    /// `.` becomes `_dot_`, `_` becomes `__`, others `__`.
    Dots,
    /// `U__`, then other characters as `_<hexadecimal code point>_`; reversible.
    Values,
}

impl Escaping {
    /// The parameter's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllowUtf8 => "allow-utf-8",
            Self::Underscores => "underscores",
            Self::Dots => "dots",
            Self::Values => "values",
        }
    }

    /// Reads the parameter's value; both spellings of `allow-utf-8` that Prometheus's documents use.
    pub fn parse(value: &str) -> Option<Self> {
        match value {
            "allow-utf-8" | "allow-utf8" => Some(Self::AllowUtf8),
            "underscores" => Some(Self::Underscores),
            "dots" => Some(Self::Dots),
            "values" => Some(Self::Values),
            _ => None,
        }
    }
}

/// `[a-zA-Z_:][a-zA-Z0-9_:]*`
pub fn is_legacy_metric(name: &str) -> bool {
    !name.is_empty() && name.bytes().enumerate().all(|(index, byte)| is_legacy(byte.into(), index == 0, true))
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`
pub fn is_legacy_label(name: &str) -> bool {
    !name.is_empty() && name.bytes().enumerate().all(|(index, byte)| is_legacy(byte.into(), index == 0, false))
}

fn is_legacy(character: char, first: bool, colon: bool) -> bool {
    character.is_ascii_alphabetic()
        || character == '_'
        || (character.is_ascii_digit() && !first)
        || (character == ':' && colon)
}

/// A metric name under `scheme`. The name is not empty.
pub fn metric(name: String, scheme: Escaping) -> String {
    if scheme == Escaping::AllowUtf8 || is_legacy_metric(&name) {
        return name;
    }
    escape(&name, scheme, true)
}

/// A label name under `scheme`. The name is not empty.
pub fn label(name: String, scheme: Escaping) -> String {
    if scheme == Escaping::AllowUtf8 || is_legacy_label(&name) {
        return name;
    }
    escape(&name, scheme, false)
}

fn escape(name: &str, scheme: Escaping, colon: bool) -> String {
    let mut escaped = String::with_capacity(name.len() + 8);
    if scheme == Escaping::Values {
        escaped.push_str("U__");
    }
    for (index, character) in name.chars().enumerate() {
        // Behind the prefix no character is the first one, but the reverse reading expects a leading digit encoded.
        let legacy = is_legacy(character, index == 0, colon);
        match scheme {
            Escaping::AllowUtf8 => escaped.push(character),
            Escaping::Underscores => escaped.push(if legacy { character } else { '_' }),
            Escaping::Dots | Escaping::Values if character == '_' => escaped.push_str("__"),
            Escaping::Dots if character == '.' => escaped.push_str("_dot_"),
            Escaping::Dots | Escaping::Values if legacy => escaped.push(character),
            Escaping::Dots => escaped.push_str("__"),
            // Writing to a string cannot fail.
            Escaping::Values => _ = write!(escaped, "_{:x}_", u32::from(character)),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expected values were printed by Prometheus's own escaping (`common` 0.73).
    #[test]
    fn escapes_as_prometheus_does() {
        let cases = [
            ("foo.bar_baz", "foo_bar_baz", "foo_dot_bar__baz", "U__foo_2e_bar__baz"),
            ("é.x", "__x", "___dot_x", "U___e9__2e_x"),
            ("a b", "a_b", "a__b", "U__a_20_b"),
            ("1ab", "_ab", "__ab", "U___31_ab"),
            ("😀", "_", "__", "U___1f600_"),
            ("a:b", "a:b", "a:b", "a:b"),
            ("foo_bar", "foo_bar", "foo_bar", "foo_bar"),
        ];
        for (name, underscores, dots, values) in cases {
            assert_eq!(metric(name.to_owned(), Escaping::AllowUtf8), name);
            assert_eq!(metric(name.to_owned(), Escaping::Underscores), underscores, "{name}");
            assert_eq!(metric(name.to_owned(), Escaping::Dots), dots, "{name}");
            assert_eq!(metric(name.to_owned(), Escaping::Values), values, "{name}");
        }
    }

    #[test]
    fn a_colon_belongs_to_metric_names_only() {
        assert_eq!(label("a:b".to_owned(), Escaping::Underscores), "a_b");
        assert_eq!(label("a:b".to_owned(), Escaping::Dots), "a__b");
        assert_eq!(label("a:b".to_owned(), Escaping::Values), "U__a_3a_b");
    }

    #[test]
    fn reads_the_parameter_back() {
        for scheme in [Escaping::AllowUtf8, Escaping::Underscores, Escaping::Dots, Escaping::Values] {
            assert_eq!(Escaping::parse(scheme.as_str()), Some(scheme));
        }
        assert_eq!(Escaping::parse("Values"), None);
    }
}
