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
            if BATCH_BYTES_MAX < session.sends.bytes() {
                store(&self.0, session);
            }
        }
        store(&self.0, session);
        timing.end(&self.0);
    }

    fn close(&self, _: Session, peer: &Peer) {
        handle::clients::closed(&self.0, peer);
    }
}

/// Stores what was collected.
fn store(broker: &Arc<Broker>, session: &mut Session) {
    if !session.sends.is_empty() {
        let Session { sends, peer, .. } = session;
        sends.store(broker, peer);
    }
}

fn dispatch(broker: &Arc<Broker>, session: &mut Session, frame: &Frame<'_>, out: &mut Replies) {
    use BrokerRequest as R;
    let request = match BrokerRequest::decode(frame) {
        Ok(request) => request,
        Err(RequestError::Unsupported(_)) => return out.unsupported(frame),
        Err(RequestError::Field(error)) => return out.bad_field(frame.reply_to(), &error),
    };
    if !matches!(request, R::SendMessage(_) | R::SendMessageV2(_) | R::SendBatchMessage(_)) {
        store(broker, session);
    }
    let mut call = Call { broker, session, to: frame.reply_to(), out };
    let call = &mut call;
    match request {
        R::SendMessage(ask) => handle::send::send(call, frame, &ask.into()),
        R::SendMessageV2(ask) | R::SendBatchMessage(ask) => handle::send::send(call, frame, &ask),
        R::PullMessage(ask) | R::LitePullMessage(ask) => handle::pull::pull(call, frame, &ask),
        R::ConsumerSendMsgBack(ask) => handle::send_back::send_back(call, frame, &ask),
        R::QueryConsumerOffset(ask) => handle::offsets::query(call, &ask),
        R::UpdateConsumerOffset(ask) => handle::offsets::update(call, &ask),
        R::SearchOffset(ask) => handle::offsets::search(call, &ask),
        R::GetMaxOffset(ask) => handle::offsets::max(call, &ask),
        R::GetMinOffset(ask) => handle::offsets::min(call, &ask),
        R::GetEarliestMsgStoretime(ask) => handle::offsets::earliest(call, &ask),
        R::ResetOffset(ask) => handle::offsets::reset(call, &ask),
        R::ViewMessageById(ask) => handle::view::view(call, &ask),
        R::HeartBeat(_) => handle::clients::heartbeat(call, frame),
        R::UnregisterClient(ask) => handle::clients::unregister(call, &ask),
        R::GetConsumerListByGroup(ask) => handle::clients::list(call, &ask),
        R::CheckClientConfig(_) => handle::clients::check(call, frame),
        R::GetConsumerRunningInfo(ask) => handle::clients::running_info(call, &ask),
        R::ConsumeMessageDirectly(ask) => handle::clients::consume(call, &ask),
        R::LockBatchMq(_) => handle::locks::lock(call, frame),
        R::UnlockBatchMq(_) => handle::locks::unlock(call, frame),
        R::CreateTopic(ask) => handle::topics::create(call, &ask),
        R::CreateTopics(_) => handle::topics::create_all(call, frame),
        R::DeleteTopic(ask) => handle::topics::delete(call, &ask),
        R::GetAllTopicConfig(ask) => handle::topics::all(call, &ask),
        R::GetTopicConfig(ask) => handle::topics::get(call, &ask),
        R::GetSystemTopicList(_) => handle::topics::system_list(call),
        R::CreateSubscriptionGroup(_) => handle::groups::create(call, frame),
        R::CreateSubscriptionGroups(_) => handle::groups::create_all(call, frame),
        R::GetAllSubscriptionGroup(ask) => handle::groups::all(call, &ask),
        R::GetSubscriptionGroup(ask) => handle::groups::get(call, &ask),
        R::DeleteSubscriptionGroup(ask) => handle::groups::delete(call, &ask),
        R::QueryTopicConsumeByWho(ask) => handle::groups::of_topic(call, &ask),
        R::QueryTopicsByConsumer(ask) => handle::groups::topics_of(call, &ask),
        R::QuerySubscriptionByConsumer(ask) => handle::groups::subscription(call, &ask),
        R::UpdateGroupForbidden(ask) => handle::groups::forbidden(call, &ask),
        R::GetConsumerConnectionList(ask) => handle::connections::consumers(call, &ask),
        R::GetProducerConnectionList(ask) => handle::connections::producers(call, &ask),
        R::GetAllProducerInfo(_) => handle::connections::all_producers(call),
        R::GetTopicStats(ask) => handle::stats::topic(call, &ask),
        R::GetConsumeStats(ask) => handle::stats::group(call, &ask),
        R::GetBrokerConsumeStats(ask) => handle::stats::all_groups(call, &ask),
        R::QueryConsumeTimeSpan(ask) => handle::stats::time_span(call, &ask),
        R::UpdateBrokerConfig(_) => handle::settings::update(call, frame),
        R::GetBrokerConfig(_) => handle::settings::show(call),
        R::GetBrokerRuntimeInfo(_) => handle::settings::runtime_info(call),
        R::GetAllConsumerOffset(_) => handle::settings::all_offsets(call),
        R::GetAllDelayOffset(_) => handle::settings::delay_offsets(call),
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
