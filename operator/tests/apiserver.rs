//! The operator against a real API server with its real controllers, but without nodes.
//!
//! A task plays the kubelet: it reports pods as ready, and those with the image `broken` as unable to
//! pull it. The API server is that of KUBECONFIG_LIGHT, or one of its own that ends with the test.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "all of this file is a test: what is not there fails it"
)]

use std::{
    fmt::Debug,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use clap::Parser;
use futures::{StreamExt, TryStreamExt};
use gantry_chassis::Tasks;
use gantry_operator::{
    apply::Object,
    condition,
    crd::{BrokerCluster, Topic, definitions},
    run::run,
    settings::Settings,
};
use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        coordination::v1::Lease,
        core::v1::{ConfigMap, Namespace, Pod, Service},
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{
        WatchStreamExt,
        wait::{await_condition, conditions},
        watcher,
    },
};
use serde_json::{Value, json};

/// Longest wait for anything, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);
const NAMESPACE: &str = "shop";

/// An API server that ends with this value.
struct Server {
    kubeconfig: PathBuf,
    folder: Option<PathBuf>,
}

impl Server {
    fn start() -> Self {
        if let Ok(given) = std::env::var("KUBECONFIG_LIGHT") {
            return Self { kubeconfig: given.into(), folder: None };
        }
        let folder = std::env::temp_dir().join(format!("gantry-api-{}", std::process::id()));
        let started = script("light").arg(&folder).output().unwrap();
        assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
        let kubeconfig = String::from_utf8(started.stdout).unwrap().trim().into();
        Self { kubeconfig, folder: Some(folder) }
    }

    async fn client(&self) -> Client {
        let kubeconfig = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
        Client::try_from(config).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            // The test has passed or failed by now; what does not end is no reason to hide that.
            drop(script("down").env("CLUSTER_DIR", folder).output());
        }
    }
}

fn script(name: &str) -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e/cluster").join(name))
}

/// Somebody who uses the operator, and sees what it does.
struct User {
    client: Client,
}

impl User {
    fn api<K: Object>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    async fn create<K: Object>(&self, object: Value) -> Result<K, kube::Error> {
        let object: K = serde_json::from_value(object).unwrap();
        self.api().create(&PostParams::default(), &object).await
    }

    async fn patch<K: Object>(&self, name: &str, patch: Value) -> Result<K, kube::Error> {
        self.api().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await
    }

    /// Waits until the object is there and `holds` of it.
    async fn until<K>(&self, name: &str, what: &str, holds: impl Fn(&K) -> bool) -> K
    where
        K: Object + Debug + Send + 'static,
    {
        let is = |object: Option<&K>| object.is_some_and(&holds);
        match tokio::time::timeout(PATIENCE, await_condition(self.api(), name, is)).await {
            Ok(found) => found.unwrap().unwrap(),
            Err(_) => {
                let is = self.api::<K>().get(name).await;
                panic!("{name}: not in time: {what}; it is {is:#?}")
            }
        }
    }

    /// Waits until the condition Ready has the reason, for the newest spec.
    async fn until_ready_is(&self, name: &str, reason: &str) -> Vec<Condition> {
        let cluster = self.until(name, reason, |cluster: &BrokerCluster| {
            condition::find(&conditions_of(cluster), condition::READY).is_some_and(|c| {
                c.reason == reason && c.observed_generation == cluster.metadata.generation
            })
        });
        conditions_of(&cluster.await)
    }
}

fn conditions_of(cluster: &BrokerCluster) -> Vec<Condition> {
    cluster.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default()
}

/// Plays the kubelet for all pods of the namespace.
async fn play_kubelet(pods: Api<Pod>) {
    let mut changes = watcher(pods.clone(), watcher::Config::default()).applied_objects().boxed();
    while let Ok(Some(pod)) = changes.try_next().await {
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let broken = container.image.as_deref() == Some("broken");
        let ready = if broken { "False" } else { "True" };
        let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
        let is = conditions.into_iter().flatten().any(|c| c.type_ == "Ready" && c.status == ready);
        if is || pod.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let waiting = json!({ "reason": "ImagePullBackOff", "message": "no such image" });
        let state = if broken { json!({ "waiting": waiting }) } else { json!({ "running": {} }) };
        let status = json!({ "status": {
            "phase": if broken { "Pending" } else { "Running" },
            "conditions": [{ "type": "Ready", "status": ready }],
            "containerStatuses": [{
                "name": container.name, "image": container.image, "imageID": "", "restartCount": 0,
                "ready": !broken, "state": state,
            }],
        } });
        let params = PatchParams::default();
        // The pod may be gone meanwhile.
        drop(pods.patch_status(&pod.name_any(), &params, &Patch::Merge(status)).await);
    }
}

fn image_of(set: &StatefulSet) -> Option<&str> {
    set.spec.template.spec.as_ref()?.containers[0].image.as_deref()
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "rocketmq.gantry.rs/v1alpha1", "kind": kind,
        "metadata": { "name": name, "namespace": NAMESPACE }, "spec": spec,
    })
}

async fn install(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in definitions() {
        let name = definition.name_any();
        let params = PatchParams::apply("test").force();
        api.patch(&name, &params, &Patch::Apply(&definition)).await.unwrap();
        await_condition(api.clone(), &name, conditions::is_crd_established()).await.unwrap();
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({ "metadata": { "name": NAMESPACE } })).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
}

fn settings() -> Settings {
    let flags = ["test", "--broker-image=b:1", "--namesrv-image=n:1", "--admin=127.0.0.1:0"];
    Settings::parse_from(flags)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_against_a_real_api_server() {
    let server = Server::start();
    let client = server.client().await;
    install(&client).await;
    let user = User { client: client.clone() };
    let tasks = Tasks::new("test");
    let kubelet = play_kubelet(user.api());
    tasks.spawn("kubelet", {
        let ended = tasks.token().clone();
        async move {
            ended.run_until_cancelled(kubelet).await;
        }
    });
    let operator = Tasks::new("operator");
    tasks.spawn("operator", {
        let (client, operator) = (client.clone(), operator.clone());
        let registry = prometheus::Registry::new();
        async move { Box::pin(run(&settings(), client, &operator, &registry)).await }
    });

    creates_and_scales(&user).await;
    refuses_what_cannot_be(&user).await;
    rolls_one_at_a_time_and_stops_at_a_failure(&user).await;
    corrects_drift(&user).await;
    writes_nothing_at_rest(&user).await;
    leaves_foreign_objects_alone(&user).await;
    deletes_in_order(&user).await;

    operator.shutdown(PATIENCE).await.unwrap();
    let leases: Api<Lease> = Api::namespaced(client, "default");
    let given_back = await_condition(leases, "gantry-operator", |lease: Option<&Lease>| {
        let spec = lease.and_then(|lease| lease.spec.as_ref());
        spec.is_some_and(|spec| spec.holder_identity.is_none())
    });
    tokio::time::timeout(PATIENCE, given_back).await.expect("the lease is given back").unwrap();
    tasks.shutdown(PATIENCE).await.unwrap();
}

async fn creates_and_scales(user: &User) {
    let spec = json!({ "nameServers": { "replicas": 2 }, "brokers": { "groups": 2 } });
    user.create::<BrokerCluster>(object("BrokerCluster", "demo", spec)).await.unwrap();
    user.until_ready_is("demo", "AllReady").await;
    let clusters = user.api::<BrokerCluster>();
    let status = clusters.get("demo").await.unwrap().status.unwrap();
    assert_eq!(status.brokers.unwrap().ready_groups, 2);
    assert_eq!(status.name_servers.unwrap().endpoint, "demo-namesrv.shop.svc:9876");
    let service = user.api::<Service>().get("demo-1").await.unwrap();
    let address = service.spec.unwrap().cluster_ip.unwrap();
    let config = user.api::<ConfigMap>().get("demo-1").await.unwrap().data.unwrap();
    assert!(config["broker.conf"].contains(&format!("brokerIP1={address}\n")));
    let scale = Patch::Merge(json!({ "spec": { "replicas": 3 } }));
    clusters.patch_scale("demo", &PatchParams::default(), &scale).await.unwrap();
    user.until::<StatefulSet>("demo-2", "it is made", |_| true).await;
    user.until_ready_is("demo", "AllReady").await;
    assert_eq!(clusters.get_scale("demo").await.unwrap().status.unwrap().replicas, 3);
}

async fn refuses_what_cannot_be(user: &User) {
    let refused = |result: Result<BrokerCluster, kube::Error>, sentence: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
    };
    let create = async |spec: Value| user.create(object("BrokerCluster", "x", spec)).await;
    let slaves = json!({ "brokers": { "slavesPerGroup": 1 } });
    refused(create(slaves).await, "replication is not available");
    let name = json!({ "brokers": { "config": { "brokerName": "x" } } });
    refused(create(name).await, "leave them out of config");
    let fewer = json!({ "spec": { "brokers": { "groups": 1 } } });
    refused(user.patch("demo", fewer).await, "groups cannot be lowered");
}

async fn rolls_one_at_a_time_and_stops_at_a_failure(user: &User) {
    let image = |image: &str| json!({ "spec": { "brokers": { "image": image } } });
    user.patch::<BrokerCluster>("demo", image("broken")).await.unwrap();
    let stuck = user.until_ready_is("demo", "PodsFailing").await;
    let stalled = condition::find(&stuck, condition::STALLED).unwrap();
    assert!(stalled.message.contains("demo-0") && stalled.message.contains("ImagePullBackOff"));
    for (name, wanted) in [("demo-0", "broken"), ("demo-1", "b:1"), ("demo-2", "b:1")] {
        let set = user.api::<StatefulSet>().get(name).await.unwrap();
        assert_eq!(image_of(&set), Some(wanted), "{name}");
    }
    user.patch::<BrokerCluster>("demo", image("b:2")).await.unwrap();
    for name in ["demo-0", "demo-1", "demo-2"] {
        user.until(name, "the new image", |set| image_of(set) == Some("b:2")).await;
    }
    user.until_ready_is("demo", "AllReady").await;
}

async fn corrects_drift(user: &User) {
    let more = json!({ "spec": { "replicas": 3 } });
    user.patch::<StatefulSet>("demo-1", more).await.unwrap();
    let one = |set: &StatefulSet| set.spec.replicas == Some(1);
    user.until("demo-1", "one replica", one).await;
    let text = json!({ "data": { "namesrv.conf": "listenPort=1" } });
    user.patch::<ConfigMap>("demo-namesrv", text).await.unwrap();
    user.until("demo-namesrv", "its own text", |map: &ConfigMap| {
        map.data.as_ref().is_some_and(|data| data["namesrv.conf"].contains("listenPort=9876"))
    })
    .await;
    user.api::<Service>().delete("demo-2-headless", &DeleteParams::default()).await.unwrap();
    let back = |service: &Service| service.metadata.deletion_timestamp.is_none();
    user.until("demo-2-headless", "it is back", back).await;
    user.until_ready_is("demo", "AllReady").await;
}

/// A look at a cluster that is as it should be changes nothing of it.
async fn writes_nothing_at_rest(user: &User) {
    let versions = async || {
        let maps = user.api::<ConfigMap>().list(&ListParams::default()).await.unwrap();
        let services = user.api::<Service>().list(&ListParams::default()).await.unwrap();
        let maps = maps.items.iter().map(ResourceExt::resource_version).collect::<Vec<_>>();
        (maps, services.items.iter().map(ResourceExt::resource_version).collect::<Vec<_>>())
    };
    let before = versions().await;
    // A new generation makes the operator look: its status says when it has.
    let template = json!({ "spec": { "brokers": { "slavesPerGroup": 0 } } });
    user.patch::<BrokerCluster>("demo", template).await.unwrap();
    user.until_ready_is("demo", "AllReady").await;
    assert_eq!(versions().await, before);
}

async fn leaves_foreign_objects_alone(user: &User) {
    let foreign = json!({ "metadata": { "name": "other-namesrv" }, "data": { "mine": "yes" } });
    let before: ConfigMap = user.create(foreign).await.unwrap();
    user.create::<BrokerCluster>(object("BrokerCluster", "other", json!({}))).await.unwrap();
    user.until_ready_is("other", "NameTaken").await;
    let after = user.api::<ConfigMap>().get("other-namesrv").await.unwrap();
    assert_eq!(after.resource_version(), before.resource_version());
}

async fn deletes_in_order(user: &User) {
    let spec = json!({ "clusterRef": { "name": "demo" } });
    user.create::<Topic>(object("Topic", "orders", spec)).await.unwrap();
    let clusters = user.api::<BrokerCluster>();
    clusters.delete("demo", &DeleteParams::default()).await.unwrap();
    let blocked = user.until("demo", "it waits for the topic", |cluster: &BrokerCluster| {
        let conditions = conditions_of(cluster);
        condition::find(&conditions, condition::READY)
            .is_some_and(|c| c.reason == "DeletionBlocked")
    });
    let uid = blocked.await.uid().unwrap();
    user.api::<Topic>().delete("orders", &DeleteParams::default()).await.unwrap();
    let gone = await_condition(clusters, "demo", conditions::is_deleted(&uid));
    tokio::time::timeout(PATIENCE, gone).await.expect("the cluster goes").unwrap();
}
