//! StatefulSets: one for all NameServers, one for each broker group.
//!
//! A group's pod is replaced as soon as its template changes; that templates change one group at a time
//! is the business of `step`.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{
            StatefulSet, StatefulSetPersistentVolumeClaimRetentionPolicy, StatefulSetSpec,
            StatefulSetUpdateStrategy,
        },
        core::v1::{
            ConfigMap, EmptyDirVolumeSource, PersistentVolumeClaim, PersistentVolumeClaimSpec,
            Volume, VolumeResourceRequirements,
        },
    },
    apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::ObjectMeta},
};

use super::{
    BROKER_PORT, NAME_SERVER_PORT,
    labels::{self, Part},
    metadata,
    pod::{self, DATA_VOLUME, Role},
    service::headless_name,
    service_account,
};
use crate::{cluster::validate::ValidCluster, crd::Retention};

pub(super) fn name_servers(cluster: &ValidCluster, config: &ConfigMap) -> StatefulSet {
    let part = Part::NameServers;
    let role = Role {
        part,
        image: &cluster.name_servers.image,
        command: ["/gantry-namesrv", "-c", "/etc/gantry/namesrv.conf"],
        port: NAME_SERVER_PORT,
        resources: &cluster.name_servers.resources,
        extras: &cluster.name_servers.extras,
        service_account: service_account::name_servers(cluster),
        grace: 30,
        volumes: vec![Volume {
            name: DATA_VOLUME.to_owned(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity("16Mi".to_owned())),
                ..EmptyDirVolumeSource::default()
            }),
            ..Volume::default()
        }],
    };
    let spec = StatefulSetSpec {
        replicas: Some(i32::from(cluster.name_servers.replicas)),
        template: pod::template(cluster, role, config),
        ..common(cluster, part)
    };
    StatefulSet {
        metadata: metadata(cluster, Some(part), part.object(cluster)),
        spec,
        ..StatefulSet::default()
    }
}

pub(super) fn broker_group(cluster: &ValidCluster, n: u32, config: &ConfigMap) -> StatefulSet {
    let part = Part::Group(n);
    let role = Role {
        part,
        image: &cluster.brokers.image,
        command: ["/gantry-broker", "-c", "/etc/gantry/broker.conf"],
        port: BROKER_PORT,
        resources: &cluster.brokers.resources,
        extras: &cluster.brokers.extras,
        service_account: service_account::brokers(cluster),
        // Time to answer what is in flight and to write all of it to the disk.
        grace: 60,
        volumes: Vec::new(),
    };
    let spec = StatefulSetSpec {
        replicas: Some(1),
        template: pod::template(cluster, role, config),
        persistent_volume_claim_retention_policy: Some(
            StatefulSetPersistentVolumeClaimRetentionPolicy {
                when_deleted: Some(
                    match cluster.brokers.when_deleted {
                        Retention::Retain => "Retain",
                        Retention::Delete => "Delete",
                    }
                    .to_owned(),
                ),
                when_scaled: Some("Retain".to_owned()),
            },
        ),
        volume_claim_templates: Some(vec![claim(cluster, part)]),
        ..common(cluster, part)
    };
    StatefulSet {
        metadata: metadata(cluster, Some(part), part.object(cluster)),
        spec,
        ..StatefulSet::default()
    }
}

fn common(cluster: &ValidCluster, part: Part) -> StatefulSetSpec {
    StatefulSetSpec {
        // Parallel, or a pod that never becomes ready could not be replaced by a better one.
        pod_management_policy: Some("Parallel".to_owned()),
        revision_history_limit: Some(3),
        selector: labels::match_part(cluster, part),
        service_name: Some(headless_name(cluster, part)),
        update_strategy: Some(StatefulSetUpdateStrategy {
            type_: Some("RollingUpdate".to_owned()),
            ..StatefulSetUpdateStrategy::default()
        }),
        ..StatefulSetSpec::default()
    }
}

/// The claim of a broker's volume. Its labels are those that never change, since claim templates
/// cannot be changed either.
fn claim(cluster: &ValidCluster, part: Part) -> PersistentVolumeClaim {
    let storage = &cluster.brokers.storage;
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(DATA_VOLUME.to_owned()),
            labels: Some(labels::selector(cluster, part)),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([(
                    "storage".to_owned(),
                    Quantity(storage.size.clone()),
                )])),
                ..VolumeResourceRequirements::default()
            }),
            storage_class_name: storage.storage_class_name.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        ..PersistentVolumeClaim::default()
    }
}
