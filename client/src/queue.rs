//! Queues as clients name them, and which of a topic's queues can be used.

use gantry_model::{BrokerId, Perm, QueueId, Topic};
use gantry_remoting::wire::body::{QueueData, TopicRouteData};

/// One queue of a topic on one broker group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Queue {
    /// The topic.
    pub topic: Topic,
    /// The broker group's name.
    pub broker: String,
    /// Its number on that group, from 0.
    pub id: QueueId,
}

impl std::fmt::Display for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}/{}", self.topic, self.broker, self.id.0)
    }
}

/// What is to be done with a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    Write,
    Read,
}

/// The queues of `topic` that a route offers for a use, ordered by number first, so that taking one
/// after the other goes round the brokers. Only groups with a master can be written to.
pub(crate) fn queues(topic: &Topic, route: &TopicRouteData, what: Use) -> Vec<Queue> {
    let mut queues: Vec<Queue> = route
        .queue_datas
        .iter()
        .filter(|data| is_usable(data, route, what))
        .flat_map(|data| {
            let count = match what {
                Use::Write => data.write_queue_nums,
                Use::Read => data.read_queue_nums,
            };
            (0..count).map(|id| Queue {
                topic: topic.clone(),
                broker: data.broker_name.clone(),
                id: QueueId(id),
            })
        })
        .collect();
    queues.sort_by(|a, b| (a.id, &a.broker).cmp(&(b.id, &b.broker)));
    queues
}

fn is_usable(data: &QueueData, route: &TopicRouteData, what: Use) -> bool {
    let broker = route.broker_datas.iter().find(|broker| broker.broker_name == data.broker_name);
    let needed = match what {
        Use::Write => Perm::WRITE,
        Use::Read => Perm::READ,
    };
    data.perm.allows(needed)
        && broker.is_some_and(|broker| match what {
            Use::Write => broker.broker_addrs.contains_key(&BrokerId(0)),
            Use::Read => !broker.broker_addrs.is_empty(),
        })
}
