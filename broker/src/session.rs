//! What the broker keeps for one connection: the batch that is being made, and what it knows of the
//! topics that this client sends to, so that a send looks nothing up in shared tables.

use std::{collections::HashMap, sync::Arc};

use gantry_model::{QueueId, Topic};
use gantry_remoting::{net::Peer, wire::body::TopicConfig};
use gantry_store::QueueHandle;

use crate::{broker::Broker, metrics::TopicIn, refusal::Refusal, sends::Sends};

/// Topics that one connection remembers; with more, it forgets all and begins anew.
const TOPICS_REMEMBERED: usize = 1024;

/// A connection.
#[derive(Debug)]
pub struct Session {
    /// The client.
    pub peer: Peer,
    /// Messages of the present batch.
    pub sends: Sends,
    /// Room for property strings.
    pub scratch: Vec<u8>,
    targets: HashMap<Topic, Target, foldhash::fast::RandomState>,
}

/// A topic that the client sends to.
#[derive(Debug)]
pub struct Target {
    /// Its name.
    pub topic: Topic,
    /// Its configuration.
    pub config: Arc<TopicConfig>,
    /// Its counters.
    pub counters: TopicIn,
    /// The generation of topics for which `config` is right.
    generation: u64,
    /// The generation that topics.json must have before messages to this topic are acknowledged.
    unsaved: u64,
    queues: Vec<Option<QueueHandle>>,
}

impl Session {
    /// A new connection.
    #[must_use]
    pub fn new(peer: Peer) -> Self {
        Self { peer, sends: Sends::default(), scratch: Vec::new(), targets: HashMap::default() }
    }

    /// Whether the topic's target is remembered and up to date.
    pub fn knows(&self, broker: &Broker, name: &str) -> Known {
        let generation = broker.topics.generation();
        match self.targets.get(name) {
            Some(target) if target.generation == generation => Known::Yes,
            Some(_) | None => Known::No,
        }
    }

    /// The target of a topic that is remembered, and the batch, which is answered when topics.json has
    /// the topic.
    pub fn target_and_sends(&mut self, name: &str) -> Option<(&mut Target, &mut Sends)> {
        let target = self.targets.get_mut(name)?;
        self.sends.hold_until(target.unsaved);
        Some((target, &mut self.sends))
    }

    /// Remembers a topic. The batch that is being made is answered when topics.json has the topic.
    pub fn remember(
        &mut self,
        broker: &Broker,
        topic: Topic,
        config: Arc<TopicConfig>,
        generation: u64,
    ) {
        if TOPICS_REMEMBERED <= self.targets.len() {
            self.targets.clear();
        }
        let target = Target::new(broker, topic.clone(), config, generation);
        self.sends.hold_until(target.unsaved);
        self.targets.insert(topic, target);
    }
}

/// Whether a connection remembers a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It does, and rightly.
    Yes,
    /// It does not.
    No,
}

impl Target {
    /// A topic to send to.
    pub fn new(broker: &Broker, topic: Topic, config: Arc<TopicConfig>, generation: u64) -> Self {
        let counters = broker.metrics.topic_in(&topic);
        let unsaved = broker.topics.unsaved(&topic);
        Self { topic, config, counters, generation, unsaved, queues: Vec::new() }
    }

    /// A queue of the topic.
    pub fn queue(&mut self, broker: &Broker, queue: QueueId) -> Result<&QueueHandle, Refusal> {
        // Queue numbers were checked against the topic's, which are bounded.
        let place = usize::try_from(queue.0).unwrap_or(usize::MAX);
        if self.queues.len() <= place {
            self.queues.resize(place + 1, None);
        }
        let Some(slot) = self.queues.get_mut(place) else {
            return Err(Refusal::parameter(format_args!("queueId[{queue}] is illegal")));
        };
        if slot.as_ref().is_none_or(|known| known.is_gone()) {
            *slot = Some(broker.queue(&self.topic, queue)?);
        }
        slot.as_ref().ok_or_else(|| Refusal::system("the queue is gone"))
    }
}
