//! VIEW_MESSAGE_BY_ID: one stored message by its place in the log.

use gantry_remoting::wire::{Answer, request::consume::ViewMessage};
use gantry_store::{ReadError, disk::Wait};

use super::Call;
use crate::{broker::unreadable, refusal::Refusal};

/// Answers with the record as it is stored.
pub fn view(call: &mut Call<'_>, ask: &ViewMessage<'_>) {
    let position = ask.offset;
    call.later(move |broker| match broker.store.message_at(position, Wait::Disk) {
        Ok(record) => Ok(Answer::body(record)),
        Err(ReadError::NoRecord(_)) => {
            Err(Refusal::system(format_args!("can not find message by the offset, {position}")))
        }
        Err(error) => Err(unreadable(&error)),
    });
}
