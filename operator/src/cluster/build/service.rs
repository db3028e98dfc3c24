//! Services. Clients reach a broker group through a Service of its own, whose address the broker gives
//! to the NameServers (brokerIP1): it stays when the pod moves. The headless ones give pods names.

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{
    ADMIN_PORT, BROKER_PORT, NAME_SERVER_PORT,
    labels::{self, Part},
    metadata,
};
use crate::cluster::validate::ValidCluster;

pub(super) fn all(cluster: &ValidCluster) -> Vec<Service> {
    let parts =
        std::iter::once(Part::NameServers).chain((0..cluster.brokers.groups).map(Part::Group));
    parts.flat_map(|part| [client(cluster, part), headless(cluster, part)]).collect()
}

/// Name of the headless Service of a part.
pub(super) fn headless_name(cluster: &ValidCluster, part: Part) -> String {
    format!("{}-headless", part.object(cluster))
}

fn client(cluster: &ValidCluster, part: Part) -> Service {
    Service {
        metadata: metadata(cluster, Some(part), part.object(cluster)),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(labels::selector(cluster, part)),
            ports: Some(vec![remoting_port(part)]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn headless(cluster: &ValidCluster, part: Part) -> Service {
    Service {
        metadata: metadata(cluster, Some(part), headless_name(cluster, part)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            // A broker registers with a NameServer as soon as that listens, so that the NameServer
            // knows all brokers by the time it is ready.
            publish_not_ready_addresses: Some(true),
            selector: Some(labels::selector(cluster, part)),
            ports: Some(vec![remoting_port(part), port("metrics", ADMIN_PORT)]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn remoting_port(part: Part) -> ServicePort {
    match part {
        Part::NameServers => port("remoting", NAME_SERVER_PORT),
        Part::Group(_) => port("remoting", BROKER_PORT),
    }
}

fn port(name: &str, number: i32) -> ServicePort {
    ServicePort {
        name: Some(name.to_owned()),
        port: number,
        protocol: Some("TCP".to_owned()),
        target_port: Some(IntOrString::String(name.to_owned())),
        ..ServicePort::default()
    }
}
