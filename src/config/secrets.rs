//! The types of the configuration that carry secrets.
//!
//! Invariant: a secret is printed by neither `Debug` nor `Display` nor `Serialize`, so no log line, no error and no
//! `config show` can leak one.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::values::shown;

/// What stands in place of a secret wherever a configuration is printed.
pub const REDACTED: &str = "<redacted>";

/// A secret given in the configuration itself. `expose` is the only way to its text.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(REDACTED)
    }
}

/// A URL. User and password in it (`https://user:password@host`) are used but printed by neither `Debug`, `Display` nor
/// `Serialize`.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Url(String);

impl Url {
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL as given, with its user and password.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The part before `://`, in lower case; empty where there is none.
    pub fn scheme(&self) -> String {
        self.0.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase()).unwrap_or_default()
    }

    /// Whether the peer is asked for TLS: schemes `https` and `rediss`.
    pub fn is_tls(&self) -> bool {
        matches!(self.scheme().as_str(), "https" | "rediss")
    }

    /// Host and port as they are written, without user and password; empty where there is no `://`.
    pub fn authority(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        authority.rsplit_once('@').map_or(authority, |(_, host)| host)
    }

    /// What follows host and port, with its leading `/`; empty where nothing does.
    pub fn path(&self) -> &str {
        let rest = self.0.split_once("://").map_or("", |(_, rest)| rest);
        rest.find('/').and_then(|at| rest.get(at..)).unwrap_or_default()
    }

    /// Host (an IPv6 address without its brackets) and port (the scheme's where none is written).
    pub fn host_port(&self) -> Option<(String, u16)> {
        let default_port = match self.scheme().as_str() {
            "http" => 80,
            "https" => 443,
            "redis" | "rediss" => 6379,
            _ => return None,
        };
        let authority: http::uri::Authority = self.authority().parse().ok()?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        (!host.is_empty()).then(|| (host, authority.port_u16().unwrap_or(default_port)))
    }

    /// Checks that this is a URL a client can be given: `http://` or `https://`, and a host.
    pub fn check_http(&self) -> Result<(), String> {
        let shown = shown(&self.redacted());
        if !matches!(self.scheme().as_str(), "http" | "https") {
            return Err(if self.0.contains("://") {
                format!("`{shown}` has a scheme other than http:// and https://")
            } else {
                format!("`{shown}` has no scheme; write http://{shown} or https://{shown}")
            });
        }
        let port = self.authority().rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map(|(_, port)| port);
        let port_ok = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if !port_ok || self.host_port().is_none() || self.0.parse::<http::Uri>().is_err() {
            return Err(format!("`{shown}` is not a URL; expected one like http://collector:4317"));
        }
        Ok(())
    }

    /// The URL without its user and password.
    pub fn redacted(&self) -> String {
        let (scheme, rest) = self.0.split_once("://").map_or(("", self.0.as_str()), |(scheme, rest)| (scheme, rest));
        let scheme = if scheme.is_empty() { String::new() } else { format!("{scheme}://") };
        let authority_len = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(authority_len).unwrap_or((rest, ""));
        match authority.rsplit_once('@') {
            Some((_, host)) => format!("{scheme}{REDACTED}@{host}{path}"),
            None => self.0.clone(),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted())
    }
}

impl Serialize for Url {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.redacted())
    }
}

/// A header's value: given inline (then it is a secret), or read from a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderValue {
    Inline(Secret),
    /// The file's content without its trailing line break.
    File(PathBuf),
}

#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HeaderFile {
    /// The file that holds the value; a trailing line break is not part of it.
    file: PathBuf,
}

impl<'de> Deserialize<'de> for HeaderValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HeaderVisitor;

        impl<'de> Visitor<'de> for HeaderVisitor {
            type Value = HeaderValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a header value or {file: path}")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<HeaderValue, E> {
                Ok(HeaderValue::Inline(Secret::new(value)))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<HeaderValue, A::Error> {
                let header = HeaderFile::deserialize(de::value::MapAccessDeserializer::new(map))?;
                Ok(HeaderValue::File(header.file))
            }
        }

        deserializer.deserialize_any(HeaderVisitor)
    }
}

impl Serialize for HeaderValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Inline(secret) => secret.serialize(serializer),
            Self::File(file) => HeaderFile { file: file.clone() }.serialize(serializer),
        }
    }
}

impl JsonSchema for HeaderValue {
    fn schema_name() -> Cow<'static, str> {
        "HeaderValue".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let file = generator.subschema_for::<HeaderFile>();
        json_schema!({
            "description": "A header's value, or the file that holds it.",
            "anyOf": [{"type": ["string", "number", "boolean"]}, file]
        })
    }
}
