//! The operator's own metrics, `rocketmq_operator_*`.

use std::time::Duration;

use kube::Resource;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

/// Handles of the operator's own metrics. Clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    duration: HistogramVec,
    reconciliations: IntCounterVec,
    writes: IntCounterVec,
    /// 1 while this replica leads.
    pub leader: IntGauge,
}

/// How a reconciliation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It ran to its end.
    Success,
    /// It will be tried again.
    Error,
}

impl Metrics {
    /// Registers them.
    ///
    /// # Errors
    /// When the registry has them already.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let buckets = vec![0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0];
        let metrics = Self {
            duration: HistogramVec::new(
                HistogramOpts::new(
                    "rocketmq_operator_reconcile_duration_seconds",
                    "How long reconciliations take, in seconds.",
                )
                .buckets(buckets),
                &["kind"],
            )?,
            reconciliations: IntCounterVec::new(
                Opts::new("rocketmq_operator_reconcile_total", "Reconciliations by their end."),
                &["kind", "result"],
            )?,
            writes: IntCounterVec::new(
                Opts::new("rocketmq_operator_api_writes_total", "Writes to the Kubernetes API."),
                &["kind", "verb"],
            )?,
            leader: IntGauge::new(
                "rocketmq_operator_leader",
                "1 while this replica leads, else 0.",
            )?,
        };
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.reconciliations.clone()))?;
        registry.register(Box::new(metrics.writes.clone()))?;
        registry.register(Box::new(metrics.leader.clone()))?;
        Ok(metrics)
    }

    /// Counts a write to an object of kind `K`.
    pub fn api_write<K: Resource<DynamicType = ()>>(&self, verb: &str) {
        self.writes.with_label_values(&[&K::kind(&()), verb]).inc();
    }

    /// Counts a reconciliation of an object of kind `K`.
    pub fn reconciled<K: Resource<DynamicType = ()>>(&self, outcome: Outcome, took: Duration) {
        let result = match outcome {
            Outcome::Success => "success",
            Outcome::Error => "error",
        };
        let kind = K::kind(&());
        self.reconciliations.with_label_values(&[kind.as_ref(), result]).inc();
        self.duration.with_label_values(&[kind.as_ref()]).observe(took.as_secs_f64());
    }
}
