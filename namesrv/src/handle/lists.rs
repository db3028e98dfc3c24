//! What admin tools list: clusters, members, topics.

use gantry_remoting::wire::{
    Answer, ResponseCode,
    request::namesrv::{GetBrokerMemberGroup, GetTopicsByCluster},
};

use crate::{
    body,
    routes::{Name, UnitTopics},
    service::Call,
};

/// GET_BROKER_CLUSTER_INFO.
pub(crate) fn clusters(call: Call<'_, '_>) {
    let (groups, clusters) = {
        let routes = call.state.routes.read();
        (routes.all_groups(), routes.all_clusters())
    };
    let body = body::cluster_info(&groups, &clusters);
    call.out.reply(call.frame.reply_to(), Answer::body(body));
}

/// GET_BROKER_MEMBER_GROUP. An unknown group has no members.
pub(crate) fn members(header: &GetBrokerMemberGroup<'_>, call: Call<'_, '_>) {
    let members = call.state.routes.read().members(header.broker_name);
    let body = body::member_group(header.cluster_name, header.broker_name, &members);
    call.out.reply(call.frame.reply_to(), Answer::body(body));
}

/// GET_ALL_TOPIC_LIST_FROM_NAMESERVER.
pub(crate) fn all_topics(call: Call<'_, '_>) {
    if !call.state.settings().all_topic_list {
        return call.refuse(ResponseCode::SYSTEM_ERROR, "disable");
    }
    let topics = call.state.routes.read().all_topics();
    answer(&topics, None, call);
}

/// GET_TOPICS_BY_CLUSTER.
pub(crate) fn of_cluster(header: &GetTopicsByCluster<'_>, call: Call<'_, '_>) {
    if !call.state.settings().topic_list {
        return call.refuse(ResponseCode::SYSTEM_ERROR, "disable");
    }
    let topics = call.state.routes.read().topics_of_cluster(header.cluster);
    answer(&topics, None, call);
}

/// GET_UNIT_TOPIC_LIST and its kin.
pub(crate) fn of_units(which: UnitTopics, call: Call<'_, '_>) {
    if !call.state.settings().topic_list {
        return call.refuse(ResponseCode::SYSTEM_ERROR, "disable");
    }
    let topics = call.state.routes.read().unit_topics(which);
    answer(&topics, None, call);
}

/// GET_SYSTEM_TOPIC_LIST_FROM_NS.
pub(crate) fn system_topics(call: Call<'_, '_>) {
    let (topics, broker) = call.state.routes.read().system_topics();
    answer(&topics, broker.as_deref(), call);
}

fn answer(topics: &[Name], broker: Option<&str>, call: Call<'_, '_>) {
    let body = body::topic_list(topics, broker);
    call.out.reply(call.frame.reply_to(), Answer::body(body));
}
