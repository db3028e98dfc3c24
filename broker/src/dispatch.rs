//! From a frame to its handler: one exhaustive match. A new request in the table does not compile until
//! it has a line here.
//!
//! Sends are collected and stored as one batch, at the end of what has arrived or before the next
//! request of another kind, so that a client's requests take effect in the order in which it sent them.

use std::{sync::Arc, time::Instant};

use gantry_remoting::{
    net::{Peer, Service},
    wire::{
        Frame, Frames, Replies, RequestCode,
        request::{BrokerRequest, RequestError},
    },
};

use crate::{
    broker::Broker,
    handle::{self, Call},
    session::Session,
};

/// Bytes of records that one batch may grow to before it is stored.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// The broker as the server's service.
pub struct Front(pub Arc<Broker>);

impl Service for Front {
    type Session = Session;

    fn open(&self, peer: &Peer) -> Session {
        Session::new(peer.clone())
    }

    fn batch(&self, session: &mut Session, frames: &Frames, out: &mut Replies) {
        let mut timing = Timing::default();
        for frame in frames.requests() {
            timing.next(&self.0, RequestCode(frame.code()));
            dispatch(&self.0, session, &frame, out);
        }
        store(&self.0, session);
        timing.end(&self.0);
    }

    fn close(&self, _: Session, peer: &Peer) {
        handle::clients::closed(&self.0, peer);
    }
}

fn store(broker: &Arc<Broker>, session: &mut Session) {
    if !session.sends.is_empty() {
        let Session { sends, peer, .. } = session;
        sends.store(broker, peer);
    }
}

fn dispatch(broker: &Arc<Broker>, session: &mut Session, frame: &Frame<'_>, out: &mut Replies) {
    let request = match BrokerRequest::decode(frame) {
        Ok(request) => request,
        Err(RequestError::Unsupported(_)) => return out.unsupported(frame),
        Err(RequestError::Field(error)) => return out.bad_field(frame.reply_to(), &error),
    };
    let ask = match request {
        BrokerRequest::SendMessage(ask) => ask.into(),
        BrokerRequest::SendMessageV2(ask) | BrokerRequest::SendBatchMessage(ask) => ask,
        request => {
            store(broker, session);
            return other(broker, session, (frame, request), out);
        }
    };
    handle::send::send(broker, session, frame, &ask, out);
    if BATCH_BYTES_MAX < session.sends.bytes() {
        store(broker, session);
    }
}

/// Every request but sends.
fn other(
    broker: &Arc<Broker>,
    session: &mut Session,
    (frame, request): (&Frame<'_>, BrokerRequest<'_>),
    out: &mut Replies,
) {
    let mut call = Call { broker, session, to: frame.reply_to(), out };
    match request {
        BrokerRequest::SendMessage(_)
        | BrokerRequest::SendMessageV2(_)
        | BrokerRequest::SendBatchMessage(_) => {}
        BrokerRequest::ConsumerSendMsgBack(ask) => handle::send_back::send_back(&call, frame, &ask),
        BrokerRequest::PullMessage(ask) | BrokerRequest::LitePullMessage(ask) => {
            let Call { broker, session, out, .. } = call;
            handle::pull::pull(broker, session, frame, &ask, out);
        }
        BrokerRequest::QueryConsumerOffset(ask) => handle::offsets::query(&mut call, &ask),
        BrokerRequest::UpdateConsumerOffset(ask) => handle::offsets::update(&mut call, &ask),
        BrokerRequest::SearchOffset(ask) => handle::offsets::search(&mut call, &ask),
        BrokerRequest::GetMaxOffset(ask) => handle::offsets::max(&mut call, &ask),
        BrokerRequest::GetMinOffset(ask) => handle::offsets::min(&mut call, &ask),
        BrokerRequest::GetEarliestMsgStoretime(ask) => handle::offsets::earliest(&mut call, &ask),
        BrokerRequest::ResetOffset(ask) => handle::offsets::reset(&mut call, &ask),
        BrokerRequest::ViewMessageById(ask) => handle::view::view(&mut call, &ask),
        BrokerRequest::HeartBeat(_) => handle::clients::heartbeat(&mut call, frame),
        BrokerRequest::UnregisterClient(ask) => handle::clients::unregister(&mut call, &ask),
        BrokerRequest::GetConsumerListByGroup(ask) => handle::clients::list(&mut call, &ask),
        BrokerRequest::CheckClientConfig(_) => handle::clients::check(&mut call, frame),
        BrokerRequest::GetConsumerRunningInfo(ask) => handle::clients::running_info(&call, &ask),
        BrokerRequest::ConsumeMessageDirectly(ask) => handle::clients::consume(&call, &ask),
        BrokerRequest::LockBatchMq(_) => handle::locks::lock(&mut call, frame),
        BrokerRequest::UnlockBatchMq(_) => handle::locks::unlock(&mut call, frame),
        request => admin(&mut call, frame, request),
    }
}

/// Requests of administrators, and those that nobody serves yet.
fn admin(call: &mut Call<'_>, frame: &Frame<'_>, request: BrokerRequest<'_>) {
    match request {
        BrokerRequest::CreateTopic(ask) => handle::topics::create(call, &ask),
        BrokerRequest::CreateTopics(_) => handle::topics::create_all(call, frame),
        BrokerRequest::DeleteTopic(ask) => handle::topics::delete(call, &ask),
        BrokerRequest::GetAllTopicConfig(ask) => handle::topics::all(call, &ask),
        BrokerRequest::GetTopicConfig(ask) => handle::topics::get(call, &ask),
        BrokerRequest::GetSystemTopicList(_) => handle::topics::system_list(call),
        BrokerRequest::CreateSubscriptionGroup(_) => handle::groups::create(call, frame),
        BrokerRequest::CreateSubscriptionGroups(_) => handle::groups::create_all(call, frame),
        BrokerRequest::GetAllSubscriptionGroup(ask) => handle::groups::all(call, &ask),
        BrokerRequest::GetSubscriptionGroup(ask) => handle::groups::get(call, &ask),
        BrokerRequest::DeleteSubscriptionGroup(ask) => handle::groups::delete(call, &ask),
        BrokerRequest::QueryTopicConsumeByWho(ask) => handle::groups::of_topic(call, &ask),
        BrokerRequest::QueryTopicsByConsumer(ask) => handle::groups::topics_of(call, &ask),
        BrokerRequest::QuerySubscriptionByConsumer(ask) => handle::groups::subscription(call, &ask),
        BrokerRequest::UpdateGroupForbidden(ask) => handle::groups::forbidden(call, &ask),
        BrokerRequest::GetConsumerConnectionList(ask) => handle::connections::consumers(call, &ask),
        BrokerRequest::GetProducerConnectionList(ask) => handle::connections::producers(call, &ask),
        BrokerRequest::GetAllProducerInfo(_) => handle::connections::all_producers(call),
        BrokerRequest::GetTopicStats(ask) => handle::stats::topic(call, &ask),
        BrokerRequest::GetConsumeStats(ask) => handle::stats::group(call, &ask),
        BrokerRequest::GetBrokerConsumeStats(ask) => handle::stats::all_groups(call, &ask),
        BrokerRequest::QueryConsumeTimeSpan(ask) => handle::stats::time_span(call, &ask),
        BrokerRequest::UpdateBrokerConfig(_) => handle::settings::update(call, frame),
        BrokerRequest::GetBrokerConfig(_) => handle::settings::show(call),
        BrokerRequest::GetBrokerRuntimeInfo(_) => handle::settings::runtime_info(call),
        BrokerRequest::GetAllConsumerOffset(_) => handle::settings::all_offsets(call),
        BrokerRequest::GetAllDelayOffset(_) => handle::settings::delay_offsets(call),
        _ => call.out.unsupported(frame),
    }
}

/// Requests of a batch and how long they took, so that the metrics are fed once per batch and code.
#[derive(Default)]
struct Timing {
    code: Option<RequestCode>,
    requests: u64,
    began: Option<Instant>,
}

impl Timing {
    fn next(&mut self, broker: &Broker, code: RequestCode) {
        if self.code != Some(code) {
            self.end(broker);
            self.code = Some(code);
            self.began = Some(Instant::now());
        }
        self.requests += 1;
    }

    fn end(&mut self, broker: &Broker) {
        if let (Some(code), Some(began)) = (self.code.take(), self.began.take()) {
            broker.metrics.latency.observe(code, self.requests, began.elapsed());
        }
        self.requests = 0;
    }
}
