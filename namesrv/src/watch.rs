//! What happens without being asked: silent brokers are removed, and the members of a group are told
//! when its smallest id changes.

use std::{sync::Arc, time::Duration};

use gantry_remoting::{
    net::{NoRequests, Pool},
    wire::{Body, RequestCode, request::namesrv::NotifyMinBrokerIdChange},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{routes::SmallestChanged, service::State};

/// Searches for silent brokers every `scanNotActiveBrokerInterval`.
pub(crate) async fn expire(state: Arc<State>, stop: CancellationToken) {
    loop {
        let pause = Duration::from_millis(state.settings().scan_interval);
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
        expire_once(&state);
    }
}

fn expire_once(state: &State) {
    let policy = state.settings().policy();
    let (links, changes) = state.routes.write().expire(policy, state.now());
    for link in links {
        let peer = state.links.lock().remove(&link);
        state.metrics.expired.inc();
        if let Some(peer) = peer {
            tracing::warn!(peer = %peer.remote(), "a broker was silent for too long");
            peer.close();
        }
    }
    state.announce(changes);
    state.measure();
}

/// Tells brokers about new smallest ids, one after the other; one that does not answer costs the pool's
/// time-out.
pub(crate) async fn announce(
    pool: Pool<NoRequests>,
    mut changes: mpsc::Receiver<SmallestChanged>,
    stop: CancellationToken,
) {
    while let Some(Some(change)) = stop.run_until_cancelled(changes.recv()).await {
        tracing::info!(group = %change.group, id = change.id.0, "smallest broker id changed");
        for addr in &change.tell {
            let told = stop.run_until_cancelled(tell(&pool, addr, &change)).await;
            if told.is_none() {
                return;
            }
        }
    }
}

async fn tell(pool: &Pool<NoRequests>, addr: &str, change: &SmallestChanged) {
    let header = NotifyMinBrokerIdChange {
        min_broker_id: Some(change.id),
        broker_name: Some(&change.group),
        min_broker_addr: Some(&change.addr),
        offline_broker_addr: change.left.as_deref(),
        ha_broker_addr: change.ha.as_deref(),
    };
    let request = (RequestCode::NOTIFY_MIN_BROKER_ID_CHANGE, &header, Body::Empty);
    if let Err(error) = pool.oneway(addr, request).await {
        tracing::warn!(broker = addr, %error, "could not tell the smallest broker id");
    }
}
