//! What the NameServer counts and measures, under `/metrics`.

use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntGauge, Opts, Registry};

use crate::routes::Size;

/// Handles of all metrics.
#[derive(Clone)]
pub struct Metrics {
    /// Requests served, with the time each took, by Java's name of the request.
    pub requests: HistogramVec,
    /// Registrations that were refused because a later master is known.
    pub late_registrations: IntCounter,
    /// Brokers removed because of their silence.
    pub expired: IntCounter,
    /// Route answers that were encoded already.
    pub cached_routes: IntCounter,
    topics: IntGauge,
    groups: IntGauge,
    clusters: IntGauge,
    brokers: IntGauge,
    /// Open connections.
    pub connections: IntGauge,
}

impl Metrics {
    /// Makes and registers them.
    ///
    /// # Errors
    /// When the registry has them already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
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
        Ok(Self {
            requests,
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

    /// Shows how much is in the tables.
    pub fn show(&self, size: Size) {
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
