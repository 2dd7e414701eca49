use super::*;
use std::io::Read as _;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::BodyExt;

use crate::expose::health::Part;
use crate::series::{Kind, Label, Point, Value};
use crate::units::UnixNanos;

fn gauge(name: &'static str, values: i64) -> Family {
    let points = (0..values).map(|value| Point {
        identity: None,
        labels: vec![Label::text("value", value.to_string())],
        start: UnixNanos::default(),
        time: UnixNanos(1),
        value: Value::Int(value),
        exemplars: Vec::new(),
    });
    Family {
        name: name.into(),
        description: "".into(),
        unit: "".into(),
        kind: Kind::Gauge,
        scope: "".into(),
        points: points.collect(),
    }
}

struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

async fn ask(
    config: config::Prometheus,
    families: Vec<Family>,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let own = Arc::new(OwnMetrics::new(UnixNanos(1)));
    let health = || Health { parts: vec![Part::not_ready("journal", "read only")], ..Health::default() };
    let endpoint = Endpoint::new(&config, own, || std::future::ready(families.clone()), health);
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = endpoint.answer(&request.body(()).unwrap()).await;
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: head.status.as_u16(), headers: head.headers, body }
}

async fn get(path: &str, headers: &[(&str, &str)]) -> Answer {
    ask(config::Prometheus::default(), vec![gauge("m", 1)], "GET", path, headers).await
}

#[tokio::test]
async fn answers_in_the_format_asked_for() {
    let answer = get("/metrics", &[]).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(answer.text(), "# TYPE m gauge\nm{value=\"0\"} 0\n");
    let answer = get("/metrics?format=any", &[("accept", "application/openmetrics-text;version=1.0.0")]).await;
    assert_eq!(
        answer.header("content-type"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores"
    );
    assert_eq!(answer.text(), "# TYPE m gauge\nm{value=\"0\"} 0\n# EOF\n");
}

#[tokio::test]
async fn utf8_names_where_strategy_and_client_have_them() {
    let strategy = config::TranslationStrategy::NoTranslation;
    let config = config::Prometheus { translation_strategy: strategy, ..config::Prometheus::default() };
    let families = vec![gauge("a.b", 1)];
    let accept = [("accept", "text/plain;version=1.0.0;escaping=allow-utf-8")];
    let answer = ask(config.clone(), families.clone(), "GET", "/metrics", &accept).await;
    assert_eq!(answer.text(), "# TYPE \"a.b\" gauge\n{\"a.b\",value=\"0\"} 0\n");
    let answer = ask(config, families, "GET", "/metrics", &[]).await;
    assert_eq!(answer.text(), "# TYPE a_b gauge\na_b{value=\"0\"} 0\n");
}

#[tokio::test]
async fn gzip_where_asked_for_and_worth_it() {
    let families = vec![gauge("m", 500)];
    let config = config::Prometheus::default();
    let zipped = ask(config.clone(), families.clone(), "GET", "/metrics", &[("accept-encoding", "gzip")]).await;
    let plain = ask(config, families, "GET", "/metrics", &[]).await;
    assert_eq!((zipped.header("content-encoding"), plain.header("content-encoding")), ("gzip", ""));
    assert_eq!(zipped.header("vary"), "Accept, Accept-Encoding");
    let mut unzipped = String::new();
    flate2::read::GzDecoder::new(zipped.body.as_slice()).read_to_string(&mut unzipped).unwrap();
    assert_eq!(unzipped, plain.text());
    assert_eq!(get("/metrics", &[("accept-encoding", "gzip")]).await.header("content-encoding"), "");
}

#[tokio::test]
async fn head_has_the_length_of_get_and_no_body() {
    let head = ask(config::Prometheus::default(), vec![gauge("m", 1)], "HEAD", "/metrics", &[]).await;
    let body = get("/metrics", &[]).await.body;
    assert_eq!(
        (head.status, head.header("content-length"), head.body.len()),
        (200, body.len().to_string().as_str(), 0)
    );
}

#[tokio::test]
async fn other_pages_and_methods() {
    assert_eq!(get("/healthz", &[]).await.status, 200);
    let ready = get("/readyz", &[]).await;
    assert_eq!((ready.status, ready.text()), (503, "not ready\njournal: read only\n"));
    let index = get("/", &[]).await;
    assert_eq!((index.status, index.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(index.text().contains("href=\"/metrics\""), "{}", index.text());
    assert_eq!(get("/favicon.ico", &[]).await.status, 404);
    assert_eq!(get("/metrics/", &[]).await.status, 404);
    for path in ["/metrics", "/", "/healthz", "/readyz"] {
        let answer = ask(config::Prometheus::default(), Vec::new(), "POST", path, &[]).await;
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{path}");
    }
}

#[tokio::test]
async fn the_page_may_have_another_path() {
    let config = config::Prometheus { path: "/".to_owned(), ..config::Prometheus::default() };
    let answer = ask(config, vec![gauge("m", 1)], "GET", "/", &[]).await;
    assert_eq!(answer.text(), "# TYPE m gauge\nm{value=\"0\"} 0\n");
}

#[tokio::test]
async fn what_is_left_out_is_counted() {
    let own = Arc::new(OwnMetrics::new(UnixNanos(1)));
    let families = || std::future::ready(vec![gauge("m", 1), gauge("m", 1), gauge("é", 3)]);
    let endpoint = Endpoint::new(&config::Prometheus::default(), own.clone(), families, Health::default);
    for _ in 0..2 {
        let request = Request::builder().uri("/metrics").body(()).unwrap();
        assert_eq!(endpoint.answer(&request).await.status(), 200);
    }
    assert_eq!(own.expose_left_out.total(&["duplicate"]), 2);
    assert_eq!(own.expose_left_out.total(&["invalid_name"]), 6);
}

/// Scenario: twice as many scrapes as may be built at a time.
/// Guarantees: all are answered in full, and never more than the limit were under way.
#[tokio::test]
async fn scrapes_at_the_same_time() {
    let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let families = || async {
        most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        running.fetch_sub(1, Ordering::SeqCst);
        vec![gauge("m", 1)]
    };
    let own = Arc::new(OwnMetrics::new(UnixNanos(1)));
    let endpoint = Endpoint::new(&config::Prometheus::default(), own, families, Health::default);
    let request = Request::builder().uri("/metrics").body(()).unwrap();
    let scrape = || endpoint.answer(&request);
    let answers = tokio::join!(scrape(), scrape(), scrape(), scrape(), scrape(), scrape(), scrape(), scrape());
    let (a, b, c, d, e, f, g, h) = answers;
    for answer in [a, b, c, d, e, f, g, h] {
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "# TYPE m gauge\nm{value=\"0\"} 0\n");
    }
    assert_eq!(most.load(Ordering::SeqCst), CONCURRENT_SCRAPES);
}
