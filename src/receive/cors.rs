//! CORS: which web pages may send from a browser.
//!
//! Invariants: with no origin configured no CORS header is ever sent; an origin is echoed only if a pattern matches it
//! whole. Credentials are allowed because `navigator.sendBeacon`, which browser SDKs use at unload, always sends them;
//! the listener only takes telemetry in, so there is nothing for a page to read.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};

use super::body::Reply;

/// How long a browser may remember a preflight, in seconds; two hours is the most that Chromium keeps.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// What a page may send where it does not ask for certain headers.
const DEFAULT_HEADERS: HeaderValue = HeaderValue::from_static("content-type,content-encoding");

/// Origins that may send.
#[derive(Clone, Debug, Default)]
pub struct Cors {
    /// In lower case; `*` stands for any text.
    patterns: Vec<String>,
}

impl Cors {
    pub fn new(allowed_origins: &[String]) -> Self {
        Self { patterns: allowed_origins.iter().map(|origin| origin.trim().to_ascii_lowercase()).collect() }
    }

    pub fn is_on(&self) -> bool {
        !self.patterns.is_empty()
    }

    fn allows(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        self.patterns.iter().any(|pattern| matches(pattern, &origin))
    }

    /// The answer to a browser's question, if the request is one.
    pub fn preflight<B>(&self, request: &Request<B>) -> Option<Response<Reply>> {
        let asks = request.headers().contains_key(header::ORIGIN)
            && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !self.is_on() || request.method() != Method::OPTIONS || !asks {
            return None;
        }
        let mut response = Response::new(Reply::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(
            header::VARY,
            HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        );
        if self.put_origin(request.headers().get(header::ORIGIN), headers) {
            let asked = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.unwrap_or(DEFAULT_HEADERS));
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
            const ASKS_PRIVATE: HeaderName = HeaderName::from_static("access-control-request-private-network");
            const ALLOW_PRIVATE: HeaderName = HeaderName::from_static("access-control-allow-private-network");
            if request.headers().contains_key(ASKS_PRIVATE) {
                headers.insert(ALLOW_PRIVATE, HeaderValue::from_static("true"));
            }
        }
        Some(response)
    }

    /// Adds the headers of an actual answer.
    pub fn decorate(&self, origin: Option<&HeaderValue>, response: &mut HeaderMap) {
        if !self.is_on() {
            return;
        }
        response.insert(header::VARY, HeaderValue::from_static("Origin"));
        if self.put_origin(origin, response) {
            response.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("Retry-After"));
        }
    }

    fn put_origin(&self, origin: Option<&HeaderValue>, response: &mut HeaderMap) -> bool {
        let Some(origin) = origin else { return false };
        if !origin.to_str().is_ok_and(|origin| self.allows(origin)) {
            return false;
        }
        response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        response.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        true
    }
}

/// Whether `pattern`, in which each `*` stands for any text, matches all of `text`.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(head) else { return false };
    let mut pieces = tail.split('*');
    let last = pieces.next_back().unwrap_or_default();
    let mut rest = rest;
    for piece in pieces {
        let Some((_, after)) = rest.split_once(piece) else { return false };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The obvious matcher.
    fn matches_slowly(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skip| matches_slowly(rest, &text[skip..])),
            Some((byte, rest)) => {
                text.split_first().is_some_and(|(first, text)| first == byte && matches_slowly(rest, text))
            }
        }
    }

    proptest! {
        #[test]
        fn matches_as_the_obvious_matcher_does(pattern in "[ab*]{0,7}", text in "[ab]{0,8}") {
            prop_assert_eq!(matches(&pattern, &text), matches_slowly(pattern.as_bytes(), text.as_bytes()));
        }
    }

    #[test]
    fn an_origin_is_matched_whole() {
        let cors = Cors::new(&["https://*.shop.example".to_owned(), "http://localhost:3000".to_owned()]);
        assert!(cors.allows("https://www.shop.example"));
        assert!(cors.allows("HTTPS://WWW.Shop.Example"));
        assert!(cors.allows("http://localhost:3000"));
        assert!(!cors.allows("https://shop.example"));
        assert!(!cors.allows("https://www.shop.example.evil.test"));
        assert!(!cors.allows("http://localhost:30001"));
        assert!(Cors::new(&["*".to_owned()]).allows("null"));
    }

    fn preflight(cors: &Cors, origin: &str) -> Option<Response<Reply>> {
        let request = Request::options("/v1/traces")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type,x-tenant")
            .body(())
            .unwrap();
        cors.preflight(&request)
    }

    #[test]
    fn a_preflight_is_answered_for_allowed_origins() {
        let cors = Cors::new(&["https://a.example".to_owned()]);
        let answer = preflight(&cors, "https://a.example").unwrap();
        assert_eq!(answer.status(), 204);
        assert_eq!(answer.headers()["access-control-allow-origin"], "https://a.example");
        assert_eq!(answer.headers()["access-control-allow-headers"], "content-type,x-tenant");
        assert_eq!(answer.headers()["access-control-allow-methods"], "POST");
        let other = preflight(&cors, "https://b.example").unwrap();
        assert!(!other.headers().contains_key("access-control-allow-origin"));
        assert!(preflight(&Cors::default(), "https://a.example").is_none(), "off: an ordinary request");
    }
}
