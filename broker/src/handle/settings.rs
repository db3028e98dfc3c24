//! The broker's settings and how it does: requests 25, 26 and 28, and the files that slaves copy.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use gantry_chassis::settings::Settings as _;
use gantry_remoting::wire::{
    Answer, Frame,
    body::{self, KvTable},
    request::admin::GetBrokerConfigReply,
};

use super::Call;
use crate::{broker::Broker, config, refusal::Refusal};

/// Shows all settings as `name=value` lines.
pub fn show(call: &mut Call<'_>) {
    let text = call.broker.settings.load().print();
    let version = call.broker.topics.snapshot().version;
    let version = String::from_utf8(body::to_fastjson(&version)).unwrap_or_default();
    let mut answer = Answer::with(GetBrokerConfigReply { version: Some(&version) });
    answer.body = text.as_bytes().into();
    call.out.reply(call.to, answer);
}

/// Changes settings, all or none. They last until the process ends: broker.conf is not written.
pub fn update(call: &mut Call<'_>, frame: &Frame<'_>) {
    let result = change(call.broker, frame.body());
    call.answer(result.map(|()| Answer::ok()));
}

fn change(broker: &Broker, text: &[u8]) -> Result<(), Refusal> {
    let text = std::str::from_utf8(text).map_err(Refusal::body)?;
    let before = broker.settings.load_full();
    let (next, complaints) = before.updated(text).map_err(|error| match error {
        config::UpdateError::Forbidden => Refusal::permission(error),
        config::UpdateError::NeedsRestart(_) | config::UpdateError::Unusable(_) => {
            Refusal::system(error)
        }
    })?;
    for complaint in complaints {
        tracing::warn!("update of the settings: {}", config::sentence(&complaint));
    }
    broker.settings.store(next.into());
    // What connections remember of topics may be out of date, and what NameServers know, too.
    broker.topics.touch(broker.now());
    tracing::info!("settings were changed");
    Ok(())
}

/// How the broker does, in the words that `mqadmin clusterList` and `brokerStatus` look for.
pub fn runtime_info(call: &mut Call<'_>) {
    let table = KvTable { table: facts(call.broker) };
    call.answer(Ok(Answer::body(body::to_fastjson(&table))));
}

fn facts(broker: &Broker) -> BTreeMap<String, String> {
    let metrics = &broker.metrics;
    let (put, get) =
        (metrics.put_total.load(Ordering::Relaxed), metrics.get_total.load(Ordering::Relaxed));
    let (bytes, failed) =
        (metrics.put_bytes.load(Ordering::Relaxed), metrics.put_failed.load(Ordering::Relaxed));
    let up = broker.now().since(broker.booted).max(1);
    // Java shows three windows; here all three are the mean since the start.
    let rate = |n: u64| {
        let rate = n.saturating_mul(1000) / up;
        format!("{rate} {rate} {rate}")
    };
    let (written, flushed) = (broker.store.written(), broker.store.flushed());
    let facts: [(&str, String); 24] = [
        ("brokerVersionDesc", format!("Gantry {}", env!("CARGO_PKG_VERSION"))),
        ("brokerVersion", gantry_remoting::wire::VERSION.to_string()),
        ("brokerActive", "true".into()),
        ("bootTimestamp", broker.booted.to_string()),
        ("runtime", format!("[ {} ms ]", up)),
        ("msgPutTotalYesterdayMorning", "0".into()),
        ("msgPutTotalTodayMorning", "0".into()),
        ("msgPutTotalTodayNow", put.to_string()),
        ("msgGetTotalYesterdayMorning", "0".into()),
        ("msgGetTotalTodayMorning", "0".into()),
        ("msgGetTotalTodayNow", get.to_string()),
        ("putTps", rate(put)),
        ("getFoundTps", rate(get)),
        ("getMissTps", rate(0)),
        ("getTotalTps", rate(get)),
        ("getTransferredTps", rate(get)),
        ("putMessageSizeTotal", bytes.to_string()),
        ("putMessageTimesTotal", put.to_string()),
        ("putMessageFailedTimes", failed.to_string()),
        ("putMessageAverageSize", (bytes / put.max(1)).to_string()),
        ("commitLogMinOffset", broker.store.min_position().to_string()),
        ("commitLogMaxOffset", written.to_string()),
        ("dispatchBehindBytes", "0".into()),
        ("remainHowManyDataToFlush", format!("{} B", written.since(flushed))),
    ];
    let mut table: BTreeMap<String, String> =
        facts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    for key in ["sendThreadPoolQueueSize", "pullThreadPoolQueueSize", "pageCacheLockTimeMills"] {
        table.insert(key.to_owned(), "0".to_owned());
    }
    for key in ["sendThreadPoolQueueHeadWaitTimeMills", "pullThreadPoolQueueHeadWaitTimeMills"] {
        table.insert(key.to_owned(), "0".to_owned());
    }
    table
}

/// The offsets of all groups, as consumerOffset.json has them.
pub fn all_offsets(call: &mut Call<'_>) {
    let text = call.broker.offsets.to_json().map_err(Refusal::system);
    call.answer(text.map(Answer::body));
}

/// How far delayed messages were delivered, as delayOffset.json has it.
pub fn delay_offsets(call: &mut Call<'_>) {
    let text = call.broker.delay_offsets.to_json().map_err(Refusal::system);
    call.answer(text.map(Answer::body));
}
