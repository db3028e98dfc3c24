//! `rocketmq_rpc_latency`: a histogram by request code that is fed once per batch and code, with plain
//! atomic adds. prometheus's own histograms take one observation at a time.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use gantry_remoting::wire::RequestCode;
use prometheus::{
    Opts,
    core::{Collector, Desc, Describer as _},
    proto,
};

/// Upper bounds of the buckets in milliseconds (`BrokerMetricsManager`), the last one being infinite.
const BOUNDS: [f64; 9] = [1.0, 3.0, 5.0, 7.0, 10.0, 100.0, 1000.0, 2000.0, 3000.0];

#[derive(Debug, Default)]
struct Row {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

/// The histogram. Clones share it.
#[derive(Debug, Clone)]
pub struct Latency {
    rows: Arc<Vec<Row>>,
    desc: Arc<Desc>,
}

impl Latency {
    pub(super) fn new(opts: Opts) -> prometheus::Result<Self> {
        let opts = opts.variable_label("request_code").variable_label("protocol_type");
        let rows = RequestCode::ALL.iter().map(|_| Row::default()).collect();
        Ok(Self { rows: Arc::new(rows), desc: Arc::new(opts.describe()?) })
    }

    /// Counts `requests` of one code that took so long each.
    pub fn observe(&self, code: RequestCode, requests: u64, took: Duration) {
        let Some(row) = code.index().and_then(|index| self.rows.get(index)) else { return };
        let millis = took.as_secs_f64() * 1000.0;
        let place = BOUNDS.iter().position(|bound| millis <= *bound).unwrap_or(BOUNDS.len());
        if let Some(bucket) = row.buckets.get(place) {
            bucket.fetch_add(requests, Ordering::Relaxed);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        row.micros.fetch_add(micros.saturating_mul(requests), Ordering::Relaxed);
    }
}

impl Collector for Latency {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let mut family = proto::MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(proto::MetricType::HISTOGRAM);
        let metrics: Vec<_> = RequestCode::ALL
            .iter()
            .zip(self.rows.iter())
            .filter_map(|(code, row)| self.metric(*code, row))
            .collect();
        if metrics.is_empty() {
            return Vec::new();
        }
        family.set_metric(metrics);
        vec![family]
    }
}

impl Latency {
    fn metric(&self, code: RequestCode, row: &Row) -> Option<proto::Metric> {
        let mut total = 0;
        let mut buckets = Vec::with_capacity(BOUNDS.len());
        for (place, count) in row.buckets.iter().enumerate() {
            total += count.load(Ordering::Relaxed);
            if let Some(bound) = BOUNDS.get(place) {
                let mut bucket = proto::Bucket::default();
                bucket.set_upper_bound(*bound);
                bucket.set_cumulative_count(total);
                buckets.push(bucket);
            }
        }
        if total == 0 {
            return None;
        }
        let mut histogram = proto::Histogram::default();
        histogram.set_sample_count(total);
        histogram.set_sample_sum(
            Duration::from_micros(row.micros.load(Ordering::Relaxed)).as_secs_f64() * 1000.0,
        );
        histogram.set_bucket(buckets);
        let mut labels = self.desc.const_label_pairs.clone();
        for (name, value) in
            HashMap::from([("request_code", code.label()), ("protocol_type", "remoting")])
        {
            let mut label = proto::LabelPair::default();
            label.set_name(name.into());
            label.set_value(value.to_lowercase());
            labels.push(label);
        }
        labels.sort_by(|a, b| a.name().cmp(b.name()));
        let mut metric = proto::Metric::default();
        metric.set_label(labels);
        metric.set_histogram(histogram);
        Some(metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus::{Registry, TextEncoder};

    #[test]
    fn requests_fall_into_their_buckets() {
        let latency =
            Latency::new(Opts::new("rocketmq_rpc_latency", "x").const_label("cluster", "c"))
                .unwrap();
        let registry = Registry::new();
        registry.register(Box::new(latency.clone())).unwrap();
        latency.observe(RequestCode::SEND_MESSAGE, 3, Duration::from_micros(500));
        latency.observe(RequestCode::SEND_MESSAGE, 1, Duration::from_millis(6));
        latency.observe(RequestCode(424_242), 1, Duration::from_millis(6));
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let line = |le: &str, count: u64| {
            format!(
                "rocketmq_rpc_latency_bucket{{cluster=\"c\",protocol_type=\"remoting\",request_code=\"send_message\",le=\"{le}\"}} {count}\n"
            )
        };
        assert!(text.contains(&line("1", 3)) && text.contains(&line("7", 4)), "{text}");
        assert!(text.contains("rocketmq_rpc_latency_sum{cluster=\"c\",protocol_type=\"remoting\",request_code=\"send_message\"} 7.5"), "{text}");
    }
}
