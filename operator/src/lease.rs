//! Which of the operator's replicas leads: the holder of a Lease.
//!
//! A lease counts as lost by its holder when it has not been seen unchanged for its whole duration on the
//! watcher's own clock; no two clocks are compared. The leader stops leading by itself when it could not
//! renew for `RENEW_DEADLINE`, counted from the sending of its last renewal, which is shorter.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, Client, api::PostParams};
use tokio::time::{Instant, sleep, timeout_at};

/// How long a lease lasts that is not renewed.
const DURATION: Duration = Duration::from_secs(15);
/// How long the leader goes on without a renewal.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How often the leader renews, and the others look.
const PERIOD: Duration = Duration::from_secs(2);

/// One replica's part in the election.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
}

/// What a replica last saw of the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sighting {
    holder: String,
    renewed: Option<Timestamp>,
    /// When this replica first saw it so, on its own clock.
    since: Instant,
}

/// What to do about the lease.
#[derive(Debug, PartialEq, Eq)]
enum Move {
    /// Nobody holds it, or this replica does: take it.
    Take,
    /// Somebody else holds it.
    Wait,
}

fn decide(seen: &Sighting, identity: &str, now: Instant) -> Move {
    let free = seen.holder.is_empty() || seen.holder == identity;
    let expired = now.duration_since(seen.since) >= DURATION;
    if free || expired { Move::Take } else { Move::Wait }
}

impl Candidate {
    /// A candidate for the lease `name`, under a name of its own.
    #[must_use]
    pub fn new(client: Client, namespace: &str, name: &str, identity: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
        }
    }

    /// Waits until this replica leads. Faults of the API server are logged and outlasted.
    /// `seen` is called whenever the API server has answered.
    pub async fn win(&self, seen: impl Fn()) -> Instant {
        let mut last: Option<Sighting> = None;
        loop {
            let sent = Instant::now();
            match self.attempt(&mut last).await {
                Ok(true) => {
                    seen();
                    return sent;
                }
                Ok(false) => seen(),
                Err(error) => {
                    tracing::warn!(%error, lease = self.name, "cannot read or take the lease")
                }
            }
            sleep(PERIOD).await;
        }
    }

    /// Renews until that fails for too long or another replica has taken the lease. `renewed` is when
    /// the last renewal was sent.
    pub async fn hold(&self, mut renewed: Instant) {
        loop {
            sleep(PERIOD).await;
            let sent = Instant::now();
            match timeout_at(renewed + RENEW_DEADLINE, self.renew()).await {
                Ok(Ok(true)) => renewed = sent,
                Ok(Ok(false)) => return,
                Ok(Err(error)) => {
                    tracing::warn!(%error, lease = self.name, "cannot renew the lease")
                }
                Err(_) => {}
            }
            if renewed.elapsed() >= RENEW_DEADLINE {
                return;
            }
        }
    }

    /// Gives the lease back, so that another replica need not wait for its end.
    ///
    /// # Errors
    /// When the API server refuses or fails.
    pub async fn give_back(&self) -> Result<(), kube::Error> {
        let mut lease = self.api.get(&self.name).await?;
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_deref() == Some(&self.identity) {
            spec.holder_identity = None;
            self.api.replace(&self.name, &PostParams::default(), &lease).await?;
        }
        Ok(())
    }

    async fn attempt(&self, last: &mut Option<Sighting>) -> Result<bool, kube::Error> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
                spec: Some(self.spec(0)),
            };
            return conflict_is_false(self.api.create(&PostParams::default(), &lease).await);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        let now = Instant::now();
        let mut sighting = Sighting {
            holder: spec.holder_identity.unwrap_or_default(),
            renewed: spec.renew_time.map(|time| time.0),
            since: now,
        };
        if let Some(before) = last.as_ref()
            && before.holder == sighting.holder
            && before.renewed == sighting.renewed
        {
            sighting.since = before.since;
        }
        let next = decide(&sighting, &self.identity, now);
        let changes = sighting.holder != self.identity;
        *last = Some(sighting);
        match next {
            Move::Wait => Ok(false),
            Move::Take => {
                self.write(lease, spec.lease_transitions.unwrap_or(0), changes.into()).await
            }
        }
    }

    async fn renew(&self) -> Result<bool, kube::Error> {
        let lease = self.api.get(&self.name).await?;
        let spec = lease.spec.clone().unwrap_or_default();
        if spec.holder_identity.as_deref() != Some(&self.identity) {
            return Ok(false);
        }
        self.write(lease, spec.lease_transitions.unwrap_or(0), 0).await
    }

    /// Compare-and-swap: the API server refuses if the lease has changed since it was read.
    async fn write(
        &self,
        mut lease: Lease,
        transitions: i32,
        more: i32,
    ) -> Result<bool, kube::Error> {
        let mut spec = self.spec(transitions.saturating_add(more));
        if more == 0 {
            spec.acquire_time = lease.spec.as_ref().and_then(|spec| spec.acquire_time.clone());
        }
        lease.spec = Some(spec);
        conflict_is_false(self.api.replace(&self.name, &PostParams::default(), &lease).await)
    }

    fn spec(&self, transitions: i32) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

fn conflict_is_false(result: Result<Lease, kube::Error>) -> Result<bool, kube::Error> {
    match result {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_taken_when_free_own_or_unchanged_for_its_duration() {
        let since = Instant::now();
        let seen = |holder: &str| Sighting { holder: holder.to_owned(), renewed: None, since };
        assert_eq!(decide(&seen(""), "me", since), Move::Take);
        assert_eq!(decide(&seen("me"), "me", since), Move::Take);
        assert_eq!(decide(&seen("other"), "me", since), Move::Wait);
        let almost = since + DURATION - Duration::from_millis(1);
        assert_eq!(decide(&seen("other"), "me", almost), Move::Wait);
        assert_eq!(decide(&seen("other"), "me", since + DURATION), Move::Take);
    }

    #[test]
    fn the_leader_gives_up_before_another_may_take_over() {
        assert!(RENEW_DEADLINE + PERIOD < DURATION);
    }
}
