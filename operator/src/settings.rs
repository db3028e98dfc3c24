//! What the operator is told when it starts: flags, or variables of the environment.

use std::net::SocketAddr;

use gantry_chassis::telemetry::LogArgs;

use crate::cluster::validate::Images;

/// The flags of `gantry-operator`.
#[derive(Debug, Clone, clap::Parser)]
#[command(
    name = "gantry-operator",
    version,
    about = "Runs RocketMQ clusters on Kubernetes",
    long_about = "Runs RocketMQ clusters on Kubernetes: turns BrokerCluster, Topic and ConsumerGroup objects \
                  (rocketmq.gantry.rs/v1alpha1) into NameServers, brokers, topics and groups, and measures the \
                  backlog of every consumer group.\n\n\
                  Outside a cluster it uses the current context of KUBECONFIG. Several replicas may run; one leads.",
    after_help = "Exit codes: 0 after SIGTERM or SIGINT; 2 for bad flags; 69 when the Kubernetes API cannot be used; \
                  71 when the admin port cannot be bound; 75 when another replica has taken the lead.\n\
                  Probes and metrics: /livez, /readyz and /metrics on the admin port."
)]
pub struct Settings {
    /// Namespaces to look after, comma-separated; none means all
    #[arg(long, env = "GANTRY_NAMESPACES", value_delimiter = ',', value_name = "NAMES")]
    pub namespaces: Vec<String>,
    /// Image of brokers whose BrokerCluster names none
    #[arg(long, env = "GANTRY_BROKER_IMAGE", value_name = "IMAGE")]
    pub broker_image: String,
    /// Image of NameServers whose BrokerCluster names none
    #[arg(long, env = "GANTRY_NAMESRV_IMAGE", value_name = "IMAGE")]
    pub namesrv_image: String,
    /// Namespace of the Lease by which the replicas elect their leader
    #[arg(long, env = "POD_NAMESPACE", default_value = "default", value_name = "NAME")]
    pub lease_namespace: String,
    /// Name of that Lease
    #[arg(long, env = "GANTRY_LEASE", default_value = "gantry-operator", value_name = "NAME")]
    pub lease_name: String,
    /// This replica's name; no two replicas may share one
    #[arg(long, env = "POD_NAME", default_value = "gantry-operator", value_name = "NAME")]
    pub identity: String,
    /// Where probes and metrics are served
    #[arg(long, default_value = "0.0.0.0:5557", value_name = "ADDRESS")]
    pub admin: SocketAddr,
    /// What to log, and how
    #[command(flatten)]
    pub log: LogArgs,
}

impl Settings {
    /// Images of clusters that name none.
    #[must_use]
    pub fn images(&self) -> Images {
        Images { broker: self.broker_image.clone(), name_server: self.namesrv_image.clone() }
    }

    /// The namespaces to look after, without empty names; none means all.
    pub fn scopes(&self) -> Vec<Scope> {
        let named: Vec<Scope> = self
            .namespaces
            .iter()
            .map(|name| name.trim())
            .filter(|name| !name.is_empty())
            .map(|name| Scope::Namespace(name.to_owned()))
            .collect();
        if named.is_empty() { vec![Scope::All] } else { named }
    }
}

/// Where objects are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// In all namespaces.
    All,
    /// In one.
    Namespace(String),
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[test]
    fn the_flags_are_sound() {
        Settings::command().debug_assert();
    }

    #[test]
    fn no_namespace_means_all() {
        let parse = |namespaces: &str| {
            Settings::parse_from(["x", "--broker-image=b", "--namesrv-image=n", namespaces])
                .scopes()
        };
        assert_eq!(parse("--namespaces="), [Scope::All]);
        assert_eq!(
            parse("--namespaces=a, b"),
            [Scope::Namespace("a".into()), Scope::Namespace("b".into())]
        );
    }
}
