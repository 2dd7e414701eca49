//! What the client asked for: format, escaping of names, compression.
//!
//! - There is always an answer: a client that asks for nothing we have gets Prometheus text 0.0.4.
//! - UTF-8 names go only to a client that asked for them with a format that knows them (version 1.0.0).
//!
//! Sources: Prometheus, "Scrape protocol content negotiation"; RFC 9110 §12.4.2 (weights), §12.5.3 (`Accept-Encoding`).

use http::HeaderMap;
use http::header::{ACCEPT, ACCEPT_ENCODING, HeaderName};

use super::escaping::Escaping;

/// A format we write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    #[default]
    Text004,
    /// `text/plain; version=1.0.0`
    Text100,
    /// `application/openmetrics-text; version=0.0.1`
    OpenMetrics001,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics100,
    /// `application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited`
    Protobuf,
}

/// The format and how names are escaped in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    pub format: Format,
    pub escaping: Escaping,
}

impl Choice {
    /// The answer's `Content-Type`.
    pub fn content_type(self) -> String {
        let base = match self.format {
            Format::Text004 => "text/plain; version=0.0.4; charset=utf-8",
            Format::Text100 => "text/plain; version=1.0.0; charset=utf-8",
            Format::OpenMetrics001 => "application/openmetrics-text; version=0.0.1; charset=utf-8",
            Format::OpenMetrics100 => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        };
        if self.format.knows_escaping() {
            format!("{base}; escaping={}", self.escaping.as_str())
        } else {
            base.to_owned()
        }
    }
}

impl Format {
    fn knows_escaping(self) -> bool {
        matches!(self, Self::Text100 | Self::OpenMetrics100 | Self::Protobuf)
    }
}

/// The best of what the `Accept` headers offer: the highest weight, of equal ones the first.
pub fn choose(headers: &HeaderMap) -> Choice {
    let mut best: Option<(u16, Choice)> = None;
    for range in list(headers, ACCEPT) {
        let Some((weight, choice)) = acceptable(range) else { continue };
        if weight > 0 && best.is_none_or(|(known, _)| weight > known) {
            best = Some((weight, choice));
        }
    }
    best.map(|(_, choice)| choice).unwrap_or_default()
}

/// Whether the client takes gzip.
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for coding in list(headers, ACCEPT_ENCODING) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let weight = parts.find_map(weight).unwrap_or(MAX_WEIGHT);
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return weight > 0;
        }
        any |= name == "*" && weight > 0;
    }
    any
}

/// The elements of a header that may be sent in several lines.
fn list(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// One media range that we have a format for, with its weight.
fn acceptable(range: &str) -> Option<(u16, Choice)> {
    let mut parts = range.split(';').map(str::trim);
    let media_type = parts.next()?.to_ascii_lowercase();
    let (mut version, mut proto, mut encoding) = (None, None, None);
    let mut escaping = Escaping::default();
    let mut quality = MAX_WEIGHT;
    for parameter in parts {
        let (name, value) = parameter.split_once('=').map(|(name, value)| (name.trim(), unquoted(value.trim())))?;
        match name.to_ascii_lowercase().as_str() {
            "version" => version = Some(value),
            "proto" => proto = Some(value),
            "encoding" => encoding = Some(value),
            "escaping" => escaping = Escaping::parse(value).unwrap_or_default(),
            "q" => quality = weight(parameter)?,
            _ => {}
        }
    }
    let format = match (media_type.as_str(), version) {
        ("*/*" | "text/*", None) | ("text/plain", None | Some("0.0.4")) => Format::Text004,
        ("text/plain", Some("1.0.0")) => Format::Text100,
        // Without a version the elder one, as Prometheus's own client libraries answer.
        ("application/openmetrics-text", None | Some("0.0.1")) => Format::OpenMetrics001,
        ("application/openmetrics-text", Some("1.0.0")) => Format::OpenMetrics100,
        ("application/vnd.google.protobuf", _)
            if proto == Some("io.prometheus.client.MetricFamily") && encoding == Some("delimited") =>
        {
            Format::Protobuf
        }
        _ => return None,
    };
    let escaping = if format.knows_escaping() { escaping } else { Escaping::default() };
    Some((quality, Choice { format, escaping }))
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

const MAX_WEIGHT: u16 = 1000;

/// `q=0.5` in thousandths; `None` for another parameter or a weight outside 0 … 1.
fn weight(parameter: &str) -> Option<u16> {
    let (name, value) = parameter.split_once('=')?;
    let weight: f32 = name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse().ok())??;
    (0.0..=1.0).contains(&weight).then(|| (weight * f32::from(MAX_WEIGHT)).round() as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const PROMETHEUS_3: &str = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
        encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
        application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,\
        text/plain;version=0.0.4;q=0.2,*/*;q=0.1";

    fn content_type(accept: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
        choose(&headers).content_type()
    }

    #[test]
    fn no_accept_is_the_elder_text_format() {
        assert_eq!(choose(&HeaderMap::new()).content_type(), "text/plain; version=0.0.4; charset=utf-8");
    }

    #[test]
    fn negotiates_as_prometheus_does() {
        let text = "text/plain; version=0.0.4; charset=utf-8";
        let cases = [
            // With native histograms on, then without.
            (
                PROMETHEUS_3,
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited; \
                 escaping=underscores",
            ),
            (
                PROMETHEUS_3.split_once(",").unwrap().1,
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8",
            ),
            ("application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text", text),
            ("application/vnd.google.protobuf", text),
            // Prometheus 2.42
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                 text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
            ),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", text),
            ("*/*", text),
            ("text/plain", text),
            ("image/png", text),
            ("", text),
            (";;;,=,q", text),
            ("text/plain;version=2.0.0", text),
            ("text/plain;version=1.0.0", "text/plain; version=1.0.0; charset=utf-8; escaping=underscores"),
            ("text/plain;version=1.0.0;escaping=dots", "text/plain; version=1.0.0; charset=utf-8; escaping=dots"),
            (
                "text/plain; version=\"1.0.0\"; escaping=values",
                "text/plain; version=1.0.0; charset=utf-8; escaping=values",
            ),
            (
                "text/plain;version=1.0.0;escaping=evil",
                "text/plain; version=1.0.0; charset=utf-8; escaping=underscores",
            ),
            ("text/plain;version=0.0.4;escaping=allow-utf-8", text),
            ("application/openmetrics-text", "application/openmetrics-text; version=0.0.1; charset=utf-8"),
            ("application/openmetrics-text;version=1.0.0;q=0, text/plain;q=0.1", text),
            (
                "text/plain;q=0.5, application/openmetrics-text;version=0.0.1;q=0.9",
                "application/openmetrics-text; version=0.0.1; charset=utf-8",
            ),
            ("application/openmetrics-text;version=1.0.0;q=7, */*;q=0.1", text),
        ];
        for (accept, expected) in cases {
            assert_eq!(content_type(accept), expected, "{accept}");
        }
    }

    #[test]
    fn utf8_names_only_where_asked_for() {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("text/plain;version=0.0.4;escaping=allow-utf-8"));
        assert_eq!(choose(&headers).escaping, Escaping::Underscores);
    }

    #[test]
    fn gzip() {
        let cases = [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0, *", false),
            ("*", true),
            ("*;q=0", false),
            ("identity", false),
            ("br", false),
        ];
        for (value, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(value));
            assert_eq!(accepts_gzip(&headers), expected, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
