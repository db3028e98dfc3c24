//! Heartbeats and what follows from them: membership, lists, and requests that are passed on to clients.

use std::{sync::Arc, time::Duration};

use gantry_model::{Group, Topic};
use gantry_remoting::{
    net::{CallError, Peer},
    wire::{
        Answer, Body, Frame, RequestCode, ResponseCode,
        body::{
            self, CheckClientRequest, ConsumerData, ConsumerIdList, HeartbeatData,
            SubscriptionGroupConfig,
        },
        request::{
            client::{ConsumeMessageDirectly, GetConsumerRunningInfo, NotifyConsumerIdsChanged},
            consume::{GetConsumerListByGroup, HeartbeatReply, UnregisterClient},
        },
    },
};
use gantry_store::disk::Wait;

use super::{Call, reply};
use crate::{
    broker::{Broker, unreadable},
    consumers::{Client, Manner, Registration, is_tag},
    pull::unsupported,
    refusal::Refusal,
};

/// How long a client may take to answer what is passed on to it.
const RELAY_TIMEOUT: Duration = Duration::from_secs(10);
/// `TopicSysFlag`: a topic that units subscribe to.
const UNIT_SUB: i32 = 2;

/// A client lives, with these groups and subscriptions.
pub fn heartbeat(call: &mut Call<'_>, frame: &Frame<'_>) {
    let data: HeartbeatData = match body::parse(frame.body()) {
        Ok(data) => data,
        Err(error) => return call.answer(Err::<Answer<'_>, _>(Refusal::body(error))),
    };
    let HeartbeatData { client_id, consumer_data_set, heartbeat_fingerprint, .. } = data;
    let peer = &call.session.peer;
    let client = Client {
        connection: peer.id(),
        id: client_id,
        language: frame.language(),
        version: frame.version(),
        address: peer.remote(),
        channel: peer.clone(),
    };
    let mut sub_changed = heartbeat_fingerprint == 0;
    for consumer in consumer_data_set {
        let Ok(group) = Group::new(&consumer.group_name) else { continue };
        sub_changed |= call.broker.consumers.fingerprint(&group, heartbeat_fingerprint);
        let keeps_subscriptions = heartbeat_fingerprint != 0 && data.without_sub;
        register(call.broker, &client, &group, (consumer, keeps_subscriptions));
    }
    for producer in data.producer_data_set {
        if let Ok(group) = Group::new(&producer.group_name) {
            call.broker.producers.register(&client, &group, call.broker.now());
        }
    }
    let header = HeartbeatReply { supports_v2: Some(true), sub_changed: Some(sub_changed) };
    call.answer(Ok(Answer::with(header)));
}

fn register(
    broker: &Arc<Broker>,
    client: &Client<Peer>,
    group: &Group,
    (data, keeps_subscriptions): (ConsumerData, bool),
) {
    let Some(config) = broker.find_group(group) else { return };
    make_retry_topic(broker, group, &config, &data);
    let manner = Manner {
        consume: data.consume_type,
        model: data.message_model,
        from: data.consume_from_where,
    };
    let subscriptions = (!keeps_subscriptions).then_some(data.subscription_data_set);
    let what = Registration { group, manner, subscriptions };
    let told = broker.consumers.register(client, what, broker.now());
    tell(broker, &config, group, told);
}

/// The group's retry topic, to which its members subscribe. It is one of ordered messages if the group
/// reads one such topic.
fn make_retry_topic(
    broker: &Arc<Broker>,
    group: &Group,
    config: &SubscriptionGroupConfig,
    data: &ConsumerData,
) {
    let Some(queues) = u32::try_from(config.retry_queue_nums).ok().filter(|n| *n > 0) else {
        return;
    };
    let topic = Topic::retry_of(group);
    let flag = if data.unit_mode { UNIT_SUB } else { 0 };
    let now = broker.now();
    // With the table full, the group goes without retries; its members say so when they pull.
    let _full = broker.topics.create_for_group(&topic, queues, flag, now);
    let ordered = |sub: &body::SubscriptionData| broker.topics.is_ordered(&sub.topic);
    if data.subscription_data_set.iter().any(ordered) && !broker.topics.is_ordered(&topic) {
        broker.topics.mark_ordered(&topic, now);
    }
}

/// Tells members that their group has changed, where the broker and the group want that.
fn tell(broker: &Broker, config: &SubscriptionGroupConfig, group: &Group, members: Vec<Peer>) {
    if !config.notify_consumer_ids_changed_enable || !broker.settings.load().notify_ids_changed {
        return;
    }
    let header = NotifyConsumerIdsChanged { consumer_group: group.as_str() };
    for member in members {
        // One that is gone is told when it is back, by its own heartbeat.
        let _gone = member.oneway(RequestCode::NOTIFY_CONSUMER_IDS_CHANGED, &header, Body::Empty);
    }
}

fn tell_all(broker: &Broker, left: Vec<(Group, Vec<Peer>)>) {
    for (group, members) in left {
        let config = broker.groups.get(&group).unwrap_or_default();
        tell(broker, &config, &group, members);
    }
}

/// A client leaves one producer group, one consumer group, or both.
pub fn unregister(call: &mut Call<'_>, ask: &UnregisterClient<'_>) {
    let connection = call.session.peer.id();
    if let Some(group) = ask.producer_group.and_then(|group| Group::new(group).ok()) {
        call.broker.producers.unregister(connection, &group);
    }
    if let Some(group) = ask.consumer_group.and_then(|group| Group::new(group).ok()) {
        let left = call.broker.consumers.unregister(connection, &group);
        tell_all(call.broker, vec![(group, left)]);
    }
    call.answer(Ok(Answer::ok()));
}

/// A connection is gone, and its memberships with it.
pub fn closed(broker: &Arc<Broker>, peer: &Peer) {
    broker.producers.closed(peer.id());
    tell_all(broker, broker.consumers.closed(peer.id()));
}

/// Forgets clients that were silent for too long. Called every few seconds.
pub fn forget_silent(broker: &Arc<Broker>) {
    let (now, after) = (broker.now(), broker.fixed.channel_expiry);
    broker.producers.expire(now, after);
    tell_all(broker, broker.consumers.expire(now, after));
}

/// Which clients consume for a group.
pub fn list(call: &mut Call<'_>, ask: &GetConsumerListByGroup<'_>) {
    let consumer_id_list = call.broker.consumers.client_ids(ask.consumer_group);
    let result = if consumer_id_list.is_empty() {
        let group = ask.consumer_group;
        Err(Refusal::system(format_args!("no consumer for this group, {group}")))
    } else {
        Ok(Answer::body(body::to_fastjson(&ConsumerIdList { consumer_id_list })))
    };
    call.answer(result);
}

/// Whether a filter expression can be evaluated here.
pub fn check(call: &mut Call<'_>, frame: &Frame<'_>) {
    let result = body::parse::<CheckClientRequest>(frame.body()).map_err(Refusal::body);
    let result = result.and_then(|ask| {
        let kind = &ask.subscription_data.expression_type;
        if is_tag(kind) { Ok(Answer::ok()) } else { Err(unsupported(kind)) }
    });
    call.answer(result);
}

/// Passes on to a client: what it does.
pub fn running_info(call: &Call<'_>, ask: &GetConsumerRunningInfo<'_>) {
    let Some(member) = member(call, ask.consumer_group, ask.client_id) else { return };
    let code = RequestCode::GET_CONSUMER_RUNNING_INFO;
    relay(call, ask.client_id, member.channel.request(code, ask, Body::Empty, RELAY_TIMEOUT));
}

/// Passes on to a client: consume this message now. The broker adds the message.
pub fn consume(call: &Call<'_>, ask: &ConsumeMessageDirectly<'_>) {
    let client_id = ask.client_id.unwrap_or_default();
    let Some(member) = member(call, ask.consumer_group, client_id) else { return };
    let position = match ask.msg_id.unwrap_or_default().parse::<gantry_model::OffsetMessageId>() {
        Ok(id) => id.position,
        Err(error) => return refuse(call, Refusal::system(error)),
    };
    let (broker, peer, to) = (Arc::clone(call.broker), call.session.peer.clone(), call.to);
    let (group, client) = (ask.consumer_group.to_owned(), client_id.to_owned());
    let msg_id = ask.msg_id.map(ToOwned::to_owned);
    let inner = Arc::clone(&broker);
    broker.blocking("consume directly", move || {
        let record = match inner.store.message_at(position, Wait::Disk) {
            Ok(record) => record,
            Err(error) => return reply(&peer, to, Err::<Answer<'_>, _>(unreadable(&error))),
        };
        let parsed = gantry_model::Record::parse(&record, gantry_model::record::Check::Trust).ok();
        let topic = parsed.map(|record| record.topic);
        let flag = |name| inner.topics.get(name).map(|config| config.topic_sys_flag);
        let header = ConsumeMessageDirectly {
            consumer_group: &group,
            client_id: Some(&client),
            msg_id: msg_id.as_deref(),
            broker_name: Some(&inner.fixed.name),
            topic,
            topic_sys_flag: topic.and_then(flag),
            group_sys_flag: inner.groups.get(&group).map(|config| config.group_sys_flag),
        };
        let code = RequestCode::CONSUME_MESSAGE_DIRECTLY;
        let body = Body::Shared(record.clone());
        let answered = member.channel.request(code, &header, body, RELAY_TIMEOUT);
        pass_back(&inner, (peer, to), client, answered);
    });
}

/// The member that is asked for. Refuses the request if there is none.
fn member(call: &Call<'_>, group: &str, client_id: &str) -> Option<Client<Peer>> {
    let found = call.broker.consumers.member(group, client_id);
    if found.is_none() {
        let remark = format!("The Consumer <{group}> <{client_id}> not online");
        refuse(call, Refusal::system(remark));
    }
    found
}

fn refuse(call: &Call<'_>, refusal: Refusal) {
    reply(&call.session.peer, call.to, Err::<Answer<'_>, _>(refusal));
}

type Answered = Result<gantry_remoting::wire::Command, CallError>;

fn relay(call: &Call<'_>, client: &str, answered: impl Future<Output = Answered> + Send + 'static) {
    let back = (call.session.peer.clone(), call.to);
    pass_back(call.broker, back, client.to_owned(), answered);
}

/// Waits for the client's answer and passes it back to whoever asked.
fn pass_back(
    broker: &Arc<Broker>,
    (peer, to): (Peer, gantry_remoting::wire::ReplyTo),
    client: String,
    answered: impl Future<Output = Answered> + Send + 'static,
) {
    broker.tasks.tracker().spawn(async move {
        let result = answered.await;
        let result = match &result {
            Ok(command) => {
                let mut answer = Answer::body(command.body());
                answer.code = command.code();
                answer.remark = Some(command.remark()).filter(|remark| !remark.is_empty());
                Ok(answer)
            }
            Err(CallError::Timeout(_)) => Err(Refusal::new(
                ResponseCode::CONSUME_MSG_TIMEOUT,
                format_args!("consumer <{client}> did not answer in time"),
            )),
            Err(error) => Err(Refusal::system(format_args!("consumer <{client}>: {error}"))),
        };
        reply(&peer, to, result);
    });
}
