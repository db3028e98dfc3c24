//! The one task that writes files: the key-value configuration and changed settings.
//!
//! A change of the key-value configuration is answered, and seen by others, only when it is on the disk.

use std::{io, path::PathBuf, sync::Arc};

use gantry_chassis::{durable, settings::Settings as _};
use gantry_remoting::{
    net::Peer,
    wire::{Answer, Replies, ReplyTo, ResponseCode},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    kv::{Change, ORDER_TOPICS},
    service::{Call, State},
    settings::Settings,
};

/// One thing to write, and who waits for it.
pub(crate) struct Job {
    write: Write,
    peer: Peer,
    to: ReplyTo,
}

enum Write {
    Change(Change),
    Settings(Box<Settings>),
}

impl Job {
    /// Makes a change; it is answered when it is written.
    pub(crate) fn change(change: Change, call: Call<'_, '_>) {
        Self::enqueue(Write::Change(change), call);
    }

    /// Saves settings that are in force already; answered when they are written.
    pub(crate) fn save(settings: Settings, call: Call<'_, '_>) {
        Self::enqueue(Write::Settings(settings.into()), call);
    }

    fn enqueue(write: Write, call: Call<'_, '_>) {
        let job = Self { write, peer: call.session.peer.clone(), to: call.frame.reply_to() };
        if call.state.jobs.try_send(job).is_err() {
            call.refuse(ResponseCode::SYSTEM_BUSY, "too many changes wait to be written");
        }
    }
}

/// Writes until `stop`, and then what still waits.
pub(crate) async fn run(state: Arc<State>, mut jobs: mpsc::Receiver<Job>, stop: CancellationToken) {
    loop {
        let job = tokio::select! {
            job = jobs.recv() => job,
            () = stop.cancelled(), if !jobs.is_closed() => {
                jobs.close();
                continue;
            }
        };
        let Some(Job { write, peer, to }) = job else { return };
        let mut replies = Replies::default();
        match write {
            Write::Change(change) => store(&state, change, to, &mut replies).await,
            Write::Settings(settings) => save(*settings, to, &mut replies).await,
        }
        // Whoever asked may be gone.
        let _gone = peer.send(replies);
    }
}

async fn store(state: &Arc<State>, change: Change, to: ReplyTo, replies: &mut Replies) {
    let mut next = state.kv.read().clone();
    if let Err(full) = next.apply(&change) {
        return replies.refuse(to, ResponseCode::SYSTEM_ERROR, full);
    }
    let path = state.settings().kv_path.clone();
    let text = match serde_json::to_vec(&next) {
        Ok(text) => text,
        Err(error) => return replies.refuse(to, ResponseCode::SYSTEM_ERROR, error),
    };
    if let Err(error) = replace(path.clone(), text).await {
        tracing::error!(path = %path.display(), %error, "key-value configuration not written");
        let remark = format_args!("not stored: {}: {error}", path.display());
        return replies.refuse(to, ResponseCode::SYSTEM_ERROR, remark);
    }
    *state.kv.write() = next;
    let (Change::Put { namespace, key, .. } | Change::Delete { namespace, key }) = &change;
    tracing::info!(namespace, key, "key-value configuration changed");
    if namespace == ORDER_TOPICS {
        state.routes.write().touch();
    }
    replies.ok(to);
}

/// Settings are in force whether or not they can be written: in a container their file is often
/// read-only. The answer says so.
async fn save(settings: Settings, to: ReplyTo, replies: &mut Replies) {
    let path = settings.store_path.clone();
    match replace(path.clone(), settings.print().into_bytes()).await {
        Ok(()) => replies.ok(to),
        Err(error) => {
            let remark =
                format!("in force until the next start; not saved: {}: {error}", path.display());
            tracing::warn!("settings are {remark}");
            replies.reply(to, Answer { remark: Some(&remark), ..Answer::ok() });
        }
    }
}

async fn replace(path: PathBuf, text: Vec<u8>) -> io::Result<()> {
    tokio::task::spawn_blocking(move || durable::replace(&path, &text))
        .await
        .map_err(io::Error::other)?
}
