//! Gauges that are read from the broker's state when Prometheus asks.

use std::sync::Weak;

use prometheus::{
    IntGauge, IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::SERIES_MAX;
use crate::{broker::Broker, consumers::GroupCount, system};

/// Reads the state.
pub struct StateCollector {
    broker: Weak<Broker>,
    permission: IntGauge,
    topics: IntGauge,
    groups: IntGauge,
    parked: IntGauge,
    storage: IntGaugeVec,
    producers: IntGaugeVec,
    consumers: IntGaugeVec,
}

impl StateCollector {
    pub(super) fn new(broker: Weak<Broker>) -> prometheus::Result<Self> {
        let fixed = broker.upgrade().map(|broker| broker.fixed.clone()).unwrap_or_default();
        let opts = |metric: &str, help: &str| {
            Opts::new(metric, help)
                .const_label("cluster", &fixed.cluster)
                .const_label("node_type", "broker")
                .const_label("node_id", &fixed.name)
        };
        let gauge = |metric, help| IntGauge::with_opts(opts(metric, help));
        let vec = |metric, help, labels: &[&str]| IntGaugeVec::new(opts(metric, help), labels);
        Ok(Self {
            broker,
            permission: gauge("rocketmq_broker_permission", "2 write, 4 read, 6 both.")?,
            topics: gauge("rocketmq_topic_number", "Topics of this broker.")?,
            groups: gauge("rocketmq_consumer_group_number", "Consumer groups of this broker.")?,
            parked: gauge("gantry_parked_pulls", "Pulls that wait for a message.")?,
            storage: vec(
                "rocketmq_storage_size",
                "Bytes of the log.",
                &["storage_type", "storage_medium"],
            )?,
            producers: vec(
                "rocketmq_producer_connections",
                "Connections of producers.",
                &["language", "version", "protocol_type"],
            )?,
            consumers: vec(
                "rocketmq_consumer_connections",
                "Connections of consumers.",
                &[
                    "consumer_group",
                    "language",
                    "version",
                    "consume_mode",
                    "protocol_type",
                    "is_system",
                ],
            )?,
        })
    }

    fn read(&self, broker: &Broker) {
        let size = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.permission.set(i64::from(broker.settings.load().permission.0.bits()));
        self.topics.set(size(broker.topics.len()));
        self.groups.set(size(broker.groups.len()));
        self.parked.set(size(broker.parked.len()));
        let bytes = broker.store.written().since(broker.store.min_position());
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        self.storage.with_label_values(&["local", "disk"]).set(bytes);
        self.producers.reset();
        for (_, members) in broker.producers.all() {
            for (client, _) in members {
                let version = client.version.to_string();
                let labels = [client.language.name(), &version, "remoting"];
                self.producers.with_label_values(&labels).inc();
            }
        }
        self.consumers.reset();
        for GroupCount { group, manner, libraries } in
            broker.consumers.counts().into_iter().take(SERIES_MAX)
        {
            let system = if system::is_system_group(&group) { "true" } else { "false" };
            for (language, version) in libraries {
                let version = version.to_string();
                let mode = manner.consume.name();
                let labels = [group.as_str(), language.name(), &version, mode, "remoting", system];
                self.consumers.with_label_values(&labels).inc();
            }
        }
    }

    fn parts(&self) -> [&dyn Collector; 7] {
        [
            &self.permission,
            &self.topics,
            &self.groups,
            &self.parked,
            &self.storage,
            &self.producers,
            &self.consumers,
        ]
    }
}

impl Collector for StateCollector {
    fn desc(&self) -> Vec<&Desc> {
        self.parts().into_iter().flat_map(|part| part.desc()).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let Some(broker) = self.broker.upgrade() else { return Vec::new() };
        self.read(&broker);
        self.parts().into_iter().flat_map(Collector::collect).collect()
    }
}
