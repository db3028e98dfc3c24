//! Administration of consumer groups. A change is answered when it is on the disk.

use gantry_remoting::wire::{
    Answer, Frame, ResponseCode,
    body::{
        self, GroupConfigList, GroupForbidden, GroupList, SubscriptionGroupConfig,
        SubscriptionReply, TopicList,
    },
    request::admin::{
        DeleteSubscriptionGroup, GetAllSubscriptionGroup, GetAllSubscriptionGroupReply, OfGroup,
        OfTopic, QuerySubscriptionByConsumer, UpdateGroupForbidden,
    },
};

use super::Call;
use crate::{
    broker::Broker,
    refusal::{self, Refusal},
};

/// Creates or changes one group.
pub fn create(call: &mut Call<'_>, frame: &Frame<'_>) {
    match body::parse::<SubscriptionGroupConfig>(frame.body()) {
        Ok(config) => update(call, vec![config]),
        Err(error) => call.refuse(Refusal::body(error)),
    }
}

/// Creates or changes many groups; stops at the first that is refused.
pub fn create_all(call: &mut Call<'_>, frame: &Frame<'_>) {
    match body::parse::<GroupConfigList>(frame.body()) {
        Ok(list) => update(call, list.group_config_list),
        Err(error) => call.refuse(Refusal::body(error)),
    }
}

fn update(call: &Call<'_>, configs: Vec<SubscriptionGroupConfig>) {
    call.later(move |broker| {
        for config in configs {
            let group = refusal::group(&config.group_name)?;
            broker.groups.update(config, broker.now())?;
            tracing::info!(%group, "group created or changed");
        }
        broker.save()?;
        Ok(Answer::ok())
    });
}

/// Deletes a group and, where asked, its offsets.
pub fn delete(call: &mut Call<'_>, ask: &DeleteSubscriptionGroup<'_>) {
    let (group, offsets) = (ask.group_name.to_owned(), ask.clean_offset);
    call.later(move |broker| {
        let group = refusal::group(&group)?;
        broker.groups.delete(&group, broker.now());
        if offsets {
            broker.offsets.forget_group(&group);
        }
        broker.save()?;
        tracing::info!(%group, "group deleted");
        Ok(Answer::ok())
    });
}

/// One group's settings.
pub fn get(call: &mut Call<'_>, ask: &OfGroup<'_>) {
    let found = call.broker.groups.get(ask.group);
    let result = found.ok_or_else(|| Refusal::no_group(ask.group));
    call.answer(result.map(|config| Answer::body(body::to_fastjson(&*config))));
}

/// All groups' settings, or a page of them in the order of their names.
pub fn all(call: &mut Call<'_>, ask: &GetAllSubscriptionGroup<'_>) {
    let (mut file, _) = call.broker.groups.to_file();
    let total = u32::try_from(file.subscription_group_table.len()).unwrap_or(u32::MAX);
    let skip = usize::try_from(ask.group_seq.unwrap_or(0)).unwrap_or(usize::MAX);
    let most = ask.max_group_num.filter(|n| *n > 0).unwrap_or(u32::MAX);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let table = std::mem::take(&mut file.subscription_group_table);
    file.subscription_group_table = table.into_iter().skip(skip).take(most).collect();
    let mut answer = Answer::with(GetAllSubscriptionGroupReply { total_group_num: Some(total) });
    answer.body = body::to_fastjson(&file).into();
    call.answer(Ok(answer));
}

/// Which groups consume a topic: those online and those with offsets.
pub fn of_topic(call: &mut Call<'_>, ask: &OfTopic<'_>) {
    let mut groups = call.broker.consumers.groups_of(ask.topic);
    groups.extend(call.broker.offsets.groups_of(ask.topic));
    groups.sort_unstable();
    groups.dedup();
    let group_list = groups.iter().map(ToString::to_string).collect();
    call.answer(Ok(Answer::body(body::to_fastjson(&GroupList { group_list }))));
}

/// Which topics a group consumes: those with offsets.
pub fn topics_of(call: &mut Call<'_>, ask: &OfGroup<'_>) {
    let mut topics = call.broker.offsets.topics_of(ask.group);
    topics.sort_unstable();
    let topic_list = topics.iter().map(ToString::to_string).collect();
    let list = TopicList { broker_addr: Some(call.broker.address()), topic_list };
    call.answer(Ok(Answer::body(body::to_fastjson(&list))));
}

/// A group's subscription to a topic, as its members say.
pub fn subscription(call: &mut Call<'_>, ask: &QuerySubscriptionByConsumer<'_>) {
    let topic = ask.topic.unwrap_or_default();
    let found = call.broker.consumers.subscription(ask.group, topic);
    let result = match found {
        None => Err(Refusal::new(
            ResponseCode::CONSUMER_NOT_ONLINE,
            format_args!("the consumer group[{}] not online", ask.group),
        )),
        Some((_, subscription)) => Ok(Answer::body(body::to_fastjson(&SubscriptionReply {
            group: ask.group.to_owned(),
            subscription_data: subscription.map(|subscription| subscription.data.clone()),
            topic: ask.topic.map(ToOwned::to_owned),
        }))),
    };
    call.answer(result);
}

/// Allows or forbids a group to read a topic, or tells whether it may.
pub fn forbidden(call: &mut Call<'_>, ask: &UpdateGroupForbidden<'_>) {
    let (group, topic, readable) = (ask.group.to_owned(), ask.topic.to_owned(), ask.readable);
    call.later(move |broker: &std::sync::Arc<Broker>| {
        if let Some(readable) = readable {
            broker.groups.allow_reading(&group, &topic, readable.into(), broker.now());
            broker.save()?;
        }
        let readable = !broker.groups.is_read_forbidden(&group, &topic);
        let reply = GroupForbidden { group, readable, topic };
        Ok(Answer::body(body::to_fastjson(&reply)))
    });
}
