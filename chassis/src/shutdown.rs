//! Steps of a shutdown, each with a limit of time of its own.

use std::{future::Future, time::Duration};

/// Awaits one step for at most `limit`. A step that takes longer is logged by name and left; the
/// shutdown goes on with the next one.
pub async fn within<F: Future>(limit: Duration, step: &'static str, work: F) -> Option<F::Output> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => Some(done),
        Err(_) => {
            tracing::warn!(step, ?limit, "shutdown step did not end in time");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_step_that_hangs_is_left_behind() {
        let limit = Duration::from_secs(1);
        assert_eq!(within(limit, "quick", async { 7 }).await, Some(7));
        assert_eq!(within(limit, "hangs", std::future::pending::<()>()).await, None);
    }
}
