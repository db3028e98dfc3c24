//! The key-value configuration: small tables that administrators keep at the NameServer.
//!
//! On disk `{"configTable":{namespace:{key:value}}}`, as in Java. Bounded in bytes, because anybody
//! who can connect may add to it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits;

/// The namespace that says how orderly topics are spread: topic to `broker-a:4;broker-b:4`.
pub const ORDER_TOPICS: &str = "ORDER_TOPIC_CONFIG";

/// All tables, by namespace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kv {
    #[serde(rename = "configTable", default)]
    tables: BTreeMap<String, BTreeMap<String, String>>,
}

/// One change to the tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Stores a value.
    Put {
        /// The table.
        namespace: String,
        /// The key.
        key: String,
        /// The value.
        value: String,
    },
    /// Deletes a value; there may be none.
    Delete {
        /// The table.
        namespace: String,
        /// The key.
        key: String,
    },
}

/// The tables hold as much as they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key-value configuration may hold {} bytes", limits::KV_BYTES)]
pub struct Full;

impl Kv {
    /// A value, if there is one.
    #[must_use]
    pub fn value(&self, namespace: &str, key: &str) -> Option<&str> {
        Some(self.tables.get(namespace)?.get(key)?.as_str())
    }

    /// A table, if anything was ever stored in it.
    #[must_use]
    pub fn table(&self, namespace: &str) -> Option<&BTreeMap<String, String>> {
        self.tables.get(namespace)
    }

    /// Makes one change.
    ///
    /// # Errors
    /// When a value does not fit; nothing has changed then.
    pub fn apply(&mut self, change: &Change) -> Result<(), Full> {
        match change {
            Change::Put { namespace, key, value } => {
                let known = self.value(namespace, key).map_or(0, |v| key.len() + v.len());
                let bytes = self.bytes() - known + key.len() + value.len();
                let new_table =
                    if self.tables.contains_key(namespace) { 0 } else { namespace.len() };
                if bytes + new_table > limits::KV_BYTES {
                    return Err(Full);
                }
                let table = self.tables.entry(namespace.clone()).or_default();
                table.insert(key.clone(), value.clone());
            }
            Change::Delete { namespace, key } => {
                if let Some(table) = self.tables.get_mut(namespace) {
                    table.remove(key);
                }
            }
        }
        Ok(())
    }

    fn bytes(&self) -> usize {
        let tables = self.tables.iter();
        tables
            .map(|(name, table)| {
                name.len() + table.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>()
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &str, value: &str) -> Change {
        let (namespace, key) = ("ns".to_owned(), key.to_owned());
        Change::Put { namespace, key, value: value.to_owned() }
    }

    #[test]
    fn values_come_and_go_and_the_file_is_that_of_java() {
        let mut kv = Kv::default();
        kv.apply(&put("b", "2")).unwrap();
        kv.apply(&put("a", "0")).unwrap();
        kv.apply(&put("a", "1")).unwrap();
        let text = r#"{"configTable":{"ns":{"a":"1","b":"2"}}}"#;
        assert_eq!(serde_json::to_string(&kv).unwrap(), text);
        assert_eq!(serde_json::from_str::<Kv>(text).unwrap(), kv);
        kv.apply(&Change::Delete { namespace: "ns".into(), key: "a".into() }).unwrap();
        assert_eq!((kv.value("ns", "a"), kv.value("ns", "b")), (None, Some("2")));
        assert_eq!(kv.table("none"), None);
    }

    #[test]
    fn the_tables_are_bounded() {
        let mut kv = Kv::default();
        let half = "x".repeat(limits::KV_BYTES / 2 - 2);
        kv.apply(&put("a", &half)).unwrap();
        kv.apply(&put("a", &half)).unwrap();
        assert_eq!(kv.apply(&put("b", &"x".repeat(limits::KV_BYTES / 2))), Err(Full));
        assert_eq!(kv.value("ns", "b"), None);
        kv.apply(&put("b", &half)).unwrap();
    }
}
