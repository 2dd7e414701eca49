//! The configuration as a whole: files in, configurations and messages out.

use super::*;

fn no_env(_: &str) -> Option<String> {
    None
}

fn loaded(yaml: &str) -> Loaded {
    match load_text("q.yaml", yaml, &[], &no_env) {
        Ok(loaded) => loaded,
        Err(problems) => panic!("{problems}\nin\n{yaml}"),
    }
}

fn errors(yaml: &str) -> Vec<String> {
    match load_text("q.yaml", yaml, &[], &no_env) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0.iter().map(ToString::to_string).collect(),
    }
}

fn error(yaml: &str) -> String {
    let errors = errors(yaml);
    assert_eq!(errors.len(), 1, "{errors:#?}\nin\n{yaml}");
    errors.into_iter().next().unwrap_or_default()
}

fn warnings(yaml: &str) -> Vec<String> {
    loaded(yaml).warnings.iter().map(ToString::to_string).collect()
}

fn with_sets(sets: &[&str]) -> Result<Config, String> {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    load_text("q.yaml", "", &sets, &no_env).map(|loaded| loaded.config).map_err(|problems| problems.to_string())
}

fn with_env(yaml: &str, vars: &[(&str, &str)]) -> Result<Loaded, String> {
    let env = |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    load_text("q.yaml", yaml, &[], &env).map_err(|problems| problems.to_string())
}

/// The whole default configuration, as the documentation states it.
const DOCUMENTED: &str = r#"
receivers:
  otlp:
    grpc: {endpoint: 127.0.0.1:4317}
    http: {endpoint: 127.0.0.1:4318, cors: {allowed_origins: []}}
    max_request_size: 64MiB
    tls: null
    auth: null
  host:
    enabled: true
    interval: 10s
    root_path: /
    scope: auto
    scrapers: [cpu, load, memory, paging, disk, filesystem, network, processes, system, process, container, gpu]
    names: semconv
  prometheus: {targets: [], interval: 15s}
journal:   {path: null, memory: 24MiB, disk: 1GiB, fsync: interval}
state:     {path: null, snapshot_interval: 10s, redis: null}
spans:
  dimensions: []
  histogram: exponential
  adjusted_count: true
  buckets: [2ms, 4ms, 6ms, 8ms, 10ms, 50ms, 100ms, 200ms, 400ms, 800ms, 1s, 1.4s, 2s, 5s, 10s, 15s]
  unit: s
  exemplars: true
ai:
  prices: {file: null, overrides: []}
  windows: [5m, 1h]
  capture_content: false
  drift:   {baseline: 1h, window: 15m, min_samples: 200, baseline_file: null}
  agents: {source: events}
  join_ttl: 24h
  hold: 30s
  quality_window: 24h
  max_models: 200
  fairness: {min_group: 30}
users:
  timezone: UTC
  identity: [user.id, enduser.id, enduser.pseudo.id, user.hash, app.installation.id, device.id, user.account_uuid, user.account_id, installation.id, user.email]
  hash_key_file: null
  session: {timeout: 30m, max: 24h}
  lateness: 1h
  retention: 400d
  bounce: ga4
  max_users: 1000000
  conversions: []
  funnels: []
  experiments: []
services: []
slos: []
kpis: {}
alerts: {interval: 30s, receivers: []}
forward: []
prometheus: {endpoint: "127.0.0.1:9464", path: /metrics, translation_strategy: UnderscoreEscapingWithSuffixes, tls: null, auth: null, zero_births: true, created_lines: false,
             received: {enabled: true, expiry: 5m}}
api:        {endpoint: "127.0.0.1:5000", auth: null, tls: null, allowed_hosts: []}
telemetry:  {logs: {level: info, format: text}, traces: {endpoint: null}}
shutdown:   10s
limits:     {memory: auto, series: 20000, series_expiry: 1h, request_time: 10s, connections: 1024, in_flight: 16MiB}
"#;

#[test]
fn the_defaults_are_the_documented_ones() {
    let documented = loaded(DOCUMENTED);
    assert_eq!(documented.config, Config::default());
    assert_eq!(documented.warnings, Vec::new());
    // Equality alone would also hold for a key that is missing from the text above: each key must be in it.
    let mut documented = Vec::new();
    given_keys(&super::yaml::parse(DOCUMENTED).unwrap(), "", &mut documented);
    let mut defaults = serde_json::to_value(Config::default()).unwrap();
    defaults["kpis"] = serde_json::Value::Null;
    let mut known = Vec::new();
    all_keys(&defaults, "", &mut known);
    documented.sort();
    known.sort();
    assert_eq!(known, documented);
}

fn given_keys(node: &super::tree::Node, at: &str, keys: &mut Vec<String>) {
    let super::tree::Kind::Mapping(entries) = &node.kind else { return };
    for entry in entries {
        let key = format!("{at}.{}", entry.key);
        given_keys(&entry.value, &key, keys);
        keys.push(key);
    }
}

fn all_keys(value: &serde_json::Value, at: &str, keys: &mut Vec<String>) {
    for (key, part) in value.as_object().into_iter().flatten() {
        let key = format!("{at}.{key}");
        all_keys(part, &key, keys);
        keys.push(key);
    }
}

#[test]
fn an_empty_file_is_the_defaults() {
    for empty in ["", "\n", "# nothing\n", "---\n", "{}", "\u{feff}"] {
        assert_eq!(loaded(empty).config, Config::default(), "{empty:?}");
    }
    assert_eq!(load(None, &[], &no_env).unwrap().config, Config::default());
}

#[test]
fn defaults_of_list_items_are_the_documented_ones() {
    let config = loaded(
        "forward: [{endpoint: 'http://c:4317'}]\n\
         services: [{name: shop}]\n\
         users:\n  conversions: [{name: buy, match: {event: order}}]\n  \
         funnels: [{name: f, steps: [{name: a, match: {event: a}}, {name: b, match: {span: b}}]}]\n  \
         experiments: [{id: e, variants: [a, b], goal: buy}]\n",
    )
    .config;
    let forward = &config.forward[0];
    assert_eq!(forward.name, "c:4317");
    assert_eq!((forward.protocol, forward.compression), (Protocol::Grpc, Compression::Gzip));
    assert_eq!(forward.signals, Signal::ALL);
    assert_eq!((forward.timeout, forward.interval), (Dur::from_secs(10), Dur::from_secs(60)));
    assert_eq!((forward.enrich, forward.content, forward.when_behind), (true, Content::Keep, WhenBehind::DropOldest));
    assert_eq!(forward.retry.max_elapsed, Dur::from_secs(300));
    assert_eq!((forward.temporality, forward.histogram), (Temporality::Cumulative, Histogram::Exponential));
    let service = &config.services[0];
    assert_eq!((service.sla_target, service.merge), (Percent(99.9), Dur::from_secs(60)));
    let down = &service.down_when;
    assert_eq!((down.error_ratio, down.r#for, down.min_requests), (Ratio(0.5), Dur::from_secs(180), 10));
    assert_eq!(config.users.funnels[0].window, Dur::from_days(14));
    assert_eq!(config.users.funnels[0].order, FunnelOrder::Ordered);
    assert_eq!(config.users.experiments[0].window, Dur::from_days(14));
}

#[test]
fn null_turns_a_listener_off_and_nothing_means_the_default() {
    let off =
        loaded("receivers:\n  otlp:\n    grpc: null\n    http: {endpoint: null}\nprometheus: null\napi: ~\n").config;
    assert_eq!(off.receivers.otlp.grpc.endpoint, None);
    assert_eq!(off.receivers.otlp.http.endpoint, None);
    assert_eq!(off.prometheus.endpoint, None);
    assert_eq!(off.api.endpoint, None);
    let kept =
        loaded("receivers:\n  otlp:\n    grpc:\n    http:\n      endpoint:\nspans:\njournal:\n  path:\nprometheus:\n");
    assert_eq!(kept.config, Config::default());
}

#[test]
fn a_typo_in_each_section_is_named_with_its_place_and_the_nearest_key() {
    let cases = [
        ("recievers: {}\n", "q.yaml:1:1: unknown key `recievers` at the top; did you mean `receivers`?"),
        (
            "receivers:\n  otlp:\n    grcp: {}\n",
            "q.yaml:3:5: unknown key `grcp` in `receivers.otlp`; did you mean `grpc`?",
        ),
        (
            "receivers:\n  host:\n    intervall: 5s\n",
            "q.yaml:3:5: unknown key `intervall` in `receivers.host`; did you mean `interval`?",
        ),
        ("journal: {memmory: 1MiB}\n", "q.yaml:1:11: unknown key `memmory` in `journal`; did you mean `memory`?"),
        (
            "state:\n  snapshotInterval: 5s\n",
            "q.yaml:2:3: unknown key `snapshotInterval` in `state`; did you mean `snapshot_interval`?",
        ),
        ("spans:\n  bucket: [1s]\n", "q.yaml:2:3: unknown key `bucket` in `spans`; did you mean `buckets`?"),
        ("ai:\n  drift:\n    windw: 1h\n", "q.yaml:3:5: unknown key `windw` in `ai.drift`; did you mean `window`?"),
        (
            "users:\n  session: {time_out: 5m}\n",
            "q.yaml:2:13: unknown key `time_out` in `users.session`; did you mean `timeout`?",
        ),
        (
            "services:\n  - name: shop\n    sla: 99\n",
            "q.yaml:3:5: unknown key `sla` in `services.0`; did you mean `sla_target`?",
        ),
        (
            "slos:\n- name: a\n  objctive: 99%\n",
            "q.yaml:3:3: unknown key `objctive` in `slos.0`; did you mean `objective`?",
        ),
        ("kpis:\n  accurracy: 90%\n", "q.yaml:2:3: unknown key `accurracy` in `kpis`; did you mean `accuracy`?"),
        ("alerts:\n  reciever: []\n", "q.yaml:2:3: unknown key `reciever` in `alerts`; did you mean `receivers`?"),
        (
            "forward:\n  - endpoint: http://c:4317\n    signal: [traces]\n",
            "q.yaml:3:5: unknown key `signal` in `forward.0`; did you mean `signals`?",
        ),
        (
            "prometheus:\n  recieved: {}\n",
            "q.yaml:2:3: unknown key `recieved` in `prometheus`; did you mean `received`?",
        ),
        ("api:\n  endpont: x\n", "q.yaml:2:3: unknown key `endpont` in `api`; did you mean `endpoint`?"),
        (
            "telemetry:\n  logs:\n    levle: debug\n",
            "q.yaml:3:5: unknown key `levle` in `telemetry.logs`; did you mean `level`?",
        ),
        ("limits:\n  conections: 5\n", "q.yaml:2:3: unknown key `conections` in `limits`; did you mean `connections`?"),
    ];
    for (yaml, expected) in cases {
        assert_eq!(error(yaml), expected);
    }
}

#[test]
fn a_key_that_stands_elsewhere_is_shown_its_place() {
    assert_eq!(
        error("receivers:\n  cors: {}\n"),
        "q.yaml:2:3: unknown key `cors` in `receivers`; did you mean `receivers.otlp.http.cors`?"
    );
    assert_eq!(
        error("receivers:\n  zzzzzzzzzz: {}\n"),
        "q.yaml:2:3: unknown key `zzzzzzzzzz` in `receivers`; known there: otlp, host, prometheus"
    );
}

#[test]
fn every_error_of_a_file_is_reported_in_its_order() {
    let yaml = "\
receivers:
  otlp:
    max_request_size: lots
  host: {scope: pod}
spans:
  histogram: exponental
  buckets: [1s, 500ms]
forward:
  - endpoint: collector:4317
    timeot: 5s
limits:
  connections: many
users:
  timezone: Europe/Berln
";
    assert_eq!(
        errors(yaml),
        [
            "q.yaml:3:23: `lots` is not a size; write it like 512KiB, 64MiB, 1GiB or a number of bytes",
            "q.yaml:4:17: `pod` is not one of auto, host, container",
            "q.yaml:6:14: `exponental` is not one of exponential, explicit; did you mean `exponential`?",
            "q.yaml:7:17: 500ms comes after 1s; expected bounds in ascending order",
            "q.yaml:9:15: `collector:4317` has no scheme; write http://collector:4317 or https://collector:4317",
            "q.yaml:10:5: unknown key `timeot` in `forward.0`; did you mean `timeout`?",
            "q.yaml:12:16: expected a whole number of at least 0, found `many`",
            "q.yaml:14:13: there is no time zone `Europe/Berln`; did you mean `Europe/Berlin`?",
        ]
    );
}

#[test]
fn a_wrong_type_is_told_in_the_files_words() {
    let cases = [
        ("journal: 5\n", "q.yaml:1:10: expected a mapping, found `5`"),
        ("journal: [a]\n", "q.yaml:1:10: expected a mapping, found a list"),
        ("- a\n", "q.yaml:1:1: expected a mapping, found a list"),
        ("just text\n", "q.yaml:1:1: expected a mapping, found `just text`"),
        ("forward: {endpoint: x}\n", "q.yaml:1:10: expected a list, found a mapping"),
        ("spans: {exemplars: yes}\n", "q.yaml:1:20: expected true or false, found `yes`"),
        ("spans: {exemplars: 1}\n", "q.yaml:1:20: expected true or false, found `1`"),
        ("limits: {series: -5}\n", "q.yaml:1:18: expected a whole number of at least 0, found `-5`"),
        ("limits: {series: 1.5}\n", "q.yaml:1:18: expected a whole number of at least 0, found `1.5`"),
        ("limits: {memory: huge}\n", "q.yaml:1:18: `huge` is neither auto nor a size like 256MiB"),
        ("shutdown: 10\n", "q.yaml:1:11: `10` is not a duration; write it like 500ms, 10s, 5m, 1h30m or 7d"),
        ("shutdown: null\n", "q.yaml:1:11: expected a duration like 500ms, 10s, 5m, 1h30m or 7d, found null"),
        (
            "prometheus: {translation_strategy: NoTranslations}\n",
            "q.yaml:1:36: `NoTranslations` is not one of UnderscoreEscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes, \
             NoUTF8EscapingWithSuffixes, NoTranslation; did you mean `NoTranslation`?",
        ),
        (
            "api: {auth: {htpasswd_file: a, bearer_token_file: b}}\n",
            "q.yaml:1:13: expected exactly one key, found 2 keys",
        ),
    ];
    for (yaml, expected) in cases {
        assert_eq!(error(yaml), expected);
    }
}

#[test]
fn text_is_kept_where_text_is_wanted() {
    let config = loaded(
        "users:\n  conversions: [{name: 007, match: {event: true, attributes: {a: 1, b: true, c: x, d: 1.5}}}]\n  \
         experiments: [{id: 2024, variants: [1, 2.10], goal: 007}]\n\
         forward: [{endpoint: 'http://c:4317', headers: {x-id: 0123, x-on: true}}]\n",
    )
    .config;
    assert_eq!(config.users.conversions[0].name, "007");
    assert_eq!(config.users.conversions[0].r#match.event.as_deref(), Some("true"));
    let attributes = &config.users.conversions[0].r#match.attributes;
    assert_eq!(attributes["a"], AttributeValue::Int(1));
    assert_eq!(attributes["b"], AttributeValue::Bool(true));
    assert_eq!(attributes["c"], AttributeValue::String("x".to_owned()));
    assert_eq!(attributes["d"], AttributeValue::Double(1.5));
    assert_eq!(config.users.experiments[0].variants, ["1", "2.10"]);
    assert_eq!(config.forward[0].headers["x-id"], HeaderValue::Inline(Secret::new("0123")));
    assert_eq!(config.forward[0].headers["x-on"], HeaderValue::Inline(Secret::new("true")));
}

#[test]
fn yaml_itself_is_checked() {
    assert_eq!(error("a: 1\n---\nb: 2\n"), "q.yaml:2:1: a second document starts here; expected one");
    assert_eq!(
        errors("shutdown: 5s\nspans: {}\nshutdown: 6s\nspans: {}\n"),
        [
            "q.yaml:3:1: `shutdown` is given twice; first in line 1",
            "q.yaml:4:1: `spans` is given twice; first in line 2"
        ]
    );
    assert!(error("a: [1, 2\n").starts_with("q.yaml:2:1: not YAML: "), "{}", error("a: [1, 2\n"));
    assert!(error("a: *nowhere\n").starts_with("q.yaml:1:"), "{}", error("a: *nowhere\n"));
    assert!(error("shutdown: !!binary aGk=\n").contains("tag `"), "{}", error("shutdown: !!binary aGk=\n"));
    assert_eq!(error("? [a]\n: b\n"), "q.yaml:1:3: a key must be plain text, not a list or a mapping");
}

#[test]
fn anchors_and_merge_keys_are_followed() {
    let config = loaded(
        "forward:\n\
         - &first {name: a, endpoint: 'http://a:4317', timeout: 3s}\n\
         - {<<: *first, name: b, endpoint: 'http://b:4317'}\n\
         shutdown: &time 7s\n\
         users: {lateness: *time}\n",
    )
    .config;
    assert_eq!(config.forward[1].name, "b");
    assert_eq!(config.forward[1].timeout, Dur::from_secs(3));
    assert_eq!(config.users.lateness, Dur::from_secs(7));
}

#[test]
fn bombs_are_refused_at_once() {
    let mut laughs = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (this, last) in ('b'..='i').zip('a'..) {
        let aliases = vec![format!("*{last}"); 10].join(", ");
        laughs.push_str(&format!("{this}: &{this} [{aliases}]\n"));
    }
    assert!(error(&laughs).contains("aliases expand to more than"), "{}", error(&laughs));
    let deep = "- ".repeat(100) + "x\n";
    assert!(error(&deep).contains("nested deeper than 64 levels"), "{}", error(&deep));
    let long = format!("# {}\n", "x".repeat(2 << 20));
    assert!(error(&long).contains("at most 1048576 are read"), "{}", error(&long));
    let many_numbers = format!("users: {{identity: [{}]}}\n", "1, ".repeat(3000));
    assert!(!errors(&many_numbers).is_empty());
    let many_errors = (0..500).fold(String::new(), |yaml, n| yaml + &format!("unknown_{n}: 1\n"));
    assert_eq!(errors(&many_errors).len(), 100);
}

#[test]
fn variables_are_substituted_after_parsing() {
    let env = [
        ("PORT", "4400"),
        ("SERIES", "5000"),
        ("WINDOWS", "[1m, 2h]"),
        ("EVIL", "x\nlimits: {series: 1}"),
        ("NAME", "0042"),
        ("EMPTY", ""),
        ("TOKEN", "a: b"),
        ("DOLLAR", "${env:PORT}"),
    ];
    let yaml = "\
receivers: {otlp: {grpc: {endpoint: \"127.0.0.1:${env:PORT}\"}}}
limits: {series: \"${env:SERIES}\", connections: \"${env:CONNECTIONS:-77}\", in_flight: \"${env:EMPTY}\"}
ai: {windows: \"${env:WINDOWS}\"}
api: {allowed_hosts: [\"${env:DOLLAR}x\", \"a$$b${PORT}\", \"${env:A:-${env:B:-c}}\"]}
services: [{name: \"${env:NAME}\"}, {name: \"${env:EVIL}\"}]
forward: [{endpoint: \"http://c:4317\", headers: {authorization: \"${env:TOKEN}\"}}]
";
    let config = with_env(yaml, &env).unwrap().config;
    assert_eq!(config.receivers.otlp.grpc.endpoint.as_deref(), Some("127.0.0.1:4400"));
    assert_eq!((config.limits.series, config.limits.connections), (5000, 77));
    assert_eq!(config.limits.in_flight, Size::mib(16), "empty: as if nothing were written there");
    assert_eq!(config.ai.windows, [Dur::from_secs(60), Dur::from_secs(7200)]);
    assert_eq!(config.api.allowed_hosts, ["${env:PORT}x", "a$b4400", "c"]);
    assert_eq!(config.services[0].name, "0042");
    assert_eq!(config.services[1].name, "x\nlimits: {series: 1}");
    assert_eq!(config.forward[0].headers["authorization"], HeaderValue::Inline(Secret::new("a: b")));
}

#[test]
fn a_reference_that_leads_nowhere_is_an_error_with_its_place() {
    assert_eq!(
        error("api: {endpoint: '${env:NOWHERE}'}\n"),
        "q.yaml:1:17: environment variable NOWHERE is not set; give it, or a default: ${env:NOWHERE:-…}"
    );
    let message = error("api: {endpoint: '${file:/etc/x}'}\n");
    assert!(message.starts_with("q.yaml:1:17: `${file:/etc/x}` is not a reference"), "{message}");
    let message = error("api: {endpoint: '${env:A'}\n");
    assert!(message.contains("has no closing brace"), "{message}");
}

#[test]
fn sets_are_laid_over_the_file() {
    let sets = ["forward.0.endpoint=https://x:4317".to_owned(), "limits.series=7".to_owned(), "api=null".to_owned()];
    let yaml = "forward: [{endpoint: 'http://c:4317', timeout: 3s}]\nlimits: {series: 5}\n";
    let config = load_text("q.yaml", yaml, &sets, &no_env).unwrap().config;
    assert_eq!(config.forward[0].endpoint.as_str(), "https://x:4317");
    assert_eq!(config.forward[0].timeout, Dur::from_secs(3));
    assert_eq!(config.limits.series, 7);
    assert_eq!(config.api.endpoint, None);
    let config = with_sets(&["forward.0.endpoint=http://a:1", "forward.1={endpoint: 'http://b:2'}", "ai.windows=[1m]"]);
    let config = config.unwrap();
    assert_eq!(config.forward.len(), 2);
    assert_eq!(config.ai.windows, [Dur::from_secs(60)]);
    assert_eq!(with_sets(&["shutdown="]).unwrap().shutdown, Dur::from_secs(10));
}

#[test]
fn a_wrong_set_is_named_as_it_was_given() {
    let cases = [
        ("limts.series=5", "--set limts.series=5: unknown key `limts` at the top; did you mean `limits`?"),
        ("limits.series=x", "--set limits.series=x: expected a whole number of at least 0, found `x`"),
        ("nonsense", "--set nonsense: expected key=value, such as api.endpoint=127.0.0.1:5000"),
        ("=x", "--set =x: the key is empty; expected one such as api.endpoint"),
        (
            "forward.3.endpoint=http://a:1",
            "--set forward.3.endpoint=http://a:1: `forward` has 0 items; 3 is neither one of them nor the next",
        ),
        ("shutdown.x=1", "--set shutdown.x=1: expected a duration like 500ms, 10s, 5m, 1h30m or 7d, found a mapping"),
    ];
    for (set, expected) in cases {
        assert_eq!(with_sets(&[set]).unwrap_err(), expected);
    }
    let secret = with_sets(&["forward.0.headers.bad name=hunter2"]).unwrap_err();
    assert!(!secret.contains("hunter2"), "{secret}");
}

#[test]
fn destinations_that_lead_back_are_refused() {
    for own in [
        "http://localhost:4317",
        "http://127.0.0.1:4317",
        "http://0.0.0.0:4318",
        "http://[::1]:4318",
        "https://127.0.0.1:5000",
    ] {
        let message = error(&format!("forward: [{{endpoint: '{own}'}}]\n"));
        assert!(message.starts_with(&format!("q.yaml:1:22: `{own}` is our own listener")), "{message}");
        let message = error(&format!("telemetry: {{traces: {{endpoint: '{own}'}}}}\n"));
        assert!(message.contains("is our own listener"), "{message}");
    }
    loaded("forward: [{endpoint: 'http://10.0.0.1:4317'}, {endpoint: 'http://localhost:14317'}]\n");
    loaded("receivers: {otlp: {grpc: {endpoint: '10.1.1.1:4317'}}}\nforward: [{endpoint: 'http://127.0.0.1:4317'}]\n");
    let message = error(
        "receivers: {otlp: {grpc: {endpoint: '10.1.1.1:4317'}}}\nforward: [{endpoint: 'http://10.1.1.1:4317'}]\n",
    );
    assert!(message.contains("is our own listener"), "{message}");
}

#[test]
fn the_environment_makes_a_destination_when_the_file_has_none() {
    let vars =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317"), ("OTEL_EXPORTER_OTLP_HEADERS", "a=b%20c,d=e=f")];
    let loaded = with_env("", &vars).unwrap();
    let [forward] = loaded.config.forward.as_slice() else { panic!("{:?}", loaded.config.forward) };
    assert_eq!((forward.name.as_str(), forward.protocol), ("otel", Protocol::Grpc));
    assert_eq!(forward.signals, [Signal::Traces, Signal::Metrics, Signal::Logs, Signal::Derived]);
    assert_eq!(forward.headers["a"], HeaderValue::Inline(Secret::new("b c")));
    assert_eq!(forward.headers["d"], HeaderValue::Inline(Secret::new("e=f")));
    assert_eq!(forward.compression, Compression::None);
    let loaded = with_env("forward: [{endpoint: 'http://mine:4317'}]\n", &vars).unwrap();
    assert_eq!(loaded.config.forward[0].name, "mine:4317");
    assert_eq!(loaded.config.forward.len(), 1);
}

#[test]
fn each_signals_own_variable_wins() {
    let vars = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://base:4318/otlp/"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://base:4318/custom"),
        ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://logs:4317"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/key.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/cert.pem"),
    ];
    let forward = with_env("", &vars).unwrap().config.forward;
    let [http, grpc] = forward.as_slice() else { panic!("{forward:?}") };
    assert_eq!(http.protocol, Protocol::HttpProtobuf);
    assert_eq!(http.signal_urls.get(&Signal::Traces), Some(&Url::new("https://base:4318/custom")));
    assert_eq!(http.signals, [Signal::Traces, Signal::Metrics, Signal::Derived]);
    assert_eq!(http.timeout, Dur::from_millis(2500));
    assert_eq!(http.compression, Compression::Gzip);
    let tls = http.tls.as_ref().unwrap();
    assert_eq!(tls.ca_file.as_deref(), Some(std::path::Path::new("/ca.pem")));
    assert_eq!(tls.key_file.as_deref(), Some(std::path::Path::new("/key.pem")));
    assert_eq!(tls.cert_file.as_deref(), Some(std::path::Path::new("/cert.pem")));
    assert_eq!((grpc.protocol, grpc.name.as_str()), (Protocol::Grpc, "otel-logs"));
    assert_eq!(grpc.signals, [Signal::Logs]);
    // The base holds for the signals that have no URL of their own.
    assert_eq!(http.endpoint.as_str(), "https://base:4318/otlp/");
    assert_eq!(http.signal_urls.len(), 1);
}

#[test]
fn insecure_decides_where_a_grpc_endpoint_has_no_scheme() {
    let grpc = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
    let bare = ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317");
    let endpoint = |vars: &[(&str, &str)]| with_env("", vars).unwrap().config.forward[0].endpoint.as_str().to_owned();
    assert_eq!(endpoint(&[grpc, bare]), "https://collector:4317");
    assert_eq!(endpoint(&[grpc, bare, ("OTEL_EXPORTER_OTLP_INSECURE", "true")]), "http://collector:4317");
}

#[test]
fn what_the_environment_gets_wrong_is_a_warning() {
    let own = with_env("", &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317")]).unwrap();
    assert_eq!(own.config.forward, []);
    let warnings: Vec<String> = own.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "OTEL_EXPORTER_OTLP_ENDPOINT: warning: http://localhost:4317 is one of our own listeners; it is not forwarded to"
        ]
    );
    let vars = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c:4318"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "novalue"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=%zz"),
    ];
    let loaded = with_env("", &vars).unwrap();
    assert_eq!(loaded.config.forward[0].protocol, Protocol::HttpProtobuf);
    assert_eq!(loaded.warnings.len(), 4, "{:?}", loaded.warnings);
}

#[test]
fn the_environment_names_the_sidecar() {
    let vars = [("OTEL_RESOURCE_ATTRIBUTES", "service.name=a,k8s.pod.name=p%2C1"), ("OTEL_SERVICE_NAME", "side")];
    let resource = with_env("", &vars).unwrap().resource;
    assert_eq!(resource.service_name(), "side");
    assert_eq!(resource.attributes["k8s.pod.name"], "p,1");
    assert_eq!(with_env("", &[]).unwrap().resource.service_name(), "qiyas");
}

#[test]
fn ranges_names_and_references_are_checked() {
    let cases = [
        ("api: {endpoint: '127.0.0.1'}\n", "q.yaml:1:17: `127.0.0.1` is not host:port, such as 127.0.0.1:4317"),
        (
            "api: {endpoint: ':5000'}\n",
            "q.yaml:1:17: `:5000` has no host; write 127.0.0.1:5000, or 0.0.0.0:5000 for every address",
        ),
        (
            "api: {endpoint: 'http://a:5000'}\n",
            "q.yaml:1:17: `http://a:5000` has a scheme; expected host:port alone, such as 127.0.0.1:4317",
        ),
        (
            "api: {endpoint: '127.0.0.1:70000'}\n",
            "q.yaml:1:17: `127.0.0.1:70000` is not host:port, such as 127.0.0.1:4317",
        ),
        (
            "api: {endpoint: '127.0.0.1:4317'}\n",
            "q.yaml:1:17: port 4317 is already used by `receivers.otlp.grpc.endpoint`",
        ),
        (
            "receivers: {otlp: {grpc: {endpoint: '0.0.0.0:4318'}}}\n",
            "q.yaml:1:37: port 4318 is already used by `receivers.otlp.http.endpoint`",
        ),
        (
            "receivers: {otlp: {max_request_size: 65MiB}}\nlimits: {memory: 256MiB}\n",
            "q.yaml:1:38: 65MiB is more than a quarter of limits.memory (256MiB); expected at most 64MiB",
        ),
        (
            "journal: {memory: 200MiB}\nlimits: {memory: 256MiB}\n",
            "q.yaml:1:19: 200MiB is more than half of limits.memory (256MiB); expected at most 128MiB",
        ),
        ("spans: {buckets: []}\n", "q.yaml:1:18: no buckets: a histogram needs at least one bound"),
        ("spans: {buckets: [0s, 1s]}\n", "q.yaml:1:19: a bound of 0s; expected one above 0"),
        ("spans: {dimensions: [http.route, http.route]}\n", "q.yaml:1:34: `http.route` stands here twice"),
        ("ai: {windows: []}\n", "q.yaml:1:15: 0 windows; expected 1 to 8"),
        ("ai: {windows: [1s]}\n", "q.yaml:1:16: a window of 1s is not between 10s and 7d"),
        ("services: [{name: a}, {name: a}]\n", "q.yaml:1:30: a second service is called `a`; names must differ"),
        ("services: [{sla_target: 99.9}]\n", "q.yaml:1:12: `name` is missing: every service needs one"),
        (
            "services: [{name: a, sla_target: 0.999}]\n",
            "q.yaml:1:34: 0.999 is read as a percentage; write 99.9 if that is meant",
        ),
        (
            "services: [{name: a, down_when: {error_ratio: 1.5}}]\n",
            "q.yaml:1:47: 1.5 is not a ratio above 0 and at most 1",
        ),
        (
            "services: [{name: a, maintenance: [{start: 2026-01-02T00:00:00Z, end: 2026-01-01T00:00:00Z}]}]\n",
            "q.yaml:1:71: ends at 2026-01-01T00:00:00Z, not after its start at 2026-01-02T00:00:00Z",
        ),
        (
            "services: [{name: a, maintenance: [{end: 2026-01-01T00:00:00Z}]}]\n",
            "q.yaml:1:36: `start` is missing: a planned outage needs `start` and `end`",
        ),
        ("services: [{name: a, probe: {}}]\n", "q.yaml:1:29: `url` is missing: a probe needs the page to ask"),
        (
            "forward: [{name: a}]\n",
            "q.yaml:1:11: `endpoint` is missing: every destination needs one, such as http://collector:4317",
        ),
        (
            "forward: [{endpoint: 'http://c:4317/x'}]\n",
            "q.yaml:1:22: `/x` is a path, which gRPC has not; expected host and port alone, or protocol: http/protobuf",
        ),
        (
            "forward: [{endpoint: 'http://c:4318/v1/traces', protocol: http/protobuf}]\n",
            "q.yaml:1:22: `/v1/traces` is appended for each signal; expected the part before it",
        ),
        ("forward: [{endpoint: 'ftp://c'}]\n", "q.yaml:1:22: `ftp://c` has a scheme other than http:// and https://"),
        (
            "forward: [{endpoint: 'http://c:1'}, {endpoint: 'http://c:1'}]\n",
            "q.yaml:1:37: a second destination is called `c:1`; give each a `name` of its own",
        ),
        ("forward: [{endpoint: 'http://c:1', tls: {cert_file: a}}]\n", "q.yaml:1:53: `cert_file` needs its `key_file`"),
        ("forward: [{endpoint: 'http://c:1', headers: {'a b': c}}]\n", "q.yaml:1:53: `a b` is not a header's name"),
        (
            "forward: [{endpoint: 'http://c:1', signals: []}]\n",
            "q.yaml:1:45: no signals: nothing would be sent; expected some of traces, metrics, logs, derived",
        ),
        (
            "users: {experiments: [{id: e, variants: [a, b], goal: by}], conversions: [{name: buy, match: {event: b}}]}\n",
            "q.yaml:1:55: there is no conversion `by`; did you mean `buy`?",
        ),
        (
            "users: {experiments: [{id: e, variants: [a, b], goal: buy}]}\n",
            "q.yaml:1:55: there is no conversion `buy`: none is configured",
        ),
        (
            "users: {experiments: [{id: e, variants: [a, b], weights: [1], goal: buy}], conversions: [{name: buy, match: {event: b}}]}\n",
            "q.yaml:1:58: 1 weights for 2 variants; expected one each, or none for equal shares",
        ),
        (
            "users: {conversions: [{name: buy, match: {}}]}\n",
            "q.yaml:1:42: nothing to match; expected `event` or `span` with a name",
        ),
        (
            "users: {funnels: [{name: f, steps: [{name: a, match: {event: a}}]}]}\n",
            "q.yaml:1:36: 1 steps; a funnel needs at least 2",
        ),
        ("users: {session: {timeout: 2d}}\n", "q.yaml:1:18: 1d is shorter than users.session.timeout (2d)"),
        (
            "receivers: {otlp: {http: {cors: {allowed_origins: [shop.example]}}}}\n",
            "q.yaml:1:52: `shop.example` is not an origin; expected one like https://shop.example, or *",
        ),
        (
            "receivers: {otlp: {tls: {cert_file: a}}}\n",
            "q.yaml:1:25: `key_file` is missing: TLS needs a certificate and its key",
        ),
        ("prometheus: {path: metrics}\n", "q.yaml:1:20: `metrics` is not a path; expected one like /metrics"),
        (
            "prometheus: {path: /healthz}\n",
            "q.yaml:1:20: `/healthz` is where health is answered; expected another path, like /metrics",
        ),
        ("alerts: {receivers: [{type: slack}]}\n", "q.yaml:1:22: `url` or `url_file` is missing: this type needs one"),
        (
            "alerts: {receivers: [{url: 'http://a'}]}\n",
            "q.yaml:1:22: `type` is missing; expected alertmanager, webhook, slack, pagerduty or email",
        ),
        ("state: {redis: 'http://a'}\n", "q.yaml:1:16: `http://a` is not like redis://127.0.0.1:6379 or rediss://…"),
        ("kpis: {nps: 200}\n", "q.yaml:1:13: 200 is not at least -100 and at most 100"),
        ("limits: {memory: 1MiB}\n", "q.yaml:1:18: 1MiB is too small; expected at least 32MiB"),
        (
            "receivers: {host: {root_path: hostfs}}\n",
            "q.yaml:1:31: `hostfs` is not an absolute path, such as / or /hostfs",
        ),
        (
            "slos: [{name: a, objective: 99%}, {name: a, objective: 99%}]\n",
            "q.yaml:1:42: a second SLO is called `a`; names must differ",
        ),
        (
            "slos: [{name: api-latency, objective: 99%}]\n",
            "q.yaml:1:8: a latency objective needs a `threshold` such as 100ms",
        ),
        (
            "slos: [{name: a, objective: 0.999}]\n",
            "q.yaml:1:29: 0.999 is read as a percentage; write 99.9% if that is meant",
        ),
        (
            "slos: [{name: a, objective: 99%, threshold: soon}]\n",
            "q.yaml:1:45: `soon` is not a threshold; write it like 100ms, $0.01, 0.25, 43m downtime/month or 95% accuracy",
        ),
        ("slos: [{name: a, metric: acuracy}]\n", "q.yaml:1:26: `acuracy` is not known here; did you mean `accuracy`?"),
    ];
    for (yaml, expected) in cases {
        assert_eq!(error(yaml), expected);
    }
}

#[test]
fn a_default_never_breaks_a_smaller_memory() {
    let config = loaded("limits: {memory: 64MiB}\n").config;
    let budget = budget::Budget::new(&config, 64 << 20);
    assert_eq!(budget.max_request, 16 << 20);
}

#[test]
fn an_error_elsewhere_in_a_mapping_does_not_hide_or_invent_others() {
    assert_eq!(errors("limits: {series: x, in_flight: 1}\n").len(), 2, "both are wrong");
    assert_eq!(
        errors("users: {conversions: [{name: a, match: {evnt: x}}]}\n"),
        ["q.yaml:1:41: unknown key `evnt` in `users.conversions.0.match`; did you mean `event`?"]
    );
    assert_eq!(
        errors("forward: [{endpont: 'http://c:1'}]\n"),
        ["q.yaml:1:12: unknown key `endpont` in `forward.0`; did you mean `endpoint`?"]
    );
}

#[test]
fn credentials_on_plain_text_are_warned_of() {
    let warned = warnings("receivers: {otlp: {grpc: {endpoint: '0.0.0.0:4317'}, auth: {bearer_token_file: /t}}}\n");
    assert_eq!(
        warned,
        [
            "q.yaml:1:60: warning: credentials are asked for without TLS on an address that others reach; whoever listens in has them"
        ]
    );
    assert_eq!(warnings("receivers: {otlp: {auth: {bearer_token_file: /t}}}\n"), Vec::<String>::new());
    assert_eq!(warnings("receivers: {otlp: {grpc: {endpoint: '0.0.0.0:4317'}}}\n"), Vec::<String>::new());
}

#[test]
fn sections_of_later_stages_say_so() {
    let warned = warnings(
        "journal:\n  path: /j\n  fsync: interval\nforward:\n- endpoint: http://c:4317\n  temporality: delta\n  content: keep\n\
         receivers:\n  host:\n    scrapers: [cpu, gpu]\n",
    );
    assert_eq!(
        warned,
        [
            "q.yaml:2:9: warning: `journal.path`: the journal on disk is not built yet; records are kept in memory alone",
            "q.yaml:6:16: warning: `forward.0.temporality`: delta is not built yet; cumulative is sent",
            "q.yaml:10:21: warning: `receivers.host.scrapers.1`: this scraper is not built yet; it reports nothing",
        ]
    );
}

#[test]
fn files_are_checked_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "t").unwrap();
    let yaml = format!(
        "forward:\n- endpoint: https://c:4317\n  headers: {{a: {{file: {}}}, b: {{file: /nowhere/b}}}}\n  tls: {{ca_file: {}}}\n",
        token.display(),
        folder.path().display()
    );
    let problems = loaded(&yaml).check_files().unwrap_err().0;
    let messages: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(
        messages[0].starts_with("q.yaml:3:") && messages[0].contains("`/nowhere/b` cannot be read"),
        "{messages:?}"
    );
    assert!(
        messages[1].starts_with("q.yaml:4:") && messages[1].contains("is a folder; expected a file"),
        "{messages:?}"
    );
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.yaml");
    let message = load(Some(&missing), &[], &no_env).unwrap_err().to_string();
    assert!(message.starts_with(&format!("{}: cannot be read: ", missing.display())), "{message}");
    let binary = folder.path().join("binary.yaml");
    std::fs::write(&binary, b"shutdown: 5s\nab\xff").unwrap();
    let message = load(Some(&binary), &[], &no_env).unwrap_err().to_string();
    assert_eq!(message, format!("{}:2:3: not UTF-8 text", binary.display()));
}

#[test]
fn slo_errors_point_at_the_key_to_blame() {
    assert_eq!(
        error("slos:\n- name: conversion-rate\n  service: shop\n  metric: conversion_rate\n  objective: 5%\n"),
        "q.yaml:3:12: this objective is about users, not a service"
    );
}

#[test]
fn what_is_shown_reads_back_and_holds_no_secret() {
    let yaml = "\
forward:
- endpoint: https://user:hunter2@c:4317
  headers: {authorization: Bearer hunter2, x: {file: /t}}
alerts: {receivers: [{type: slack, url: 'https://hooks/hunter2'}, {type: pagerduty, routing_key: hunter2}]}
state: {redis: 'redis://:hunter2@r:6379'}
users: {conversions: [{name: 'a $b: #c', match: {event: 'null', attributes: {n: 1}}}]}
";
    let config = loaded(yaml).config;
    let shown = show(&config);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!format!("{config:?}").contains("hunter2"));
    let again =
        loaded(&shown.replace("https://<redacted>@", "https://x:y@").replace("url: \"<redacted>\"", "url: http://a"))
            .config;
    assert_eq!(again.users, config.users);
    assert_eq!(loaded(&show(&Config::default())).config, Config::default());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_loader_panic(text in "\\PC{0,200}", bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = load_text("q", &text, &[], &no_env);
        let _ = load_text("q", &String::from_utf8_lossy(&bytes), &[], &no_env);
    }

    #[test]
    fn no_yaml_makes_the_loader_panic(text in "([a-z]{1,3}: ?|[-\\[\\]{}&*#|>!%@`,?\"'\n\t ~$:<]|[0-9.]{1,3}|slos|forward|[ ]{2}|\n){0,60}") {
        let _ = load_text("q", &text, &[], &no_env);
        let _ = load_text("q", "", &[format!("forward.0={text}"), text], &|_| Some("x".to_owned()));
    }
}
