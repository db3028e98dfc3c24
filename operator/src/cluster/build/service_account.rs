//! ServiceAccounts: one for the NameServers, one for the brokers. They have no rights and no token.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata;
use crate::cluster::validate::ValidCluster;

pub(super) fn all(cluster: &ValidCluster) -> Vec<ServiceAccount> {
    [name_servers(cluster), brokers(cluster)]
        .into_iter()
        .map(|name| ServiceAccount {
            metadata: metadata(cluster, None, name),
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        })
        .collect()
}

pub(super) fn name_servers(cluster: &ValidCluster) -> String {
    format!("{}-namesrv", cluster.name)
}

pub(super) fn brokers(cluster: &ValidCluster) -> String {
    format!("{}-broker", cluster.name)
}
