//! Brokers come, live and go.

use gantry_model::Millis;
use gantry_remoting::wire::{
    Answer, Body, ResponseCode,
    body::Form,
    request::namesrv::{
        BrokerHeartbeat, OfBroker, QueryDataVersionReply, RegisterBroker, RegisterBrokerReply,
    },
};

use crate::{
    body::{self, Announced},
    kv, limits,
    routes::{Departure, Refused, Registered, Registration},
    service::Call,
};

/// REGISTER_BROKER.
pub(crate) fn register(header: &RegisterBroker<'_>, call: Call<'_, '_>) {
    if !is_intact(header, call.frame.body()) {
        return call.refuse(ResponseCode::SYSTEM_ERROR, "crc32 not match");
    }
    let form = if header.compressed { Form::Compressed } else { Form::Plain };
    let announced = match body::registration(call.frame.body(), form, call.frame.version()) {
        Ok(announced) => announced,
        Err(error) => return call.refuse(ResponseCode::SYSTEM_ERROR, error),
    };
    // The connection is watched before the tables know it: it may close at any moment.
    call.session.is_broker = true;
    call.state.links.lock().insert(call.session.link(), call.session.peer.clone());
    let policy = call.state.settings().policy();
    let now = call.state.now();
    let registration = registration(header, &announced, &call);
    let result = call.state.routes.write().register(&registration, policy, now);
    let peer = call.session.peer.remote();
    match result {
        Ok(registered) => {
            if registered.is_new {
                let RegisterBroker { cluster_name, broker_name, broker_addr, .. } = *header;
                let (id, topics) = (header.broker_id.0, announced.topics.len());
                tracing::info!(
                    cluster_name,
                    broker_name,
                    broker_addr,
                    id,
                    topics,
                    "broker registered"
                );
                call.state.measure();
            }
            accept(registered, call);
        }
        Err(refused) => {
            tracing::warn!(%peer, broker = header.broker_name, %refused, "registration refused");
            refuse(&refused, call);
        }
    }
}

/// The checksum counts when it is given.
fn is_intact(header: &RegisterBroker<'_>, body: &[u8]) -> bool {
    match header.body_crc32.and_then(gantry_remoting::wire::MaybeNegative::get) {
        None | Some(0) => true,
        Some(crc) => crc == body::crc32(body),
    }
}

fn registration<'a>(
    header: &RegisterBroker<'a>,
    announced: &'a Announced,
    call: &Call<'_, '_>,
) -> Registration<'a> {
    Registration {
        cluster: header.cluster_name,
        group: header.broker_name,
        addr: header.broker_addr,
        id: header.broker_id,
        ha: header.ha_server_addr,
        zone: header.zone,
        timeout: header
            .heartbeat_timeout
            .filter(|t| *t > Millis::ZERO)
            .unwrap_or(limits::SILENCE_DEFAULT),
        acting_master: header.enable_acting_master,
        epoch: header.epoch,
        version: announced.version,
        topics: announced.topics.iter().map(|(topic, queues)| (topic.as_str(), *queues)).collect(),
        mappings: announced
            .mappings
            .iter()
            .map(|(topic, group, part)| (topic.as_str(), group.as_str(), part.clone()))
            .collect(),
        filter_servers: announced.filter_servers.clone(),
        link: call.session.link(),
    }
}

fn accept(registered: Registered, call: Call<'_, '_>) {
    let header = RegisterBrokerReply {
        ha_server_addr: registered.master_ha.as_deref(),
        master_addr: registered.master.as_deref(),
    };
    let order = call.state.settings().order_to_broker.then(|| {
        let kv = call.state.kv.read();
        kv.table(kv::ORDER_TOPICS).map(body::kv_table)
    });
    let body = order.flatten().map_or(Body::Empty, Body::from);
    let answer = Answer { code: ResponseCode::SUCCESS, remark: None, header, body };
    call.out.reply(call.frame.reply_to(), answer);
    call.state.announce(registered.announce);
}

fn refuse(refused: &Refused, call: Call<'_, '_>) {
    if matches!(refused, Refused::LateEpoch { .. } | Refused::LateState { .. }) {
        call.state.metrics.late_registrations.inc();
    }
    if let Refused::LateState { .. } = refused {
        // A Java broker that is late is answered as if it were not; only the tables ignore it.
        let none = RegisterBrokerReply { ha_server_addr: None, master_addr: None };
        return call.out.reply(call.frame.reply_to(), Answer::with(none));
    }
    call.refuse(ResponseCode::SYSTEM_ERROR, refused);
}

/// UNREGISTER_BROKER.
pub(crate) fn unregister(header: &OfBroker<'_>, call: Call<'_, '_>) {
    let departure = Departure {
        cluster: header.cluster_name,
        group: header.broker_name,
        addr: header.broker_addr,
        epoch: header.epoch,
    };
    let policy = call.state.settings().policy();
    let changes = call.state.routes.write().unregister(&[departure], policy, call.state.now());
    let OfBroker { cluster_name, broker_name, broker_addr, .. } = *header;
    tracing::info!(cluster_name, broker_name, broker_addr, "broker unregistered");
    call.state.announce(changes);
    call.state.measure();
    call.ok();
}

/// QUERY_DATA_VERSION: whether the broker must register again. It is a sign of life, too.
pub(crate) fn data_version(header: &OfBroker<'_>, call: Call<'_, '_>) {
    let asked = match body::read_data_version(call.frame.body()) {
        Ok(version) => version,
        Err(error) => return call.refuse(ResponseCode::SYSTEM_ERROR, error),
    };
    let known = {
        let mut routes = call.state.routes.write();
        let (cluster, addr) = (header.cluster_name, header.broker_addr);
        routes.heartbeat(cluster, addr, header.epoch, call.state.now());
        routes.version(cluster, addr)
    };
    let answer = Answer {
        code: ResponseCode::SUCCESS,
        remark: None,
        header: QueryDataVersionReply { changed: known != Some(asked) },
        body: known.map_or(Body::Empty, |version| body::data_version(version).into()),
    };
    call.out.reply(call.frame.reply_to(), answer);
}

/// BROKER_HEARTBEAT.
pub(crate) fn heartbeat(header: &BrokerHeartbeat<'_>, call: Call<'_, '_>) {
    let now = call.state.now();
    let mut routes = call.state.routes.write();
    routes.heartbeat(header.cluster_name, header.broker_addr, header.epoch, now);
    drop(routes);
    call.ok();
}
