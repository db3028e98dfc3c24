//! The key-value configuration.

use gantry_remoting::wire::{
    Answer, ResponseCode,
    request::namesrv::{GetKvConfigReply, KvKey, KvNamespace, PutKvConfig},
};

use crate::{body, keeper::Job, kv::Change, service::Call};

/// PUT_KV_CONFIG. Answered when it is on the disk.
pub(crate) fn put(header: &PutKvConfig<'_>, call: Call<'_, '_>) {
    let change = Change::Put {
        namespace: header.namespace.to_owned(),
        key: header.key.to_owned(),
        value: header.value.to_owned(),
    };
    Job::change(change, call);
}

/// DELETE_KV_CONFIG. Answered when it is on the disk.
pub(crate) fn delete(header: &KvKey<'_>, call: Call<'_, '_>) {
    let change =
        Change::Delete { namespace: header.namespace.to_owned(), key: header.key.to_owned() };
    Job::change(change, call);
}

/// GET_KV_CONFIG.
pub(crate) fn value(header: &KvKey<'_>, call: Call<'_, '_>) {
    let kv = call.state.kv.read();
    match kv.value(header.namespace, header.key) {
        Some(value) => {
            let answer = Answer::with(GetKvConfigReply { value: Some(value) });
            call.out.reply(call.frame.reply_to(), answer);
        }
        None => {
            let KvKey { namespace, key } = header;
            let remark = format_args!("No config item, Namespace: {namespace} Key: {key}");
            call.out.refuse(call.frame.reply_to(), ResponseCode::QUERY_NOT_FOUND, remark);
        }
    }
}

/// GET_KVLIST_BY_NAMESPACE.
pub(crate) fn table(header: &KvNamespace<'_>, call: Call<'_, '_>) {
    let kv = call.state.kv.read();
    match kv.table(header.namespace) {
        Some(table) => {
            call.out.reply(call.frame.reply_to(), Answer::body(body::kv_table(table)));
        }
        None => {
            let remark = format_args!("No config item, Namespace: {}", header.namespace);
            call.out.refuse(call.frame.reply_to(), ResponseCode::QUERY_NOT_FOUND, remark);
        }
    }
}
