//! Who is connected: lists of consumers and producers for administrators.

use gantry_remoting::{
    net::Peer,
    wire::{
        Answer, ResponseCode,
        body::{
            self, ConnectionInfo, ConsumerConnection, ProducerConnection, ProducerInfo,
            ProducerTable,
        },
        request::admin::{GetConsumerConnectionList, GetProducerConnectionList},
    },
};

use super::Call;
use crate::{consumers::Client, refusal::Refusal};

fn info(client: &Client<Peer>) -> ConnectionInfo {
    ConnectionInfo {
        client_addr: client.address.to_string(),
        client_id: client.id.clone(),
        language: client.language.name().to_owned(),
        version: client.version,
    }
}

/// A consumer group's members and subscriptions.
pub fn consumers(call: &mut Call<'_>, ask: &GetConsumerConnectionList<'_>) {
    let result = match call.broker.consumers.view(ask.consumer_group) {
        None => Err(Refusal::new(
            ResponseCode::CONSUMER_NOT_ONLINE,
            format_args!("the consumer group[{}] not online", ask.consumer_group),
        )),
        Some(view) => Ok(Answer::body(body::to_fastjson(&ConsumerConnection {
            connection_set: view.members.iter().map(info).collect(),
            consume_from_where: view.manner.from,
            consume_type: view.manner.consume,
            message_model: view.manner.model,
            subscription_table: view
                .subscriptions
                .into_iter()
                .map(|(topic, subscription)| (topic, subscription.data.clone()))
                .collect(),
        }))),
    };
    call.answer(result);
}

/// A producer group's members.
pub fn producers(call: &mut Call<'_>, ask: &GetProducerConnectionList<'_>) {
    let members = call.broker.producers.members(ask.producer_group);
    let result = if members.is_empty() {
        let group = ask.producer_group;
        Err(Refusal::system(format_args!("the producer group[{group}] not exist")))
    } else {
        let connection_set = members.iter().map(info).collect();
        Ok(Answer::body(body::to_fastjson(&ProducerConnection { connection_set })))
    };
    call.answer(result);
}

/// All producers.
pub fn all_producers(call: &mut Call<'_>) {
    let groups = call.broker.producers.all();
    let data = groups.into_iter().map(|(group, members)| {
        let members = members.iter().map(|(client, seen)| ProducerInfo {
            client_id: client.id.clone(),
            language: client.language.name().to_owned(),
            last_update_timestamp: *seen,
            remote_ip: client.address.ip().to_string(),
            version: client.version,
        });
        (group.to_string(), members.collect())
    });
    let table = ProducerTable { data: data.collect() };
    call.answer(Ok(Answer::body(body::to_fastjson(&table))));
}
