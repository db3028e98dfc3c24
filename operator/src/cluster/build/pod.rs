//! The pod of a NameServer or broker, as the restricted Pod Security Standard wants it: one container,
//! not root, no capability, a root file system that cannot be written.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{
        Capabilities, ConfigMap, ConfigMapVolumeSource, Container, ContainerPort, HTTPGetAction,
        LocalObjectReference, PodSecurityContext, PodSpec, PodTemplateSpec, Probe,
        ResourceRequirements, SeccompProfile, SecurityContext, TopologySpreadConstraint, Volume,
        VolumeMount,
    },
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};

use super::{
    ADMIN_PORT,
    labels::{self, Part},
};
use crate::{
    cluster::validate::{Extras, RESTART, ValidCluster},
    crd::{PullPolicy, Resources},
};

/// Where the volume is mounted.
pub(super) const DATA: &str = "/data";
/// Name of the volume.
pub(super) const DATA_VOLUME: &str = "data";
/// The user and group of the images.
const USER: i64 = 65532;
/// Changes with the configuration file, so that a new file restarts the pod.
const CONFIG_HASH: &str = "rocketmq.gantry.rs/config-hash";

/// What differs between the pods of the parts.
pub(super) struct Role<'a> {
    pub(super) part: Part,
    pub(super) image: &'a str,
    pub(super) command: [&'static str; 3],
    pub(super) port: i32,
    pub(super) resources: &'a Resources,
    pub(super) extras: &'a Extras,
    pub(super) service_account: String,
    /// Seconds a pod has to end in order.
    pub(super) grace: i64,
    /// Volumes besides the configuration.
    pub(super) volumes: Vec<Volume>,
}

pub(super) fn template(cluster: &ValidCluster, role: Role, config: &ConfigMap) -> PodTemplateSpec {
    PodTemplateSpec {
        metadata: Some(metadata(cluster, &role, config)),
        spec: Some(spec(cluster, role, config)),
    }
}

fn metadata(cluster: &ValidCluster, role: &Role, config: &ConfigMap) -> ObjectMeta {
    let mut labels = role.extras.labels.clone();
    labels.extend(labels::of(cluster, Some(role.part)));
    let mut annotations = role.extras.annotations.clone();
    annotations.extend([
        (CONFIG_HASH.to_owned(), hash(config)),
        ("prometheus.io/scrape".to_owned(), "true".to_owned()),
        ("prometheus.io/port".to_owned(), ADMIN_PORT.to_string()),
    ]);
    if let Some(nonce) = &cluster.restart {
        annotations.insert(RESTART.to_owned(), nonce.clone());
    }
    ObjectMeta { labels: Some(labels), annotations: Some(annotations), ..ObjectMeta::default() }
}

/// FNV-1a: it needs no library, and no two builds of the operator give different hashes.
fn hash(config: &ConfigMap) -> String {
    let bytes =
        config.data.iter().flatten().flat_map(|(name, text)| name.bytes().chain(text.bytes()));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

fn spec(cluster: &ValidCluster, role: Role, config: &ConfigMap) -> PodSpec {
    let container = container(cluster, &role);
    let mut volumes = vec![Volume {
        name: "config".to_owned(),
        config_map: Some(ConfigMapVolumeSource {
            name: config.metadata.name.clone().unwrap_or_default(),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }];
    volumes.extend(role.volumes);
    PodSpec {
        automount_service_account_token: Some(false),
        containers: vec![container],
        enable_service_links: Some(false),
        image_pull_secrets: optional(
            cluster
                .pull
                .secrets
                .iter()
                .map(|name| LocalObjectReference { name: name.clone() })
                .collect(),
        ),
        node_selector: Some(role.extras.node_selector.clone()).filter(|s| !s.is_empty()),
        priority_class_name: role.extras.priority_class.clone(),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            // Changing the owner of every file of a large store would take minutes at each start.
            fs_group_change_policy: Some("OnRootMismatch".to_owned()),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        service_account_name: Some(role.service_account),
        termination_grace_period_seconds: Some(role.grace),
        tolerations: optional(role.extras.tolerations.clone()),
        topology_spread_constraints: Some(vec![
            spread(cluster, role.part, "kubernetes.io/hostname"),
            spread(cluster, role.part, "topology.kubernetes.io/zone"),
        ]),
        volumes: Some(volumes),
        ..PodSpec::default()
    }
}

fn optional<T>(list: Vec<T>) -> Option<Vec<T>> {
    Some(list).filter(|list| !list.is_empty())
}

fn container(cluster: &ValidCluster, role: &Role) -> Container {
    let policy = cluster.pull.policy.map(|policy| match policy {
        PullPolicy::Always => "Always",
        PullPolicy::IfNotPresent => "IfNotPresent",
        PullPolicy::Never => "Never",
    });
    Container {
        name: match role.part {
            Part::NameServers => "namesrv".to_owned(),
            Part::Group(_) => "broker".to_owned(),
        },
        image: Some(role.image.to_owned()),
        image_pull_policy: policy.map(str::to_owned),
        command: Some(role.command.map(str::to_owned).into()),
        ports: Some(vec![port("remoting", role.port), port("metrics", ADMIN_PORT)]),
        // Recovery of a large store may take minutes; until it has ended only /livez answers.
        startup_probe: Some(probe("/livez", 1, 600)),
        liveness_probe: Some(probe("/livez", 10, 6)),
        readiness_probe: Some(probe("/readyz", 2, 3)),
        resources: Some(requirements(role.resources)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![
            mount(DATA_VOLUME, DATA),
            VolumeMount { read_only: Some(true), ..mount("config", "/etc/gantry") },
        ]),
        ..Container::default()
    }
}

fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String("metrics".to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        failure_threshold: Some(failures),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}

fn requirements(resources: &Resources) -> ResourceRequirements {
    ResourceRequirements {
        limits: Some(resources.limits.clone()).filter(|map: &BTreeMap<_, _>| !map.is_empty()),
        requests: Some(resources.requests.clone()).filter(|map| !map.is_empty()),
        ..ResourceRequirements::default()
    }
}

/// Spreads NameServers, and brokers of all groups, over nodes and zones as far as there are any.
fn spread(cluster: &ValidCluster, part: Part, key: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        label_selector: Some(labels::match_component(cluster, part)),
        max_skew: 1,
        topology_key: key.to_owned(),
        when_unsatisfiable: "ScheduleAnyway".to_owned(),
        ..TopologySpreadConstraint::default()
    }
}
