//! The server's own settings, read and changed by administrators.

use gantry_chassis::settings::Settings as _;
use gantry_remoting::wire::{Answer, ResponseCode};

use crate::{
    keeper::Job,
    service::Call,
    settings::{UpdateError, sentence},
};

/// GET_NAMESRV_CONFIG: all values as properties text.
pub(crate) fn show(call: Call<'_, '_>) {
    let text = call.state.settings().print();
    call.out.reply(call.frame.reply_to(), Answer::body(text.into_bytes()));
}

/// UPDATE_NAMESRV_CONFIG: takes the changes at once, and answers when they are written.
pub(crate) fn update(call: Call<'_, '_>) {
    let Ok(text) = std::str::from_utf8(call.frame.body()) else {
        return call.refuse(ResponseCode::SYSTEM_ERROR, "string2Properties error");
    };
    let updated = {
        let mut settings = call.state.settings.write();
        settings.updated(text).map(|(updated, complaints)| {
            *settings = updated.clone().into();
            (updated, complaints)
        })
    };
    match updated {
        Err(error @ UpdateError::Forbidden) => call.refuse(ResponseCode::NO_PERMISSION, error),
        Err(error) => call.refuse(ResponseCode::SYSTEM_ERROR, error),
        Ok((updated, complaints)) => {
            let peer = call.session.peer.remote();
            for complaint in &complaints {
                tracing::warn!(%peer, "update of settings: {}", sentence(complaint));
            }
            tracing::info!(%peer, "settings updated");
            // Routes may look different now.
            call.state.routes.write().touch();
            Job::save(updated, call);
        }
    }
}
