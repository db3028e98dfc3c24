//! The brokers of a BrokerCluster as the operator reaches them: by the addresses of the groups'
//! Services, and the NameServers each by the name of its pod.

use std::collections::HashMap;

use gantry_chassis::Tasks;
use gantry_client::{Admin, ClientError, Settings};
use kube::{Api, Client, ResourceExt};
use parking_lot::Mutex;

use crate::{
    cluster::{
        build::{BROKER_PORT, NAME_SERVER_PORT},
        validate::NAME_SERVERS,
    },
    crd::BrokerCluster,
};

/// A broker group's master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// The brokerName.
    pub name: String,
    /// `address:port`.
    pub address: String,
}

/// The brokers of one cluster, all of which take writes.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Speaks to them.
    pub admin: Admin,
    /// The brokerClusterName.
    pub cluster: String,
    /// One for each group.
    pub brokers: Vec<Broker>,
}

/// Why there is nobody to speak to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absent {
    /// There is no such BrokerCluster, or it is being deleted and its brokers have ended.
    Gone,
    /// Not all its groups run; the text says which.
    Starting(String),
}

/// Connections to the brokers of all clusters.
pub struct Fleets {
    tasks: Tasks,
    /// By the names of the NameServers.
    admins: Mutex<HashMap<String, Admin>>,
}

impl Fleets {
    /// Connections whose tasks run in `tasks`.
    #[must_use]
    pub fn new(tasks: &Tasks) -> Self {
        Self { tasks: tasks.clone(), admins: Mutex::default() }
    }

    /// The brokers of the cluster `name`, read anew from the API server.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn find(
        &self,
        client: &Client,
        namespace: &str,
        name: &str,
    ) -> Result<Result<Fleet, Absent>, kube::Error> {
        let api: Api<BrokerCluster> = Api::namespaced(client.clone(), namespace);
        Ok(match api.get_opt(name).await? {
            Some(cluster) => self.of(&cluster),
            None => Err(Absent::Gone),
        })
    }

    /// The brokers of a cluster.
    ///
    /// # Errors
    /// When it has none, or not all run.
    pub fn of(&self, cluster: &BrokerCluster) -> Result<Fleet, Absent> {
        let brokers = match brokers(cluster) {
            // As long as they run, a Topic that goes with the cluster can be deleted on them.
            Err(Absent::Starting(_)) if cluster.metadata.deletion_timestamp.is_some() => {
                return Err(Absent::Gone);
            }
            brokers => brokers?,
        };
        let name = cluster.spec.cluster_name.clone().unwrap_or_else(|| cluster.name_any());
        Ok(Fleet { admin: self.admin(&name_servers(cluster)), cluster: name, brokers })
    }

    fn admin(&self, name_servers: &str) -> Admin {
        let mut admins = self.admins.lock();
        let make =
            || Admin::new(Settings::new(name_servers), self.tasks.tracker(), self.tasks.token());
        admins.entry(name_servers.to_owned()).or_insert_with(make).clone()
    }
}

/// Whether asking again may help, or the broker has made up its mind.
#[must_use]
pub fn is_refusal(error: &ClientError) -> bool {
    error.code().is_some_and(|_| !error.may_work_elsewhere())
}

fn brokers(cluster: &BrokerCluster) -> Result<Vec<Broker>, Absent> {
    let status = cluster.status.as_ref();
    let groups = status.map(|status| status.groups.as_slice()).unwrap_or_default();
    let wanted = usize::try_from(cluster.spec.brokers.groups).unwrap_or(usize::MAX);
    if groups.len() < wanted {
        return Err(Absent::Starting("the cluster's broker groups are being created".to_owned()));
    }
    let down: Vec<&str> =
        groups.iter().filter(|g| g.master.is_none()).map(|g| g.name.as_str()).collect();
    if !down.is_empty() {
        return Err(Absent::Starting(format!("no master takes writes in {}", down.join(", "))));
    }
    let broker = |group: &crate::crd::GroupStatus| {
        let address = group.address.as_ref()?;
        Some(Broker { name: group.name.clone(), address: format!("{address}:{BROKER_PORT}") })
    };
    Ok(groups.iter().filter_map(broker).collect())
}

/// Each NameServer by its pod's name, so that a change can be told to all of them.
fn name_servers(cluster: &BrokerCluster) -> String {
    let (name, namespace) = (cluster.name_any(), cluster.namespace().unwrap_or_default());
    let replicas = cluster.spec.name_servers.replicas.unwrap_or(NAME_SERVERS);
    let pod = |n: u8| {
        format!("{name}-namesrv-{n}.{name}-namesrv-headless.{namespace}.svc:{NAME_SERVER_PORT}")
    };
    (0..replicas).map(pod).collect::<Vec<_>>().join(";")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster::validate::tests::cluster,
        crd::{BrokerClusterStatus, GroupStatus},
    };

    fn with_groups(spec: &str, masters: &[Option<&str>]) -> BrokerCluster {
        let group = |(n, master): (usize, &Option<&str>)| GroupStatus {
            name: format!("demo-{n}"),
            master: master.map(str::to_owned),
            address: Some(format!("10.96.0.{n}")),
            revision: None,
        };
        let groups = masters.iter().enumerate().map(group).collect();
        let status = BrokerClusterStatus { groups, ..BrokerClusterStatus::default() };
        BrokerCluster { status: Some(status), ..cluster(spec) }
    }

    #[test]
    fn a_cluster_is_spoken_to_when_every_group_has_a_master() {
        let spec = "brokers: {groups: 2}";
        let up = with_groups(spec, &[Some("demo-0-0"), Some("demo-1-0")]);
        let addresses: Vec<String> =
            brokers(&up).unwrap().into_iter().map(|broker| broker.address).collect();
        assert_eq!(addresses, ["10.96.0.0:10911", "10.96.0.1:10911"]);
        let half = with_groups(spec, &[Some("demo-0-0"), None]);
        assert!(matches!(brokers(&half), Err(Absent::Starting(why)) if why.contains("demo-1")));
        let new = with_groups(spec, &[Some("demo-0-0")]);
        assert!(matches!(brokers(&new), Err(Absent::Starting(_))));
    }

    #[test]
    fn every_name_server_is_named() {
        let names = name_servers(&cluster("nameServers: {replicas: 2}"));
        assert_eq!(
            names,
            "demo-namesrv-0.demo-namesrv-headless.shop.svc:9876;demo-namesrv-1.demo-namesrv-headless.shop.svc:9876"
        );
    }
}
