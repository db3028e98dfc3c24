//! The CEL rules, run without an API server: what is refused, and with which sentence.

use serde_json::{Value, json};

use super::{definitions, schema::NOT_RECONCILED};

fn schema_of(kind: &str) -> Value {
    let definition = definitions().into_iter().find(|d| d.spec.names.kind == kind).unwrap();
    let schema = definition.spec.versions[0].schema.clone().unwrap();
    serde_json::to_value(schema.open_api_v3_schema.unwrap()).unwrap()
}

/// What the rules say of an object that replaces `old`; empty if it is accepted.
fn refusals(kind: &str, (name, spec): (&str, Value), old: Option<Value>) -> String {
    let object = |spec: Value| json!({ "metadata": { "name": name }, "spec": spec });
    let old = old.map(object);
    let result =
        kube::core::cel::Validator::new().validate(&schema_of(kind), &object(spec), old.as_ref());
    result.err().map(|errors| errors.to_string()).unwrap_or_default()
}

fn check(kind: &str, spec: Value, sentence: &str) {
    let refusal = refusals(kind, ("demo", spec.clone()), None);
    assert!(refusal.contains(sentence), "{spec} gives {refusal:?}");
}

fn check_change(kind: &str, old: Value, new: Value, sentence: &str) {
    let refusal = refusals(kind, ("demo", new.clone()), Some(old.clone()));
    assert!(refusal.contains(sentence), "{old} -> {new} gives {refusal:?}");
    let same = refusals(kind, ("demo", old.clone()), Some(old.clone()));
    assert_eq!(same, "", "{old} unchanged");
}

fn brokers(fields: Value) -> Value {
    json!({ "brokers": fields })
}

#[test]
fn what_a_broker_cluster_may_not_be() {
    let kind = "BrokerCluster";
    let all = brokers(json!({
        "groups": 2, "slavesPerGroup": 0, "flush": "Sync", "config": { "maxMessageSize": "1" },
        "storage": { "size": "1Gi", "storageClassName": "fast" }, "messageRetention": { "time": "72h" },
    }));
    assert_eq!(refusals(kind, ("demo", all), None), "");
    check(
        kind,
        brokers(json!({ "groups": 1, "slavesPerGroup": 1 })),
        "replication is not available",
    );
    for key in ["brokerId", "namesrvAddr", "brokerIP1", "flushDiskType"] {
        let spec = brokers(json!({ "groups": 1, "config": { key: "x" } }));
        check(kind, spec, "leave them out of config");
    }
    let path = brokers(json!({ "groups": 1, "config": { "storePathIndex": "/x" } }));
    check(kind, path, "storePath");
    check(kind, brokers(json!({ "groups": 1, "config": { "a b": "x" } })), "a property's name");
    let time = brokers(json!({ "groups": 1, "messageRetention": { "time": "3d" } }));
    check(kind, time, "such as 72h");
    let refusal = refusals(kind, ("9-lives", json!({})), None);
    assert!(refusal.contains("beginning with a letter"), "{refusal}");
    let refusal = refusals(kind, (&"n".repeat(41), json!({})), None);
    assert!(refusal.contains("at most 40"), "{refusal}");
}

#[test]
fn what_may_not_change_of_a_broker_cluster() {
    let kind = "BrokerCluster";
    let groups = |n: u32| brokers(json!({ "groups": n }));
    check_change(kind, groups(3), groups(2), "groups cannot be lowered");
    assert_eq!(refusals(kind, ("demo", groups(3)), Some(groups(2))), "");
    let named = |name: &str| json!({ "clusterName": name });
    check_change(kind, named("a"), named("b"), "clusterName cannot be changed");
    check_change(kind, named("a"), json!({}), "clusterName cannot be changed");
    let storage = |fields: Value| brokers(json!({ "groups": 1, "storage": fields }));
    let (small, large) = (json!({ "size": "1Gi" }), json!({ "size": "2Gi" }));
    check_change(kind, storage(small.clone()), storage(large), "size cannot be changed");
    let classy = json!({ "size": "1Gi", "storageClassName": "fast" });
    check_change(kind, storage(small), storage(classy), "storageClassName cannot be changed");
}

#[test]
fn what_a_topic_and_a_group_may_not_be() {
    let with = |fields: Value| {
        let mut spec = json!({ "clusterRef": { "name": "demo" }, "queues": 8 });
        spec.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        spec
    };
    assert_eq!(refusals("Topic", ("orders", with(json!({}))), None), "");
    check("Topic", with(json!({ "topicName": "TBW102" })), "a topic of the broker itself");
    check("Topic", with(json!({ "topicName": "RMQ_SYS_TRACE_TOPIC" })), "choose another name");
    check("Topic", with(json!({ "topicName": "%RETRY%g" })), "declare a ConsumerGroup");
    let refusal = refusals("Topic", ("a.b", with(json!({}))), None);
    assert!(refusal.contains("spec.topicName"), "{refusal}");
    assert_eq!(refusals("Topic", ("a.b", with(json!({ "topicName": "ab" }))), None), "");
    check_change(
        "Topic",
        with(json!({})),
        with(json!({ "queues": 4 })),
        "queues cannot be lowered",
    );
    let other = json!({ "clusterRef": { "name": "other" } });
    check_change("Topic", with(json!({})), with(other.clone()), "clusterRef cannot be changed");
    check_change("ConsumerGroup", with(json!({})), with(other), "clusterRef cannot be changed");
    check("ConsumerGroup", with(json!({ "groupName": "TOOLS_CONSUMER" })), "the broker itself");
}

#[test]
fn every_kind_has_conditions_from_its_first_second_on() {
    for definition in definitions() {
        let kind = definition.spec.names.kind.clone();
        let default = &schema_of(&kind)["properties"]["status"]["default"]["conditions"];
        assert_eq!(default[0]["type"], "Ready", "{kind}");
        assert_eq!(default[0]["reason"], NOT_RECONCILED, "{kind}");
    }
}
