//! What the NameServer counts and measures, under `/metrics`.

use std::time::Duration;

use gantry_remoting::wire::request::{NamesrvRequest, RequestCode};
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntGauge, Opts, Registry};

use crate::routes::Size;

/// Handles of all metrics.
#[derive(Clone)]
pub(crate) struct Metrics {
    /// Time to serve, by the place of the request's code; `None` where it is not served.
    requests: Vec<Option<Histogram>>,
    other_requests: Histogram,
    /// Registrations that were refused because a later master is known.
    pub(crate) late_registrations: IntCounter,
    /// Brokers removed because of their silence.
    pub(crate) expired: IntCounter,
    /// Route answers that were encoded already.
    pub(crate) cached_routes: IntCounter,
    topics: IntGauge,
    groups: IntGauge,
    clusters: IntGauge,
    brokers: IntGauge,
    /// Open connections.
    pub(crate) connections: IntGauge,
}

impl Metrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// When the registry has them already.
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::with_opts(Opts::new(name, help))?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let options = HistogramOpts::new(
            "gantry_namesrv_request_seconds",
            "Time to serve a request, in seconds.",
        )
        .buckets(vec![0.000_01, 0.000_1, 0.001, 0.01, 0.1, 1.0]);
        let requests = HistogramVec::new(options, &["request"])?;
        registry.register(Box::new(requests.clone()))?;
        // Looked up once: the hot request pays an index, not a hash of its label.
        let served = |code: &RequestCode| NamesrvRequest::ROWS.iter().any(|(row, _)| row == code);
        let handle = |code: &RequestCode| requests.with_label_values(&[code.label()]);
        Ok(Self {
            requests: RequestCode::ALL
                .iter()
                .map(|code| served(code).then(|| handle(code)))
                .collect(),
            other_requests: requests.with_label_values(&["UNKNOWN"]),
            late_registrations: counter(
                "gantry_namesrv_late_registrations_total",
                "Registrations refused because a later master of the group is known.",
            )?,
            expired: counter(
                "gantry_namesrv_expired_brokers_total",
                "Brokers removed because they were silent for too long.",
            )?,
            cached_routes: counter(
                "gantry_namesrv_cached_routes_total",
                "Routes answered without encoding them again.",
            )?,
            topics: gauge("gantry_namesrv_topics", "Topics in the route tables.")?,
            groups: gauge("gantry_namesrv_broker_groups", "Broker groups in the route tables.")?,
            clusters: gauge("gantry_namesrv_clusters", "Clusters in the route tables.")?,
            brokers: gauge("gantry_namesrv_brokers", "Brokers that are registered.")?,
            connections: gauge("gantry_namesrv_connections", "Open connections.")?,
        })
    }

    /// Counts a request.
    pub(crate) fn served(&self, code: i32, took: Duration) {
        let place = RequestCode(code).index();
        let histogram = place.and_then(|place| self.requests.get(place)?.as_ref());
        histogram.unwrap_or(&self.other_requests).observe(took.as_secs_f64());
    }

    /// Shows how much is in the tables.
    pub(crate) fn show(&self, size: Size) {
        for (gauge, entries) in [
            (&self.topics, size.topics),
            (&self.groups, size.groups),
            (&self.clusters, size.clusters),
            (&self.brokers, size.brokers),
        ] {
            gauge.set(i64::try_from(entries).unwrap_or(i64::MAX));
        }
    }
}
