//! The backlog as Prometheus sees it: the names of Apache RocketMQ 5, and seconds.
//!
//! The series are made from the latest counting when they are asked for, so one that is not counted any
//! more ends at once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use prometheus::{
    GaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use tokio::time::Instant;

use super::count::Lag;

/// Series of one metric that are shown at most; what is beyond is left out, in the order of names.
const SERIES_MAX: usize = 50_000;
/// How long the last counting of a cluster whose brokers do not answer is shown.
const SHOWN: Duration = Duration::from_secs(60);

const LABELS: &[&str] = &["cluster", "cluster_namespace", "consumer_group", "topic", "is_retry"];

/// A BrokerCluster: namespace and brokerClusterName.
pub type ClusterKey = (String, String);
/// What a series is about: consumer group and topic.
pub type Pair = (String, String);

/// The backlog of all clusters. Clones share it.
#[derive(Clone)]
pub struct Board {
    clusters: Arc<Mutex<BTreeMap<ClusterKey, Counted>>>,
    descs: Vec<Desc>,
}

struct Counted {
    at: Instant,
    lags: BTreeMap<Pair, Lag>,
}

/// One metric: its name, its help, and its value.
type Gauge = (&'static str, &'static str, fn(&Lag) -> f64);

const GAUGES: [Gauge; 6] = [
    ("rocketmq_consumer_lag_messages", "Messages that the group has not consumed.", |lag| {
        number(lag.messages)
    }),
    (
        "rocketmq_consumer_lag_latency",
        "Age of the oldest message that the group has not consumed, in milliseconds; 0 if there is none.",
        |lag| number(lag.latency.0),
    ),
    (
        "rocketmq_consumer_lag_latency_milliseconds",
        "The same as rocketmq_consumer_lag_latency.",
        |lag| number(lag.latency.0),
    ),
    (
        "rocketmq_consumer_lag_seconds",
        "Age of the oldest message that the group has not consumed, in seconds; 0 if there is none.",
        |lag| number(lag.latency.0) / 1000.0,
    ),
    (
        "rocketmq_consumer_inflight_messages",
        "Messages that members of the group have fetched and not consumed.",
        |lag| number(lag.inflight),
    ),
    (
        "rocketmq_consumer_ready_messages",
        "Messages that no member of the group has fetched yet.",
        |lag| number(lag.ready()),
    ),
];

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
fn number(n: u64) -> f64 {
    n as f64
}

impl Board {
    /// An empty board.
    ///
    /// # Errors
    /// None in practice: the names are constants.
    pub fn new() -> prometheus::Result<Self> {
        let mut descs = Vec::new();
        for (name, help, _) in GAUGES {
            descs.extend(GaugeVec::new(Opts::new(name, help), LABELS)?.desc().into_iter().cloned());
        }
        Ok(Self { clusters: Arc::default(), descs })
    }

    /// Replaces what is shown of a cluster.
    pub fn show(&self, cluster: ClusterKey, lags: BTreeMap<Pair, Lag>) {
        self.clusters.lock().insert(cluster, Counted { at: Instant::now(), lags });
    }

    /// Shows no other clusters than those that `exist`, and none that was counted long ago.
    pub fn retain(&self, exist: &[ClusterKey]) {
        self.clusters
            .lock()
            .retain(|key, counted| exist.contains(key) && counted.at.elapsed() < SHOWN);
    }

    fn gauge(&self, (name, help, value): Gauge) -> prometheus::Result<Vec<MetricFamily>> {
        let gauge = GaugeVec::new(Opts::new(name, help), LABELS)?;
        let clusters = self.clusters.lock();
        let all = clusters.iter().flat_map(|(key, counted)| {
            counted.lags.iter().map(move |(pair, lag)| (key, pair, lag))
        });
        for ((namespace, cluster), (group, topic), lag) in all.take(SERIES_MAX) {
            let is_retry = if topic.starts_with("%RETRY%") { "true" } else { "false" };
            let labels = [cluster.as_str(), namespace, group, topic, is_retry];
            gauge.get_metric_with_label_values(&labels)?.set(value(lag));
        }
        Ok(gauge.collect())
    }
}

impl Collector for Board {
    fn desc(&self) -> Vec<&Desc> {
        self.descs.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let families = GAUGES.into_iter().filter_map(|gauge| self.gauge(gauge).ok());
        // A family without series would be refused by the text encoder.
        families.flatten().filter(|family| !family.get_metric().is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use gantry_model::Millis;
    use prometheus::{Registry, TextEncoder};

    use super::*;

    #[test]
    fn a_series_is_shown_until_its_group_is_not_counted_any_more() {
        let (board, registry) = (Board::new().unwrap(), Registry::new());
        registry.register(Box::new(board.clone())).unwrap();
        let text = || TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        assert_eq!(text(), "");
        let key = ("shop".to_owned(), "demo".to_owned());
        let lag = Lag { messages: 7, inflight: 2, latency: Millis(1500) };
        let pair = ("billing".to_owned(), "orders".to_owned());
        board.show(key.clone(), BTreeMap::from([(pair, lag)]));
        let labels = r#"{cluster="demo",cluster_namespace="shop",consumer_group="billing",is_retry="false",topic="orders"}"#;
        for line in [
            format!("rocketmq_consumer_lag_messages{labels} 7"),
            format!("rocketmq_consumer_lag_latency{labels} 1500"),
            format!("rocketmq_consumer_lag_seconds{labels} 1.5"),
            format!("rocketmq_consumer_ready_messages{labels} 5"),
        ] {
            assert!(text().contains(&line), "{line} is not in {}", text());
        }
        board.show(key, BTreeMap::new());
        assert_eq!(text(), "");
    }
}
