//! What every reconciliation uses, and how one fails.

use std::{sync::Arc, time::Duration};

use kube::{Client, Resource, runtime::controller::Action};

use crate::{
    apply::{ApplyError, Writer},
    cluster::validate::Images,
    events::Events,
    fleet::Fleets,
    metrics::{Metrics, Outcome},
};

/// How soon a failed reconciliation is repeated.
const RETRY: Duration = Duration::from_secs(3);

/// What every reconciliation uses.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// Writes to it.
    pub writer: Writer,
    /// Tells of what happened.
    pub events: Events,
    /// The operator's own metrics.
    pub metrics: Metrics,
    /// Images of clusters that name none.
    pub images: Images,
    /// Connections to brokers.
    pub fleets: Arc<Fleets>,
}

/// Why a reconciliation is to be repeated.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The API server could not be read.
    #[error("reading from the API server: {0}")]
    Read(#[source] Box<kube::Error>),
    /// The API server could not be written.
    #[error(transparent)]
    Write(#[from] ApplyError),
}

impl From<kube::Error> for ReconcileError {
    fn from(error: kube::Error) -> Self {
        Self::Read(Box::new(error))
    }
}

/// Logs the failure and says when to try again.
pub fn retry<K, C>(object: Arc<K>, error: &ReconcileError, _: Arc<C>) -> Action
where
    K: Resource<DynamicType = ()>,
{
    let meta = object.meta();
    tracing::warn!(kind = %K::kind(&()), namespace = meta.namespace, name = meta.name, %error, "reconciliation failed");
    Action::requeue(RETRY)
}

/// Runs a reconciliation and counts it.
///
/// # Errors
/// Those of the reconciliation.
pub async fn measured<K, F>(metrics: Metrics, run: F) -> Result<Action, ReconcileError>
where
    K: Resource<DynamicType = ()>,
    F: Future<Output = Result<Action, ReconcileError>>,
{
    let start = tokio::time::Instant::now();
    let result = run.await;
    let outcome = if result.is_ok() { Outcome::Success } else { Outcome::Error };
    metrics.reconciled::<K>(outcome, start.elapsed());
    result
}
