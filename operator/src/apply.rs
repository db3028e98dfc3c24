//! Writes to the API server: server-side apply under one field manager, deletion, status, finalizer.
//!
//! An object that has not changed since it was last applied is not applied again, so an idle operator
//! writes nothing. An object that somebody else owns is never touched.

use std::{
    collections::{HashMap, hash_map::DefaultHasher},
    fmt::Debug,
    hash::{Hash, Hasher},
};

use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, PropagationPolicy},
};
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use crate::metrics::Metrics;

/// The field manager of all that the operator writes.
pub const MANAGER: &str = "gantry-operator";
/// Holds an object back until the operator has cleaned up behind it.
pub const FINALIZER: &str = "rocketmq.gantry.rs/cleanup";

/// Why a write failed.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The name belongs to an object that the operator did not make.
    #[error(
        "{kind} {name} exists and does not belong to this object: delete or rename it, or choose another metadata.name"
    )]
    NameTaken {
        /// The kind of the object.
        kind: String,
        /// The object's name.
        name: String,
    },
    /// The API server refuses the object as it is; trying again does not help.
    #[error("the API server refuses {kind} {name}: {reason}")]
    Rejected {
        /// The kind of the object.
        kind: String,
        /// The object's name.
        name: String,
        /// In the API server's words.
        reason: String,
    },
    /// The write may succeed another time.
    #[error("writing {kind} {name}: {source}")]
    Failed {
        /// The kind of the object.
        kind: String,
        /// The object's name.
        name: String,
        /// What went wrong.
        source: Box<kube::Error>,
    },
}

/// A namespaced object with a type.
pub trait Object:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
{
}

impl<K> Object for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
{
}

/// Writes objects.
pub struct Writer {
    client: Client,
    metrics: Metrics,
    /// By uid: what was last applied, and the version it then had.
    applied: Mutex<HashMap<String, (u64, String)>>,
}

impl Writer {
    /// Writes through `client` and counts in `metrics`.
    #[must_use]
    pub fn new(client: Client, metrics: Metrics) -> Self {
        Self { client, metrics, applied: Mutex::default() }
    }

    /// Makes the object what `desired` says. `live` is the object as just observed.
    ///
    /// # Errors
    /// When the name is taken or the API server refuses or fails.
    pub async fn apply<K: Object>(&self, desired: &K, live: Option<&K>) -> Result<K, ApplyError> {
        let hash = hash(desired);
        match live {
            Some(live) => {
                let key = live.uid().unwrap_or_default();
                let version = live.resource_version().unwrap_or_default();
                if self.applied.lock().get(&key) == Some(&(hash, version)) {
                    return Ok(live.clone());
                }
            }
            None => self.check_name_is_free(desired).await?,
        }
        let params = PatchParams::apply(MANAGER).force();
        let result = self
            .api::<K>(desired)
            .patch(&desired.name_any(), &params, &Patch::Apply(desired))
            .await;
        let written = result.map_err(|e| failure(desired, e))?;
        self.metrics.api_write::<K>("apply");
        let version = written.resource_version().unwrap_or_default();
        self.applied.lock().insert(written.uid().unwrap_or_default(), (hash, version));
        Ok(written)
    }

    /// The object as it would be after [`Writer::apply`]; nothing is written.
    ///
    /// # Errors
    /// When the API server refuses or fails.
    pub async fn rehearse<K: Object>(&self, desired: &K) -> Result<K, ApplyError> {
        let params = PatchParams::apply(MANAGER).force().dry_run();
        let result = self
            .api::<K>(desired)
            .patch(&desired.name_any(), &params, &Patch::Apply(desired))
            .await;
        result.map_err(|e| failure(desired, e))
    }

    /// Deletes the object, and in the background what it owns. An object that is gone is no error.
    ///
    /// # Errors
    /// When the API server refuses or fails.
    pub async fn delete<K: Object>(&self, object: &K) -> Result<(), ApplyError> {
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        match self.api::<K>(object).delete(&object.name_any(), &params).await {
            Ok(_) => {
                self.metrics.api_write::<K>("delete");
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(e) => Err(failure(object, e)),
        }
    }

    /// Stores the status; fields that it leaves out are removed.
    ///
    /// # Errors
    /// When the API server refuses or fails.
    pub async fn status<K: Object>(
        &self,
        object: &K,
        status: &impl Serialize,
    ) -> Result<(), ApplyError> {
        let body = json!({
            "apiVersion": K::api_version(&()),
            "kind": K::kind(&()),
            "metadata": { "name": object.name_any() },
            "status": status,
        });
        let params = PatchParams::apply(MANAGER).force();
        let result = self
            .api::<K>(object)
            .patch_status(&object.name_any(), &params, &Patch::Apply(body))
            .await;
        result.map_err(|e| failure(object, e))?;
        self.metrics.api_write::<K>("status");
        Ok(())
    }

    /// Adds our finalizer if it is missing.
    ///
    /// # Errors
    /// When the API server refuses or fails, as it does if the object has changed meanwhile.
    pub async fn hold<K: Object>(&self, object: &K) -> Result<(), ApplyError> {
        if object.finalizers().iter().any(|f| f == FINALIZER) {
            return Ok(());
        }
        let mut finalizers = object.finalizers().to_vec();
        finalizers.push(FINALIZER.to_owned());
        self.finalizers(object, &finalizers).await
    }

    /// Removes our finalizer, so that a deleted object can go.
    ///
    /// # Errors
    /// When the API server refuses or fails, as it does if the object has changed meanwhile.
    pub async fn release<K: Object>(&self, object: &K) -> Result<(), ApplyError> {
        let others: Vec<String> =
            object.finalizers().iter().filter(|f| *f != FINALIZER).cloned().collect();
        if others.len() == object.finalizers().len() {
            return Ok(());
        }
        self.finalizers(object, &others).await
    }

    async fn finalizers<K: Object>(&self, object: &K, list: &[String]) -> Result<(), ApplyError> {
        // The version makes the API server refuse if somebody changed the list in between.
        let body = json!({
            "metadata": { "finalizers": list, "resourceVersion": object.resource_version() },
        });
        let params = PatchParams::default();
        let result =
            self.api::<K>(object).patch(&object.name_any(), &params, &Patch::Merge(body)).await;
        match result {
            Ok(_) => {
                self.metrics.api_write::<K>("finalizer");
                Ok(())
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(e) => Err(failure(object, e)),
        }
    }

    async fn check_name_is_free<K: Object>(&self, desired: &K) -> Result<(), ApplyError> {
        let found = self.api::<K>(desired).get_metadata_opt(&desired.name_any()).await;
        let Some(found) = found.map_err(|e| failure(desired, e))? else { return Ok(()) };
        let ours = |uid: &str| desired.owner_references().iter().any(|owner| owner.uid == uid);
        if found.owner_references().iter().any(|owner| ours(&owner.uid)) {
            return Ok(());
        }
        Err(ApplyError::NameTaken { kind: K::kind(&()).into_owned(), name: desired.name_any() })
    }

    fn api<K: Object>(&self, object: &K) -> Api<K> {
        let namespace = object.namespace().unwrap_or_default();
        Api::namespaced(self.client.clone(), &namespace)
    }
}

fn failure<K: Object>(object: &K, error: kube::Error) -> ApplyError {
    let (kind, name) = (K::kind(&()).into_owned(), object.name_any());
    if let kube::Error::Api(status) = &error
        && matches!(status.code, 400 | 403 | 422)
    {
        return ApplyError::Rejected { kind, name, reason: status.message.clone() };
    }
    ApplyError::Failed { kind, name, source: Box::new(error) }
}

fn hash(object: &impl Serialize) -> u64 {
    let mut hasher = DefaultHasher::new();
    // Maps are ordered, so equal objects have equal texts; one that has none is never skipped.
    serde_json::to_string(object).ok().hash(&mut hasher);
    hasher.finish()
}
