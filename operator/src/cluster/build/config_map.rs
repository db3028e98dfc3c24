//! ConfigMaps: namesrv.conf of the NameServers and broker.conf of each group, with the property names
//! of Apache RocketMQ.

use std::{collections::BTreeMap, net::IpAddr};

use gantry_chassis::properties;
use k8s_openapi::api::core::v1::ConfigMap;

use super::{
    ADMIN_PORT, BROKER_PORT, NAME_SERVER_PORT, labels::Part, metadata, pod::DATA,
    service::headless_name,
};
use crate::{cluster::validate::ValidCluster, crd::Flush};

/// File of the NameServers.
pub(super) const NAME_SERVER_FILE: &str = "namesrv.conf";
/// File of a broker.
pub(super) const BROKER_FILE: &str = "broker.conf";

pub(super) fn name_servers(cluster: &ValidCluster) -> ConfigMap {
    let text = write([
        ("listenPort", NAME_SERVER_PORT.to_string()),
        ("kvConfigPath", format!("{DATA}/kvConfig.json")),
        ("metricsPromExporterPort", ADMIN_PORT.to_string()),
    ]);
    config_map(cluster, Part::NameServers, NAME_SERVER_FILE, text)
}

pub(super) fn broker_group(cluster: &ValidCluster, n: u32, address: IpAddr) -> ConfigMap {
    let brokers = &cluster.brokers;
    let flush = match brokers.flush {
        Flush::Async => "ASYNC_FLUSH",
        Flush::Sync => "SYNC_FLUSH",
    };
    // One name for all NameServers; the broker registers with every address behind it.
    let name_servers = format!(
        "{}.{}.svc:{NAME_SERVER_PORT}",
        headless_name(cluster, Part::NameServers),
        cluster.namespace
    );
    let mut text = write([
        ("brokerClusterName", cluster.broker_cluster.clone()),
        ("brokerName", cluster.broker_name(n)),
        ("brokerId", "0".to_owned()),
        ("brokerRole", "ASYNC_MASTER".to_owned()),
        ("flushDiskType", flush.to_owned()),
        ("namesrvAddr", name_servers),
        ("listenPort", BROKER_PORT.to_string()),
        ("brokerIP1", address.to_string()),
        ("storePathRootDir", format!("{DATA}/store")),
        ("fileReservedTime", brokers.retention_hours.to_string()),
        ("diskMaxUsedSpaceRatio", brokers.disk_percent.to_string()),
        ("metricsExporterType", "PROM".to_owned()),
        ("metricsPromExporterPort", ADMIN_PORT.to_string()),
    ]);
    for (key, value) in &brokers.config {
        properties::write(&mut text, key, value);
    }
    config_map(cluster, Part::Group(n), BROKER_FILE, text)
}

fn write<const N: usize>(entries: [(&str, String); N]) -> String {
    let mut text = String::new();
    for (key, value) in entries {
        properties::write(&mut text, key, &value);
    }
    text
}

fn config_map(cluster: &ValidCluster, part: Part, file: &str, text: String) -> ConfigMap {
    ConfigMap {
        metadata: metadata(cluster, Some(part), part.object(cluster)),
        data: Some(BTreeMap::from([(file.to_owned(), text)])),
        ..ConfigMap::default()
    }
}
