//! One broker's settings and state.

use std::collections::BTreeMap;

use gantry_remoting::wire::body::KvTable;
use gantry_remoting::wire::{Body, NoFields, RequestCode};
use serde::Serialize;

use super::BrokerAdmin;
use crate::ClientError;
use crate::client::unreadable;

/// Settings or figures by name.
pub type Properties = BTreeMap<String, String>;

impl BrokerAdmin<'_> {
    /// The broker's settings, as `broker.conf` names them.
    pub async fn config(&self) -> Result<Properties, ClientError> {
        let code = RequestCode::GET_BROKER_CONFIG;
        let answer = self.ask(code, &NoFields).await?;
        let body = answer.body();
        let text =
            std::str::from_utf8(&body).map_err(|error| unreadable(self.address, code, error))?;
        Ok(properties(text))
    }

    /// Changes some settings; those that are not named stay.
    pub async fn update_config(&self, changes: &Properties) -> Result<(), ClientError> {
        let code = RequestCode::UPDATE_BROKER_CONFIG;
        let text: String =
            changes.iter().map(|(name, value)| format!("{name}={value}\n")).collect();
        let body = Body::Shared(text.into());
        self.client.ask(self.address, code, &NoFields, body).await.map(drop)
    }

    /// What the broker does and has: the keys of Java's `brokerStatus`.
    pub async fn runtime_info(&self) -> Result<Properties, ClientError> {
        let table: KvTable = self.body(RequestCode::GET_BROKER_RUNTIME_INFO, &NoFields).await?;
        Ok(table.table.into_iter().collect())
    }

    /// Sends a value as JSON.
    pub(super) async fn give<T: Serialize>(
        &self,
        code: RequestCode,
        value: &T,
    ) -> Result<(), ClientError> {
        let body = gantry_remoting::wire::body::to_standard(value);
        self.client.ask(self.address, code, &NoFields, body.into()).await.map(drop)
    }
}

/// Reads `name=value` lines. Comments and lines without a name are left out.
fn properties(text: &str) -> Properties {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .filter(|(name, _)| !name.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_line_by_line() {
        let read = properties("#comment\nlistenPort = 10911\n\nnamesrvAddr=a:1;b:2\n=x\nempty=\n");
        let read: Vec<_> = read.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(read, [("empty", ""), ("listenPort", "10911"), ("namesrvAddr", "a:1;b:2")]);
    }
}
