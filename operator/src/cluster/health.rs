//! How far the pods of a StatefulSet are, from what the API server says of them. Pure.

use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{ContainerStatus, Pod},
    },
    jiff::{SignedDuration, Timestamp},
};
use kube::ResourceExt;

use super::step::Health;

/// How long a pod may take to become ready before it counts as failed.
const PROGRESS_DEADLINE: SignedDuration = SignedDuration::from_mins(15);

/// Reasons for which a container waits that time alone does not cure.
const FAILURES: &[&str] = &[
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// The health of a StatefulSet's pods; `pods` may contain others.
#[must_use]
pub fn of(stateful_set: Option<&StatefulSet>, pods: &[Pod], now: Timestamp) -> Health {
    let Some(set) = stateful_set else {
        return Health::Progressing("it is being created".to_owned());
    };
    if is_settled(set) {
        return Health::Settled;
    }
    let uid = set.uid().unwrap_or_default();
    let mut waiting = Vec::new();
    for pod in pods.iter().filter(|pod| pod.owner_references().iter().any(|o| o.uid == uid)) {
        if let Some(why) = failure(pod, now) {
            return Health::Failed(format!("pod {}: {why}", pod.name_any()));
        }
        if let Some(why) = obstacle(pod) {
            waiting.push(format!("pod {} {why}", pod.name_any()));
        }
    }
    if waiting.is_empty() {
        waiting.push("its pods are being replaced".to_owned());
    }
    Health::Progressing(waiting.join(", "))
}

/// Whether all pods run the newest revision and are ready, and the controller has seen the newest spec.
fn is_settled(set: &StatefulSet) -> bool {
    let wanted = set.spec.replicas.unwrap_or(1);
    set.status.as_ref().is_some_and(|status| {
        status.observed_generation >= set.metadata.generation
            && status.updated_replicas == Some(wanted)
            && status.ready_replicas.unwrap_or(0) == wanted
            && status.replicas == wanted
    })
}

/// Pods of the StatefulSet that are ready, whatever revision they run.
#[must_use]
pub fn ready_pods(set: &StatefulSet) -> u32 {
    let ready = set.status.as_ref().and_then(|status| status.ready_replicas).unwrap_or(0);
    u32::try_from(ready).unwrap_or(0)
}

/// Whether the pod is ready to serve.
#[must_use]
pub fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|(status, _)| status == "True")
}

fn condition<'a>(pod: &'a Pod, type_: &str) -> Option<(&'a str, &'a str)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|c| c.type_ == type_)?;
    Some((&found.status, found.message.as_deref().unwrap_or_default()))
}

fn containers(pod: &Pod) -> &[ContainerStatus] {
    pod.status.as_ref().and_then(|s| s.container_statuses.as_deref()).unwrap_or_default()
}

fn failure(pod: &Pod, now: Timestamp) -> Option<String> {
    for container in containers(pod) {
        let waiting = container.state.as_ref().and_then(|state| state.waiting.as_ref());
        let Some(reason) = waiting.and_then(|w| w.reason.as_deref()) else { continue };
        if FAILURES.contains(&reason) {
            let message = waiting.and_then(|w| w.message.as_deref()).unwrap_or_default();
            let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
            let exit = last.map(|t| format!(" (exit code {})", t.exit_code)).unwrap_or_default();
            return Some(format!("{reason}{exit}: {message}"));
        }
    }
    let created = pod.metadata.creation_timestamp.as_ref()?.0;
    let late = !is_ready(pod) && now.duration_since(created) > PROGRESS_DEADLINE;
    late.then(|| format!("not ready after {} minutes", PROGRESS_DEADLINE.as_mins()))
}

fn obstacle(pod: &Pod) -> Option<String> {
    if pod.metadata.deletion_timestamp.is_some() {
        return Some("is ending".to_owned());
    }
    if let Some(("False", message)) = condition(pod, "PodScheduled") {
        return Some(format!("cannot be scheduled: {message}"));
    }
    (!is_ready(pod)).then(|| "is not ready yet".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn set(status: Value) -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": { "name": "demo-0", "uid": "s-1", "generation": 2 },
            "spec": { "replicas": 1, "selector": {}, "serviceName": "x", "template": {} },
            "status": status,
        }))
        .unwrap()
    }

    fn pod(status: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {
                "name": "demo-0-0",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "demo-0", "uid": "s-1" }],
            },
            "status": status,
        }))
        .unwrap()
    }

    fn health(set_status: Value, pod_status: Value, at: &str) -> Health {
        of(Some(&set(set_status)), &[pod(pod_status)], at.parse().unwrap())
    }

    const SOON: &str = "2026-01-01T00:01:00Z";

    #[test]
    fn settled_means_that_the_newest_revision_is_seen_running_and_ready() {
        let status = json!({ "observedGeneration": 2, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1 });
        assert_eq!(health(status.clone(), json!({}), SOON), Health::Settled);
        for (field, value) in
            [("observedGeneration", 1), ("readyReplicas", 0), ("updatedReplicas", 0)]
        {
            let mut other = status.clone();
            other[field] = json!(value);
            assert!(matches!(health(other, json!({}), SOON), Health::Progressing(_)), "{field}");
        }
    }

    #[test]
    fn a_container_that_cannot_start_has_failed() {
        let waiting = json!({ "containerStatuses": [{
            "name": "broker", "image": "x", "imageID": "", "ready": false, "restartCount": 3,
            "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off" } },
            "lastState": { "terminated": { "exitCode": 64 } },
        }] });
        assert_eq!(
            health(json!({ "replicas": 1 }), waiting, SOON),
            Health::Failed("pod demo-0-0: CrashLoopBackOff (exit code 64): back-off".to_owned())
        );
    }

    #[test]
    fn a_pod_that_takes_too_long_has_failed() {
        let late = "2026-01-01T00:16:00Z";
        assert!(matches!(health(json!({ "replicas": 1 }), json!({}), late), Health::Failed(_)));
    }

    #[test]
    fn a_pod_that_cannot_be_scheduled_says_why() {
        let pending = json!({ "conditions": [{ "type": "PodScheduled", "status": "False", "message": "0/1 nodes" }] });
        assert_eq!(
            health(json!({ "replicas": 1 }), pending, SOON),
            Health::Progressing("pod demo-0-0 cannot be scheduled: 0/1 nodes".to_owned())
        );
    }
}
