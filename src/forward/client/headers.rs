//! The configured headers of a destination.
//!
//! A value kept in a file is read anew for every request: rotating a secret then needs no restart, and a small file in
//! memory or in the page cache costs microseconds beside a request over the network.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config;

/// The longest value that a file may hold.
const LONGEST_VALUE_BYTES: u64 = 64 << 10;

pub struct Headers {
    inline: HeaderMap,
    files: Vec<(HeaderName, PathBuf)>,
}

#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    #[error("`{name}` is not a header name")]
    Name { name: String },
    #[error("the value of header `{name}` has a character that no header may have")]
    Value { name: HeaderName },
    #[error("the value of header `{name}` cannot be read from {}: {error}", file.display())]
    File { name: HeaderName, file: PathBuf, error: std::io::Error },
}

impl Headers {
    pub fn new(configured: &BTreeMap<String, config::HeaderValue>) -> Result<Self, HeaderError> {
        let mut headers = Self { inline: HeaderMap::new(), files: Vec::new() };
        for (text, value) in configured {
            let name = HeaderName::try_from(text.as_str()).map_err(|_| HeaderError::Name { name: text.clone() })?;
            match value {
                config::HeaderValue::Inline(secret) => {
                    headers.inline.insert(name.clone(), sensitive(&name, secret.expose().as_bytes())?);
                }
                config::HeaderValue::File(file) => headers.files.push((name, file.clone())),
            }
        }
        Ok(headers)
    }

    /// Adds all of them, with the values that their files hold now.
    pub fn add_to(&self, request: &mut HeaderMap) -> Result<(), HeaderError> {
        request.extend(self.inline.clone());
        for (name, file) in &self.files {
            let content =
                read(file).map_err(|error| HeaderError::File { name: name.clone(), file: file.clone(), error })?;
            request.insert(name.clone(), sensitive(name, content.trim_ascii_end())?);
        }
        Ok(())
    }
}

fn read(file: &Path) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(file)?.take(LONGEST_VALUE_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LONGEST_VALUE_BYTES {
        return Err(std::io::Error::other(format!("it is longer than {LONGEST_VALUE_BYTES} bytes")));
    }
    Ok(content)
}

/// Sensitive values are not printed by `Debug`, and not kept in HTTP/2's header tables.
fn sensitive(name: &HeaderName, value: &[u8]) -> Result<HeaderValue, HeaderError> {
    let mut value = HeaderValue::from_bytes(value).map_err(|_| HeaderError::Value { name: name.clone() })?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn with(name: &str, value: config::HeaderValue) -> Result<Headers, HeaderError> {
        Headers::new(&BTreeMap::from([(name.to_owned(), value)]))
    }

    #[test]
    fn a_files_value_is_read_for_each_request_without_its_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let headers = with("Authorization", config::HeaderValue::File(file.clone())).unwrap();
        for token in ["Bearer one", "Bearer two"] {
            std::fs::write(&file, format!("{token}\r\n")).unwrap();
            let mut request = HeaderMap::from_iter([(http::header::AUTHORIZATION, "Basic from-url".parse().unwrap())]);
            headers.add_to(&mut request).unwrap();
            assert_eq!(request.get_all("authorization").iter().collect::<Vec<_>>(), [token], "the URL's gives way");
            assert!(request["authorization"].is_sensitive());
        }
        std::fs::remove_file(&file).unwrap();
        let error = headers.add_to(&mut HeaderMap::new()).unwrap_err().to_string();
        assert!(error.contains("`authorization`") && error.contains("token"), "{error}");
    }

    #[test]
    fn an_inline_value_takes_the_place_of_the_urls() {
        let value = config::HeaderValue::Inline(Secret::new("Bearer mine"));
        let mut request = HeaderMap::from_iter([(http::header::AUTHORIZATION, "Basic from-url".parse().unwrap())]);
        with("authorization", value).unwrap().add_to(&mut request).unwrap();
        assert_eq!(request.get_all("authorization").iter().collect::<Vec<_>>(), ["Bearer mine"]);
    }

    #[test]
    fn too_long_a_file_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![b'x'; 65 << 10]).unwrap();
        let headers = with("x-key", config::HeaderValue::File(file.path().into())).unwrap();
        let error = headers.add_to(&mut HeaderMap::new()).unwrap_err().to_string();
        assert!(error.contains("longer than 65536 bytes"), "{error}");
    }

    #[test]
    fn errors_name_the_header_and_never_its_value() {
        let inline = |value: &str| config::HeaderValue::Inline(Secret::new(value));
        let name = with("not a name", inline("v")).err().unwrap().to_string();
        assert_eq!(name, "`not a name` is not a header name");
        let value = with("x-key", inline("hunter2\n")).err().unwrap();
        assert!(!format!("{value} {value:?}").contains("hunter2"));
    }
}
