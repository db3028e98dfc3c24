//! What is done for each request, one file per family. A handler reads a typed header, asks the tables
//! and the store, and writes one answer. What needs the disk or another process goes on elsewhere and
//! answers through the connection's `Peer`.

pub mod clients;
pub mod connections;
pub mod groups;
pub mod locks;
pub mod offsets;
pub mod pull;
pub mod put;
pub mod send;
pub mod send_back;
pub mod settings;
pub mod stats;
pub mod topics;
pub mod view;

use std::sync::Arc;

use gantry_remoting::{
    net::Peer,
    wire::{Answer, Header, Replies, ReplyTo},
};

use crate::{broker::Broker, refusal::Refusal, session::Session};

/// What handlers work with.
pub struct Call<'a> {
    /// The broker.
    pub broker: &'a Arc<Broker>,
    /// The connection.
    pub session: &'a mut Session,
    /// Where the answer belongs.
    pub to: ReplyTo,
    /// Where it is written.
    pub out: &'a mut Replies,
}

impl Call<'_> {
    /// Writes the answer or the refusal.
    pub fn answer<'h, H: Header<'h>>(&mut self, result: Result<Answer<'_, H>, Refusal>) {
        match result {
            Ok(answer) => self.out.reply(self.to, answer),
            Err(refusal) => self.out.refuse(self.to, refusal.code, refusal.remark),
        }
    }

    /// Writes the refusal.
    pub fn refuse(&mut self, refusal: Refusal) {
        self.out.refuse(self.to, refusal.code, refusal.remark);
    }

    /// Answers later, from a thread that may wait for the disk.
    pub fn later<H>(
        &self,
        work: impl FnOnce(&Arc<Broker>) -> Result<Answer<'static, H>, Refusal> + Send + 'static,
    ) where
        H: for<'h> Header<'h>,
    {
        let (broker, peer, to) = (Arc::clone(self.broker), self.session.peer.clone(), self.to);
        self.broker.blocking("request", move || reply(&peer, to, work(&broker)));
    }
}

/// Writes an answer or a refusal that comes later.
pub fn reply<'h, H: Header<'h>>(peer: &Peer, to: ReplyTo, result: Result<Answer<'_, H>, Refusal>) {
    // A client that is gone needs no answer.
    let _gone = peer.reply(|out| match result {
        Ok(answer) => out.reply(to, answer),
        Err(refusal) => out.refuse(to, refusal.code, refusal.remark),
    });
}
