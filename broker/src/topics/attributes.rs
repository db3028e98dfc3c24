//! Attributes of a topic: `+key=value` sets one, `-key` removes it, separated by commas
//! (`AttributeUtil`, `TopicAttributes`). A new topic may only set.

use std::collections::BTreeMap;

use crate::refusal::Refusal;

/// Attributes that topics may have (`TopicAttributes.ALL`), and what they may be; empty means any text.
const KNOWN: [(&str, &[&str]); 4] = [
    ("queue.type", &["SimpleCQ"]),
    ("cleanup.policy", &["DELETE"]),
    ("message.type", &["NORMAL", "FIFO", "DELAY", "TRANSACTION", "UNSPECIFIED", "MIXED"]),
    ("reserve.time", &[]),
];

/// Most attributes that one topic may have.
const ATTRIBUTES_MAX: usize = 32;

/// The attributes after the changes; `before` is that of a topic that exists.
pub(super) fn changed(
    before: Option<&BTreeMap<String, String>>,
    changes: &str,
) -> Result<BTreeMap<String, String>, Refusal> {
    let mut attributes = before.cloned().unwrap_or_default();
    for change in changes.split(',').map(str::trim).filter(|change| !change.is_empty()) {
        let (op, rest) = change.split_at_checked(1).unwrap_or_default();
        let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
        match op {
            "+" => {
                check(key, value)?;
                attributes.insert(key.into(), value.into());
            }
            "-" if before.is_none() => {
                return Err(refuse("only add attribute is supported while creating topic", key));
            }
            "-" if attributes.remove(key).is_none() => {
                return Err(refuse("attempt to delete a nonexistent key", key));
            }
            "-" => {}
            _ => return Err(refuse("an attribute begins with + or -", change)),
        }
    }
    if ATTRIBUTES_MAX < attributes.len() {
        return Err(refuse("too many attributes", changes));
    }
    Ok(attributes)
}

fn check(key: &str, value: &str) -> Result<(), Refusal> {
    let Some((_, allowed)) = KNOWN.iter().find(|(known, _)| *known == key) else {
        return Err(refuse("unsupported key", key));
    };
    if value.is_empty() || !(allowed.is_empty() || allowed.contains(&value)) {
        return Err(refuse("value is not supported by this broker", &format!("{key}={value}")));
    }
    Ok(())
}

fn refuse(what: &str, which: &str) -> Refusal {
    Refusal::system(format_args!("{what}: {which}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(before: Option<(&str, &str)>, changes: &str) -> Result<String, String> {
        let before = before.map(|(key, value)| BTreeMap::from([(key.into(), value.into())]));
        changed(before.as_ref(), changes)
            .map(|after| {
                after.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
            })
            .map_err(|refusal| refusal.remark)
    }

    #[test]
    fn attributes_are_set_and_removed() {
        let fifo = Some(("message.type", "FIFO"));
        assert_eq!(check(None, "+message.type=FIFO").unwrap(), "message.type=FIFO");
        assert_eq!(check(fifo, "").unwrap(), "message.type=FIFO");
        assert_eq!(check(fifo, "-message.type").unwrap(), "");
        assert_eq!(check(fifo, " +message.type=DELAY ,").unwrap(), "message.type=DELAY");
    }

    #[test]
    fn what_cannot_work_is_refused() {
        assert!(check(None, "+cleanup.policy=COMPACTION").is_err(), "not supported yet");
        assert!(check(None, "+queue.type=BatchCQ").is_err(), "not supported yet");
        assert!(check(None, "+no.such=1").is_err());
        assert!(check(None, "-message.type").is_err());
        assert!(check(Some(("reserve.time", "1")), "-message.type").is_err());
        assert!(check(None, "message.type=FIFO").is_err());
    }
}
