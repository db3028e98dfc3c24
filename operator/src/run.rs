//! The life of the operator: connect, serve probes, win the lead, reconcile until it is lost or the
//! process is told to end.

use std::{future::ready, io, sync::Arc, time::Duration};

use futures::StreamExt;
use gantry_chassis::{Health, Tasks, admin};
use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{ConfigMap, Pod, Service},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::ListParams,
    runtime::{
        Controller,
        controller::Config as ControllerConfig,
        reflector::{ObjectRef, Store},
        watcher::Config,
    },
};
use prometheus::Registry;

use crate::{
    apply::{Object, Writer},
    cluster::{
        self,
        build::{CLUSTER_LABEL, MANAGED_BY, MANAGED_BY_LABEL},
    },
    context::{Context, measured, retry},
    crd::{BrokerCluster, ConsumerGroup, Topic},
    events::Events,
    fleet::Fleets,
    group::{self, Groups},
    lag::{Counter, metrics::Board},
    lease::Candidate,
    metrics::Metrics,
    settings::{Scope, Settings},
    topic::{self, Topics},
};

/// Objects of a kind that are reconciled at once.
const CONCURRENCY: u16 = 8;
/// Changes of an object that follow each other faster are reconciled together.
const DEBOUNCE: Duration = Duration::from_millis(100);
/// How long the controllers may take to end.
const DRAIN: Duration = Duration::from_secs(10);

/// Why the operator ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// There is no usable configuration, or the API server refuses.
    #[error("the Kubernetes API cannot be used: {0}")]
    Kubernetes(#[source] Box<kube::Error>),
    /// The custom resources are not installed.
    #[error(
        "the cluster does not know {kind} of rocketmq.gantry.rs/v1alpha1: apply the files in crds/, or install the chart with crds.install=true"
    )]
    NotInstalled {
        /// The kind that is missing.
        kind: String,
    },
    /// The admin port cannot be bound.
    #[error(transparent)]
    Admin(#[from] io::Error),
    /// A metric was registered twice.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    /// Another replica leads, or the API server could not be asked for too long.
    #[error("the lead is lost: another replica takes over")]
    LeadLost,
}

impl RunError {
    /// The process's exit code, as in `sysexits.h`.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Kubernetes(_) | Self::NotInstalled { .. } => 69,
            Self::Admin(_) => 71,
            Self::Metrics(_) => 70,
            Self::LeadLost => 75,
        }
    }
}

/// Runs until `tasks` is told to end.
///
/// # Errors
/// When it could not start, or another replica has taken the lead.
pub async fn run(
    settings: &Settings,
    client: Client,
    tasks: &Tasks,
    registry: &Registry,
) -> Result<(), RunError> {
    let health = Health::new();
    let connected = health.latch("the Kubernetes API");
    let metrics = Metrics::new(registry)?;
    let board = Board::new()?;
    registry.register(Box::new(board.clone()))?;
    let address = admin::serve(settings.admin, registry.clone(), health, tasks).await?;
    tracing::info!(%address, identity = settings.identity, "operator started");
    check_installed(&client, settings).await?;

    let name = (settings.lease_namespace.as_str(), settings.lease_name.as_str());
    let candidate = Candidate::new(client.clone(), name.0, name.1, &settings.identity);
    let won = tokio::select! {
        won = candidate.win(|| connected.release()) => won,
        () = tasks.token().cancelled() => return Ok(()),
    };
    tracing::info!(identity = settings.identity, "this replica leads");
    metrics.leader.set(1);
    let leading = tasks.child("leader");
    lead(settings, &client, &metrics, &board, &leading);
    let lost = tokio::select! {
        () = candidate.hold(won) => true,
        () = tasks.token().cancelled() => false,
    };
    metrics.leader.set(0);
    if let Err(stragglers) = leading.shutdown(DRAIN).await {
        tracing::warn!(%stragglers, "controllers cut off");
    }
    if lost {
        return Err(RunError::LeadLost);
    }
    if let Err(error) = candidate.give_back().await {
        tracing::warn!(%error, "the lease was not given back; it runs out by itself");
    }
    Ok(())
}

fn lead(settings: &Settings, client: &Client, metrics: &Metrics, board: &Board, tasks: &Tasks) {
    let fleets = Arc::new(Fleets::new(tasks));
    let context = Arc::new(Context {
        client: client.clone(),
        writer: Writer::new(client.clone(), metrics.clone()),
        events: Events::new(client.clone(), &settings.identity),
        metrics: metrics.clone(),
        images: settings.images(),
        fleets: Arc::clone(&fleets),
    });
    for scope in settings.scopes() {
        let clusters = clusters(&scope, &context, tasks);
        topics(&scope, &context, tasks);
        let groups = groups(&scope, &context, tasks);
        let board = board.clone();
        let counter = Counter { clusters, groups, fleets: Arc::clone(&fleets), board };
        tasks.spawn("backlog", counter.run(tasks.token().clone()));
    }
}

fn config() -> ControllerConfig {
    ControllerConfig::default().concurrency(CONCURRENCY).debounce(DEBOUNCE)
}

fn clusters(scope: &Scope, context: &Arc<Context>, tasks: &Tasks) -> Store<BrokerCluster> {
    let client = &context.client;
    let ours = Config::default().labels(&format!("{MANAGED_BY_LABEL}={MANAGED_BY}"));
    let controller = Controller::new(api::<BrokerCluster>(client, scope), Config::default())
        .with_config(config())
        .owns(api::<StatefulSet>(client, scope), ours.clone())
        .owns(api::<Service>(client, scope), ours.clone())
        .owns(api::<ConfigMap>(client, scope), ours.clone())
        .owns(api::<PodDisruptionBudget>(client, scope), ours.clone())
        .watches(api::<Pod>(client, scope), ours, |pod| {
            let name = pod.labels().get(CLUSTER_LABEL).cloned();
            let namespace = pod.namespace().unwrap_or_default();
            name.map(|name| ObjectRef::<BrokerCluster>::new(&name).within(&namespace))
        })
        .graceful_shutdown_on(tasks.token().clone().cancelled_owned());
    let store = controller.store();
    let reconcile = |object, context: Arc<Context>| {
        let metrics = context.metrics.clone();
        Box::pin(measured::<BrokerCluster, _>(metrics, cluster::reconcile(object, context)))
    };
    let run = controller.run(reconcile, retry, Arc::clone(context)).for_each(|_| ready(()));
    tasks.spawn("brokerclusters", run);
    store
}

fn topics(scope: &Scope, context: &Arc<Context>, tasks: &Tasks) {
    let client = &context.client;
    let controller = Controller::new(api::<Topic>(client, scope), Config::default());
    let all = controller.store();
    let of_cluster = all.clone();
    let controller = controller
        .with_config(config())
        .watches(api::<BrokerCluster>(client, scope), Config::default(), move |cluster| {
            let named = |topic: &Topic| topic.spec.cluster_ref.name == cluster.name_any();
            members(&of_cluster, &cluster, named)
        })
        .graceful_shutdown_on(tasks.token().clone().cancelled_owned());
    let topics = Arc::new(Topics { base: Arc::clone(context), all });
    let reconcile = |object, topics: Arc<Topics>| {
        let metrics = topics.base.metrics.clone();
        Box::pin(measured::<Topic, _>(metrics, topic::reconcile(object, topics)))
    };
    tasks.spawn("topics", controller.run(reconcile, retry, topics).for_each(|_| ready(())));
}

fn groups(scope: &Scope, context: &Arc<Context>, tasks: &Tasks) -> Store<ConsumerGroup> {
    let client = &context.client;
    let controller = Controller::new(api::<ConsumerGroup>(client, scope), Config::default());
    let all = controller.store();
    let of_cluster = all.clone();
    let controller = controller
        .with_config(config())
        .watches(api::<BrokerCluster>(client, scope), Config::default(), move |cluster| {
            let named = |group: &ConsumerGroup| group.spec.cluster_ref.name == cluster.name_any();
            members(&of_cluster, &cluster, named)
        })
        .graceful_shutdown_on(tasks.token().clone().cancelled_owned());
    let groups = Arc::new(Groups { base: Arc::clone(context), all: all.clone() });
    let reconcile = |object, groups: Arc<Groups>| {
        let metrics = groups.base.metrics.clone();
        Box::pin(measured::<ConsumerGroup, _>(metrics, group::reconcile(object, groups)))
    };
    tasks.spawn("consumergroups", controller.run(reconcile, retry, groups).for_each(|_| ready(())));
    all
}

/// The objects in the cluster's namespace that name it.
fn members<K: Object>(
    store: &Store<K>,
    cluster: &BrokerCluster,
    named: impl Fn(&K) -> bool,
) -> Vec<ObjectRef<K>> {
    let state = store.state();
    let found = state.iter().filter(|o| o.namespace() == cluster.namespace() && named(o));
    found.map(|object| ObjectRef::from_obj(object.as_ref())).collect()
}

fn api<K: Object>(client: &Client, scope: &Scope) -> Api<K> {
    match scope {
        Scope::All => Api::all(client.clone()),
        Scope::Namespace(name) => Api::namespaced(client.clone(), name),
    }
}

/// A controller of a kind that is not installed would wait without a word.
async fn check_installed(client: &Client, settings: &Settings) -> Result<(), RunError> {
    for scope in settings.scopes() {
        let found =
            api::<BrokerCluster>(client, &scope).list(&ListParams::default().limit(1)).await;
        match found {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {
                let kind = BrokerCluster::kind(&()).into_owned();
                return Err(RunError::NotInstalled { kind });
            }
            Err(error) => return Err(RunError::Kubernetes(Box::new(error))),
        }
    }
    Ok(())
}
