//! Administration of topics. A change is answered when it is on the disk and the NameServers know it: who
//! has created a topic asks them for its route next.

use std::time::Duration;

use gantry_model::Topic;
use gantry_remoting::wire::{
    Answer, Frame,
    body::{self, TopicConfig, TopicConfigList, TopicConfigTable, TopicFilterType, TopicList},
    request::admin::{CreateTopic, GetAllTopicConfig, GetAllTopicConfigReply, OfTopic},
};

use super::Call;
use crate::{
    broker::Broker,
    refusal::{self, Refusal},
    system,
};

/// How long an answer waits for NameServers; clients wait five seconds for it.
const ANNOUNCE_MAX: Duration = Duration::from_secs(3);

/// Creates or changes one topic.
pub fn create(call: &mut Call<'_>, ask: &CreateTopic<'_>) {
    let filter = ask.topic_filter_type.and_then(TopicFilterType::from_name);
    let config = TopicConfig {
        topic_name: ask.topic.to_owned(),
        read_queue_nums: ask.read_queue_nums,
        write_queue_nums: ask.write_queue_nums,
        perm: ask.perm,
        topic_filter_type: filter.unwrap_or_default(),
        topic_sys_flag: ask.topic_sys_flag.unwrap_or(0),
        order: ask.order,
        ..TopicConfig::default()
    };
    let attributes = ask.attributes.unwrap_or_default().to_owned();
    call.later(move |broker| {
        update(broker, config, &attributes)?;
        broker.save()?;
        broker.announced.wait(broker.topics.generation(), ANNOUNCE_MAX);
        Ok(Answer::ok())
    });
}

/// Creates or changes many topics; stops at the first that is refused.
pub fn create_all(call: &mut Call<'_>, frame: &Frame<'_>) {
    let list: TopicConfigList = match body::parse(frame.body()) {
        Ok(list) => list,
        Err(error) => return call.refuse(Refusal::body(error)),
    };
    call.later(move |broker| {
        for mut config in list.topic_config_list {
            let attributes = std::mem::take(&mut config.attributes);
            let changes: Vec<_> =
                attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
            update(broker, config, &changes.join(","))?;
        }
        broker.save()?;
        broker.announced.wait(broker.topics.generation(), ANNOUNCE_MAX);
        Ok(Answer::ok())
    });
}

fn update(broker: &Broker, config: TopicConfig, attributes: &str) -> Result<(), Refusal> {
    let topic = refusal::topic(&config.topic_name)?;
    guard(broker, &topic)?;
    broker.topics.update(config, attributes, broker.now())?;
    tracing::info!(%topic, "topic created or changed");
    Ok(())
}

fn guard(broker: &Broker, topic: &Topic) -> Result<(), Refusal> {
    if broker.settings.load().guard_system_topics && broker.is_own_topic(topic) {
        return Err(Refusal::parameter(format_args!(
            "The topic[{topic}] is conflict with system topic."
        )));
    }
    Ok(())
}

/// Deletes a topic, its queues and the groups' offsets of it. The log keeps the messages until they
/// expire.
pub fn delete(call: &mut Call<'_>, ask: &OfTopic<'_>) {
    let topic = match refusal::topic(ask.topic) {
        Ok(topic) => topic,
        Err(refusal) => return call.refuse(refusal),
    };
    call.later(move |broker| {
        guard(broker, &topic)?;
        broker.topics.delete(&topic, broker.now());
        broker.store.remove_topic(&topic).map_err(Refusal::system)?;
        broker.offsets.forget_topic(&topic);
        broker.metrics.forget_topic(&topic);
        broker.save()?;
        tracing::info!(%topic, "topic deleted");
        Ok(Answer::ok())
    });
}

/// One topic's settings.
pub fn get(call: &mut Call<'_>, ask: &OfTopic<'_>) {
    let found = call.broker.topics.get(ask.topic);
    let result = found.ok_or_else(|| Refusal::no_topic(ask.topic));
    call.answer(result.map(|config| Answer::body(body::to_fastjson(&*config))));
}

/// All topics' settings, or a page of them in the order of their names.
pub fn all(call: &mut Call<'_>, ask: &GetAllTopicConfig<'_>) {
    let mut snapshot = call.broker.topics.snapshot();
    let total = u32::try_from(snapshot.topics.len()).unwrap_or(u32::MAX);
    snapshot.topics.sort_by(|a, b| a.topic_name.cmp(&b.topic_name));
    let skip = usize::try_from(ask.topic_seq.unwrap_or(0)).unwrap_or(usize::MAX);
    let most = ask.max_topic_num.filter(|n| *n > 0).unwrap_or(u32::MAX);
    let page = snapshot.topics.iter().skip(skip).take(usize::try_from(most).unwrap_or(usize::MAX));
    let table = TopicConfigTable {
        data_version: snapshot.version,
        topic_config_table: page
            .map(|config| (config.topic_name.clone(), TopicConfig::clone(config)))
            .collect(),
    };
    let mut answer = Answer::with(GetAllTopicConfigReply { total_topic_num: Some(total) });
    answer.body = body::to_fastjson(&table).into();
    call.answer(Ok(answer));
}

/// The topics that belong to the broker.
pub fn system_list(call: &mut Call<'_>) {
    let snapshot = call.broker.topics.snapshot();
    let names = snapshot.topics.iter().map(|config| &config.topic_name);
    let mut topic_list: Vec<String> = names
        .filter(|name| system::is_system_topic(name) || call.broker.is_own_topic(name))
        .cloned()
        .collect();
    topic_list.sort_unstable();
    let list = TopicList { broker_addr: None, topic_list };
    call.answer(Ok(Answer::body(body::to_fastjson(&list))));
}
