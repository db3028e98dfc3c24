//! What the derived schemas need before they are installed: the default conditions, so that
//! `kubectl wait` works from an object's first second on, and no `nullable`, so that the API server
//! prunes a `null` that a template engine wrote instead of handing it to the CEL rules.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
    ValidationRule,
};
use serde_json::json;

/// The reason of a condition that the operator has not set yet.
pub const NOT_RECONCILED: &str = "NotReconciled";

/// A CEL rule on a whole object.
#[derive(Debug)]
pub struct Rule {
    /// The expression that must be true.
    pub rule: &'static str,
    /// What the user is told otherwise.
    pub message: &'static str,
}

/// The definition with the rule on the whole object and the default status of the condition `types`.
#[must_use]
pub fn finish(
    mut crd: CustomResourceDefinition,
    rule: &Rule,
    types: &[&str],
) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let Some(root) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) else {
            continue;
        };
        tidy(root);
        root.x_kubernetes_validations.get_or_insert_default().push(ValidationRule {
            rule: rule.rule.to_owned(),
            message: Some(rule.message.to_owned()),
            ..ValidationRule::default()
        });
        if let Some(status) = root.properties.as_mut().and_then(|p| p.get_mut("status")) {
            status.default = Some(JSON(json!({ "conditions": default_conditions(types) })));
        }
    }
    crd
}

fn default_conditions(types: &[&str]) -> Vec<serde_json::Value> {
    types
        .iter()
        .map(|type_| {
            json!({
                "type": type_,
                "status": "Unknown",
                "reason": NOT_RECONCILED,
                "message": "The operator has not looked at this object yet.",
                "lastTransitionTime": "1970-01-01T00:00:00Z",
            })
        })
        .collect()
}

fn tidy(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    // The API server warns of formats that it does not know; the bounds say the same.
    if schema.format.as_deref().is_some_and(|format| format.starts_with("uint")) {
        schema.format = None;
    }
    for child in schema.properties.iter_mut().flat_map(|p| p.values_mut()) {
        tidy(child);
    }
    if let Some(items) = &mut schema.items {
        match items {
            JSONSchemaPropsOrArray::Schema(one) => tidy(one),
            JSONSchemaPropsOrArray::Schemas(many) => many.iter_mut().for_each(tidy),
        }
    }
    if let Some(values) = &mut schema.additional_properties {
        match values {
            JSONSchemaPropsOrBool::Schema(one) => tidy(one),
            JSONSchemaPropsOrBool::Bool(_) => {}
        }
    }
}

/// Amounts of CPU, memory and the like by name. The pattern refuses here what the API server would
/// otherwise refuse in the Pod, where the user does not see it.
pub(crate) fn quantities(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {
            "anyOf": [{ "type": "integer" }, { "type": "string" }],
            "x-kubernetes-int-or-string": true,
            "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi|E|Ei)?$",
        }
    })
}
