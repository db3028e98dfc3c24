//! Topics that are announced, removed or closed to writers at the NameServer itself.

use gantry_remoting::wire::{
    Answer, ResponseCode,
    request::namesrv::{
        AddWritePermReply, DeleteTopicInNamesrv, RegisterTopic, WipeWritePermReply,
        WritePermOfBroker,
    },
};

use crate::{body, routes::Writes, service::Call};

/// REGISTER_TOPIC_IN_NAMESRV. As in Java a route without queues, or with an unknown broker, changes
/// nothing and is answered with success.
pub(crate) fn register(header: &RegisterTopic<'_>, call: Call<'_, '_>) {
    let queues = match body::queues_of_route(call.frame.body()) {
        Ok(queues) => queues,
        Err(error) => return call.refuse(ResponseCode::SYSTEM_ERROR, error),
    };
    let queues: Vec<_> = queues.iter().map(|(group, queues)| (group.as_str(), *queues)).collect();
    let added = call.state.routes.write().add_topic(header.topic, &queues);
    let peer = call.session.peer.remote();
    match added {
        Ok(()) => tracing::info!(%peer, topic = header.topic, "topic announced"),
        Err(unknown) => {
            tracing::warn!(%peer, topic = header.topic, %unknown, "topic of an unknown broker");
        }
    }
    call.ok();
}

/// DELETE_TOPIC_IN_NAMESRV.
pub(crate) fn delete(header: &DeleteTopicInNamesrv<'_>, call: Call<'_, '_>) {
    let cluster = header.cluster_name.filter(|cluster| !cluster.is_empty());
    call.state.routes.write().remove_topic(header.topic, cluster);
    tracing::info!(peer = %call.session.peer.remote(), topic = header.topic, "topic removed");
    call.ok();
}

/// WIPE_WRITE_PERM_OF_BROKER and ADD_WRITE_PERM_OF_BROKER.
pub(crate) fn writes(header: &WritePermOfBroker<'_>, writes: Writes, call: Call<'_, '_>) {
    let topics = call.state.routes.write().allow_writes(header.broker_name, writes);
    let peer = call.session.peer.remote();
    tracing::info!(%peer, broker = header.broker_name, ?writes, topics, "writes");
    let topics = u32::try_from(topics).unwrap_or(u32::MAX);
    let to = call.frame.reply_to();
    match writes {
        Writes::Refused => {
            call.out.reply(to, Answer::with(WipeWritePermReply { wipe_topic_count: topics }));
        }
        Writes::Allowed => {
            call.out.reply(to, Answer::with(AddWritePermReply { add_topic_count: topics }));
        }
    }
}
