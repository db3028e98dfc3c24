//! GET_ROUTEINFO_BY_TOPIC: the request that all clients send every 30 s for each of their topics.

use bytes::Bytes;
use gantry_remoting::wire::{Answer, ResponseCode, request::namesrv::GetRouteInfo};

use crate::{
    body,
    cache::Dialect,
    kv,
    routes::{Route, in_zone},
    service::{Call, State},
    settings::Settings,
};

/// The first version of the protocol's libraries that reads standard JSON: 4.9.4.
const STANDARD_JSON_SINCE: i32 = 401;

/// Where Java's answer points users.
const FAQ: &str = "\nSee https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details.";

/// Answers with the topic's route.
pub(crate) fn of_topic(header: &GetRouteInfo<'_>, call: Call<'_, '_>) {
    let settings = call.state.settings();
    if settings.wait_for_service && call.state.uptime().as_secs() < settings.wait_seconds {
        return call.refuse(ResponseCode::SYSTEM_ERROR, "name server not ready");
    }
    let standard = call.frame.version() >= STANDARD_JSON_SINCE || header.accept_standard_json_only;
    let dialect = if standard { Dialect::Standard } else { Dialect::Fastjson };
    let body = match zone(&call) {
        Some(zone) => zoned(call.state, &settings, header.topic, zone),
        None => cached(call.state, &settings, header.topic, dialect),
    };
    match body {
        Some(body) => call.out.reply(call.frame.reply_to(), Answer::body(body)),
        None => {
            let topic = header.topic;
            let remark =
                format_args!("No topic route info in name server for the topic: {topic}{FAQ}");
            call.refuse(ResponseCode::TOPIC_NOT_EXIST, remark);
        }
    }
}

/// The zone that the client wants its brokers in, if it wants that.
fn zone<'a>(call: &Call<'a, '_>) -> Option<&'a str> {
    let wants: Option<bool> = call.frame.field("__ZONE_MODE").ok().flatten();
    if wants != Some(true) {
        return None;
    }
    let zone: Option<&str> = call.frame.field("__ZONE_NAME").ok().flatten();
    zone.filter(|zone| !zone.trim().is_empty())
}

fn cached(state: &State, settings: &Settings, topic: &str, dialect: Dialect) -> Option<Bytes> {
    let (stamp, route) = {
        let routes = state.routes.read();
        let stamp = routes.stamp(topic)?;
        if let Some(body) = state.cache.find(topic, stamp, dialect) {
            state.metrics.cached_routes.inc();
            return Some(body);
        }
        (stamp, routes.route(topic, settings.policy())?)
    };
    let body = encoded(state, settings, topic, &route, dialect);
    state.cache.keep(topic, stamp, dialect, body.clone());
    Some(body)
}

/// Rare, and different for each zone: not kept. As in Java always in the old dialect.
fn zoned(state: &State, settings: &Settings, topic: &str, zone: &str) -> Option<Bytes> {
    let route = state.routes.read().route(topic, settings.policy())?;
    Some(encoded(state, settings, topic, &in_zone(route, zone), Dialect::Fastjson))
}

fn encoded(
    state: &State,
    settings: &Settings,
    topic: &str,
    route: &Route,
    dialect: Dialect,
) -> Bytes {
    let kv = state.kv.read();
    let order = settings.order_messages.then(|| kv.value(kv::ORDER_TOPICS, topic)).flatten();
    body::route(route, order, dialect)
}
