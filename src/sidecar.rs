//! The whole, wired: every stage of the road, started and stopped in order.
//!
//! Start: everything is bound before anything is served; the fold and the destinations take their places in the journal
//! before a request is let in. Stop, in the order of the road: receivers finish what is in flight, the fold folds what was
//! journaled, destinations send it, the endpoints close last.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use prost::Message as _;
use rand::Rng as _;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::config::budget::{Budget, resolve_memory};
use crate::config::{self, Config};
use crate::expose::health::{Health, Part};
use crate::expose::{self, prometheus};
use crate::forward::{Derive, DestinationError, Enrich, Forwarder, Lent};
use crate::journal::{Entry, Journal, Origin, Payload};
use crate::measure::{Asker, Fold, Mode, State, Unanswered};
use crate::observe::enrich::Enricher;
use crate::observe::genai::price::{Prices, PricesError};
use crate::observe::{Observations, Observer};
use crate::otlp::{Fault, Signal};
use crate::receive::host::{HostSettings, Scraper};
use crate::receive::serve::{self, Auth, BindError, Bound, Connections, FileError, Protocol, Settings, Tls};
use crate::receive::{self, BoundOtlp, Intake, IntakeLimits, Observe, Observed};
use crate::series::{Family, Label};
use crate::telemetry::{OwnMetrics, process};
use crate::units::UnixNanos;

/// Largest request of derived metrics, below the Collector's limit of 4 MiB.
const MAX_DERIVED_BYTES: usize = 3 << 20;
/// The fold is asked so often whether it has caught up.
const CATCH_UP_POLL: Duration = Duration::from_millis(5);
/// Part of the shutdown time that receivers may take to finish what is in flight.
const RECEIVERS_SHARE: u32 = 2;
/// The last scrape may still come in for so long.
const ENDPOINTS_GRACE: Duration = Duration::from_millis(200);

/// The sidecar cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Receive(#[from] receive::StartError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Prices(#[from] PricesError),
    #[error(transparent)]
    Destination(#[from] DestinationError),
    #[error("cannot start the fold: {0}")]
    Thread(std::io::Error),
}

/// A running sidecar.
pub struct Sidecar {
    addresses: Vec<(String, SocketAddr)>,
    journal: Journal<Observations>,
    intake: Intake<Observations>,
    fold: Fold,
    forwarder: Forwarder,
    own_sources: JoinSet<()>,
    receivers: JoinSet<()>,
    endpoints: JoinSet<()>,
    stop_receivers: watch::Sender<bool>,
    stop_endpoints: watch::Sender<bool>,
}

/// What the endpoints read.
#[derive(Clone)]
struct Sources {
    started: UnixNanos,
    own: Arc<OwnMetrics>,
    journal: Journal<Observations>,
    asker: Asker,
    ready: Arc<[String]>,
}

impl Sources {
    /// Everything for the endpoint: what is derived, then the apps' own metrics. Of two that want one name the derived
    /// one comes first and stays.
    async fn exposed(&self) -> Vec<Family> {
        let now = UnixNanos::now();
        let asked = self.asker.ask(move |state| (state.families(now), state.received_families(now))).await;
        let (derived, received) = match asked {
            Ok((derived, received)) => (Ok(derived), received),
            Err(unanswered) => (Err(unanswered), Vec::new()),
        };
        let mut families = self.with_own(derived, now);
        families.extend(received);
        families
    }

    /// Everything derived. The apps' own metrics are not among them: they are forwarded as they came.
    async fn derived(&self) -> Vec<Family> {
        let now = UnixNanos::now();
        let derived = self.asker.ask(move |state| state.families(now)).await;
        self.with_own(derived, now)
    }

    /// Derived families and the sidecar's own figures. Once the fold has stopped only the latter are left.
    fn with_own(&self, derived: Result<Vec<Family>, Unanswered>, now: UnixNanos) -> Vec<Family> {
        let mut families = derived.unwrap_or_else(|unanswered| {
            tracing::warn!("derived metrics are missing from an answer: {unanswered}");
            Vec::new()
        });
        families.extend(self.own.families(now));
        families.extend(self.journal.stats().families(self.started, now));
        families.extend(process::families(self.started, now));
        families
    }

    fn health(&self) -> Health {
        let progress = self.asker.progress();
        let waiting = self.journal.stats().records > progress.folded();
        let still = if waiting { UnixNanos::now().since(progress.moved_at()) } else { Duration::ZERO };
        Health { fold_stalled: still, parts: self.ready.iter().map(|part| Part::ready(part.clone())).collect() }
    }
}

impl Sidecar {
    /// Binds, then starts everything. Within a tokio runtime.
    pub async fn start(config: &Config, resource: &config::Resource) -> Result<Self, StartError> {
        let config = within_memory(config);
        let started = UnixNanos::now();
        let own = Arc::new(OwnMetrics::new(started));
        let prices = Arc::new(Prices::new(&config.ai.prices)?);
        let observer = Arc::new(Observer::new(&config.spans));

        let otlp = BoundOtlp::bind(&config.receivers.otlp).await?;
        let prometheus = Listener::bind(
            "prometheus",
            config.prometheus.endpoint.as_deref(),
            config.prometheus.tls.as_ref(),
            config.prometheus.auth.as_ref(),
        )
        .await?;
        let api =
            Listener::bind("api", config.api.endpoint.as_deref(), config.api.tls.as_ref(), config.api.auth.as_ref())
                .await?;
        let mut addresses: Vec<(String, SocketAddr)> =
            otlp.addresses().into_iter().map(|(name, address)| (format!("otlp/{name}"), address)).collect();
        addresses.extend(
            prometheus.iter().chain(&api).map(|listener| (listener.bound.name.to_owned(), listener.bound.address)),
        );

        let journal = Journal::in_memory(usize::try_from(config.journal.memory.0).unwrap_or(usize::MAX));
        let mut random = rand::rng();
        let state = State::new(&config, Arc::clone(&observer), Arc::clone(&prices), Mode::Live, random.random());
        let fold = Fold::start(&journal, state).map_err(StartError::Thread)?;

        let mut ready: Vec<String> = addresses.iter().map(|(name, address)| format!("{name} {address}")).collect();
        ready.push("journal".to_owned());
        let sources = Sources {
            started,
            own: Arc::clone(&own),
            journal: journal.clone(),
            asker: fold.asker(),
            ready: ready.into(),
        };
        let enricher = Arc::new(Enricher::new(Arc::clone(&observer), prices));
        let mut forwarder = Forwarder::new(Arc::clone(&own), random.random());
        for destination in &config.forward {
            let lent = lent(destination, &enricher, &sources, resource);
            forwarder.add(destination, &journal, lent)?;
        }

        let connections = Connections::new(config.limits.connections, Arc::clone(&own));
        let observe = observe_function(&observer);
        let intake = Intake::new(
            IntakeLimits::of(&config.receivers.otlp, &config.limits),
            Arc::clone(&observe),
            journal.clone(),
            Arc::clone(&own),
        );
        let (stop_receivers, receivers_stop) = watch::channel(false);
        let (stop_endpoints, endpoints_stop) = watch::channel(false);
        let mut receivers = JoinSet::new();
        let grace = config.shutdown.0 / RECEIVERS_SHARE;
        receivers.spawn(otlp.serve(intake.clone(), connections.clone(), grace, receivers_stop));
        let mut endpoints = JoinSet::new();
        if let Some(listener) = prometheus {
            let (families, health) = (sources.clone(), sources.clone());
            let endpoint = Arc::new(prometheus::Endpoint::new(
                &config.prometheus,
                Arc::clone(&own),
                move || {
                    let sources = families.clone();
                    async move { sources.exposed().await }
                },
                move || health.health(),
            ));
            listener.serve(&mut endpoints, &connections, &endpoints_stop, move |request| {
                let endpoint = Arc::clone(&endpoint);
                async move { endpoint.answer(&request).await }
            });
        }
        if let Some(listener) = api {
            let sources = sources.clone();
            listener.serve(&mut endpoints, &connections, &endpoints_stop, move |request| {
                let sources = sources.clone();
                async move { expose::api::answer(&request, &sources.health(), &sources.asker).await }
            });
        }
        let own_sources = own_sources(&config, resource, &journal, &observe, &own);
        Ok(Self {
            addresses,
            journal,
            intake,
            fold,
            forwarder,
            own_sources,
            receivers,
            endpoints,
            stop_receivers,
            stop_endpoints,
        })
    }

    /// Every listener's name and address.
    pub fn addresses(&self) -> &[(String, SocketAddr)] {
        &self.addresses
    }

    /// What a program that embeds the sidecar hands its telemetry to; see [`crate::exporter`].
    pub fn intake(&self) -> &Intake<Observations> {
        &self.intake
    }

    /// Stops accepting, drains within `longest`, and ends.
    pub async fn stop(mut self, longest: Duration) {
        // The endpoints and the fold close after the drain, within the same time.
        let deadline = Instant::now() + longest.saturating_sub(ENDPOINTS_GRACE * 2);
        self.own_sources.shutdown().await;
        self.stop_receivers.send_replace(true);
        while self.receivers.join_next().await.is_some() {}
        // Exporters of this process are not among the receivers: what they bring from now on has no one to take it.
        self.intake.close();
        self.catch_up(deadline).await;
        self.forwarder.drain(deadline).await;
        self.stop_endpoints.send_replace(true);
        while self.endpoints.join_next().await.is_some() {}
        // With the endpoints their askers are gone; the fold ends when it finds nothing more to do.
        let fold = self.fold;
        let ended = tokio::task::spawn_blocking(move || fold.stop()).await;
        if let Err(error) = ended {
            tracing::error!("the fold did not end well: {error}");
        }
    }

    async fn catch_up(&self, deadline: Instant) {
        let asker = self.fold.asker();
        while self.journal.stats().records > asker.progress().folded() {
            if Instant::now() >= deadline {
                tracing::warn!("the fold was stopped before it had folded everything");
                return;
            }
            tokio::time::sleep(CATCH_UP_POLL).await;
        }
    }
}

/// An endpoint's listener, bound and not yet served.
struct Listener {
    bound: Bound,
    tls: Option<Arc<Tls>>,
    auth: Option<Arc<Auth>>,
}

impl Listener {
    async fn bind(
        name: &'static str,
        endpoint: Option<&str>,
        tls: Option<&config::ServerTls>,
        auth: Option<&config::Auth>,
    ) -> Result<Option<Self>, StartError> {
        let Some(endpoint) = endpoint else { return Ok(None) };
        let tls = tls.map(|files| Tls::load(files, Protocol::Auto)).transpose()?.map(Arc::new);
        let auth = auth.map(Auth::load).transpose()?.map(Arc::new);
        Ok(Some(Self { bound: serve::bind(name, endpoint).await?, tls, auth }))
    }

    fn serve<A, F>(self, tasks: &mut JoinSet<()>, connections: &Connections, stop: &serve::Stop, answer: A)
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = expose::Answer> + Send + 'static,
    {
        let Self { bound, tls, auth } = self;
        let settings =
            Settings { protocol: Protocol::Auto, tls, connections: connections.clone(), grace: ENDPOINTS_GRACE };
        let service = service_fn(move |request: Request<Incoming>| {
            let (answer, auth) = (answer.clone(), auth.clone());
            async move {
                // Probes come from the kubelet, which has no credentials.
                let is_probe = matches!(request.uri().path(), "/healthz" | "/readyz");
                if let Some(auth) = auth.filter(|_| !is_probe)
                    && let Err(denied) = auth.check(request.headers()).await
                {
                    return Ok::<_, Infallible>(expose::denied(&denied.to_string()));
                }
                Ok(answer(request).await)
            }
        });
        tasks.spawn(serve::serve(bound, settings, service, stop.clone()));
    }
}

/// The configuration with its budgets cut to the memory there is.
fn within_memory(config: &Config) -> Config {
    let budget = Budget::new(config, resolve_memory(Path::new("/"), &config.limits));
    let mut config = config.clone();
    config.limits.series = budget.series_count(&config.limits);
    config.limits.in_flight.0 = budget.in_flight;
    config.receivers.otlp.max_request_size.0 = budget.max_request;
    config.journal.memory.0 = budget.ring;
    config
}

fn observe_function(observer: &Arc<Observer>) -> Observe<Observations> {
    let observer = Arc::clone(observer);
    Arc::new(move |signal: Signal, request: &Bytes| -> Result<Observed<Observations>, Fault> {
        let rides = observer.observe(signal, request)?;
        let items = u32::try_from(rides.items()).unwrap_or(u32::MAX);
        Ok(Observed { rides_bytes: rides.heap_bytes(), items, rides, warning: None })
    })
}

fn lent(
    destination: &config::Forward,
    enricher: &Arc<Enricher>,
    sources: &Sources,
    resource: &config::Resource,
) -> Lent<Observations> {
    let enrich = destination.enrich.then(|| {
        let enricher = Arc::clone(enricher);
        let enrich: Enrich<Observations> = Arc::new(move |record| match record.signal() {
            Some(signal) => enricher.enrich(signal, &record.bytes, record.rides(), record.received),
            None => record.bytes.clone(),
        });
        enrich
    });
    let own_resource: Arc<[Label]> =
        resource.attributes.iter().map(|(key, value)| Label::text(key.clone(), value.as_str())).collect();
    let (sources, histogram) = (sources.clone(), destination.histogram);
    let derive: Derive = Arc::new(move |_previous_was_taken| {
        let (sources, own_resource) = (sources.clone(), Arc::clone(&own_resource));
        let round = async move {
            let families = sources.derived().await;
            let encoding =
                expose::otlp::Encoding { own_resource: &own_resource, histogram, max_bytes: MAX_DERIVED_BYTES };
            expose::otlp::encode(&families, encoding).requests.into_iter().map(|request| request.body).collect()
        };
        let round: Pin<Box<dyn Future<Output = Vec<Bytes>> + Send>> = Box::pin(round);
        round
    });
    Lent { enrich, derive: Some(derive) }
}

/// What the sidecar itself puts into the journal: ticks, and the host's metrics.
fn own_sources(
    config: &Config,
    resource: &config::Resource,
    journal: &Journal<Observations>,
    observe: &Observe<Observations>,
    own: &Arc<OwnMetrics>,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let ticking = journal.clone();
    tasks.spawn(async move {
        let mut every_second = tokio::time::interval(Duration::from_secs(1));
        every_second.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            every_second.tick().await;
            ticking.tick(UnixNanos::now());
        }
    });
    let host = &config.receivers.host;
    if host.enabled {
        let in_kubernetes = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
        let settings = HostSettings::from_config(host, otlp_resource(resource), in_kubernetes);
        tasks.spawn(scrape_host(settings, host.interval.0, journal.clone(), Arc::clone(observe), Arc::clone(own)));
    }
    tasks
}

async fn scrape_host(
    settings: HostSettings,
    interval: Duration,
    journal: Journal<Observations>,
    observe: Observe<Observations>,
    own: Arc<OwnMetrics>,
) {
    let mut scraper = Scraper::new(&settings);
    let mut failing = std::collections::BTreeSet::new();
    let interval = interval.max(Duration::from_secs(1));
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Rates need two readings; the second comes a second after the first, so that nobody waits an interval for them.
    let mut first_two = 2_u8;
    loop {
        match first_two.checked_sub(1) {
            Some(left) => {
                first_two = left;
                tokio::time::sleep(if left == 0 { Duration::from_secs(1) } else { Duration::ZERO }).await;
                ticks.reset();
            }
            None => {
                ticks.tick().await;
            }
        }
        let now = UnixNanos::now();
        // Reading /proc can block for milliseconds; the scraper goes along and comes back.
        let scraping = tokio::task::spawn_blocking(move || {
            let scraped = scraper.scrape(now);
            (scraper, scraped)
        });
        let Ok((back, scraped)) = scraping.await else { return };
        scraper = back;
        for failure in &scraped.failures {
            own.receiver_refused.add(&["metrics", "host", failure.scraper.name()], 1);
            if failing.insert(failure.scraper.name()) {
                tracing::warn!(scraper = failure.scraper.name(), "the host cannot be scraped: {}", failure.error);
            }
        }
        if scraped.metrics.resource_metrics.is_empty() {
            continue;
        }
        let bytes = Bytes::from(scraped.metrics.encode_to_vec());
        let Ok(observed) = observe(Signal::Metrics, &bytes) else { continue };
        let entry = Entry {
            origin: Origin::Own,
            payload: Payload::Otlp(Signal::Metrics),
            items: observed.items,
            bytes,
            rides: Some(observed.rides),
            rides_bytes: observed.rides_bytes,
        };
        if let Err(full) = journal.append(entry, now) {
            own.receiver_refused.add(&["metrics", "host", "behind"], 1);
            tracing::debug!("a scrape of the host was not journaled: {full}");
        }
    }
}

fn otlp_resource(resource: &config::Resource) -> opentelemetry_proto::tonic::resource::v1::Resource {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
    let attributes = resource.attributes.iter().map(|(key, value)| KeyValue {
        key: key.clone(),
        value: Some(AnyValue { value: Some(Value::StringValue(value.clone())) }),
        ..KeyValue::default()
    });
    opentelemetry_proto::tonic::resource::v1::Resource { attributes: attributes.collect(), ..Default::default() }
}
