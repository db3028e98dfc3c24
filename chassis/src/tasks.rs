//! Every task of a process, by name, in scopes that end together.
//!
//! A [`Tasks`] is a scope: a cancellation token that its tasks watch, and the list of those that have
//! not ended. A child scope is cancelled with its parent, and its parent waits for it. A task that
//! panics or returns an error is logged with its name; nobody has to join it.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument as _;

/// A scope of tasks. Clones are handles of the same scope.
#[derive(Clone)]
pub struct Tasks {
    scope: Arc<Scope>,
}

struct Scope {
    path: Arc<str>,
    token: CancellationToken,
    tracker: TaskTracker,
    running: Mutex<BTreeMap<u64, Arc<str>>>,
    children: Mutex<Vec<Tasks>>,
    next: AtomicU64,
}

/// What a task may return: nothing, or a result whose error is logged.
pub trait Outcome {
    /// The error's text, if there is one.
    fn failure(self) -> Option<String>;
}

impl Outcome for () {
    fn failure(self) -> Option<String> {
        None
    }
}

impl<E: fmt::Display> Outcome for Result<(), E> {
    fn failure(self) -> Option<String> {
        self.err().map(|e| e.to_string())
    }
}

/// Tasks that had not ended at a shutdown's deadline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("did not end in time: {}", .0.join(", "))]
pub struct Stragglers(
    /// Their names, with those of their scopes: `broker/accept`. Tasks that were started on the bare
    /// tracker are counted together.
    pub Vec<String>,
);

impl Tasks {
    /// A scope of its own; `name` comes first in the names of its tasks.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self::scoped(name.into(), CancellationToken::new())
    }

    fn scoped(path: Arc<str>, token: CancellationToken) -> Self {
        Self {
            scope: Arc::new(Scope {
                path,
                token,
                tracker: TaskTracker::new(),
                running: Mutex::default(),
                children: Mutex::default(),
                next: AtomicU64::new(0),
            }),
        }
    }

    /// A scope that ends with this one, or alone before it.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        let path = format!("{}/{name}", self.scope.path);
        let child = Self::scoped(path.into(), self.scope.token.child_token());
        let mut children = self.scope.children.lock();
        children.retain(|c| !(c.scope.tracker.is_closed() && c.scope.tracker.is_empty()));
        children.push(child.clone());
        child
    }

    /// Cancelled when the scope is to end. Every long-running task watches it.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.scope.token
    }

    /// The bare tracker, for crates that may not know this one. Tasks that are spawned on it are
    /// waited for but have no name.
    #[must_use]
    pub fn tracker(&self) -> &TaskTracker {
        &self.scope.tracker
    }

    /// Starts a task. It must watch [`Tasks::token`] if it does not end by itself.
    pub fn spawn<F>(&self, name: &str, task: F)
    where
        F: Future + Send + 'static,
        F::Output: Outcome,
    {
        let name: Arc<str> = format!("{}/{name}", self.scope.path).into();
        let span = tracing::info_span!("task", name = %name);
        let listed = self.list(Arc::clone(&name));
        // Boxed on the heap once per task, so that a large future does not travel through the stack.
        let task: BoxFuture<'static, _> = AssertUnwindSafe(task).catch_unwind().boxed();
        let whole = async move {
            let _listed = listed;
            log_failure(&name, task.await.map(Outcome::failure));
        };
        self.scope.tracker.spawn(whole.instrument(span));
    }

    fn list(&self, name: Arc<str>) -> Listed {
        let id = self.scope.next.fetch_add(1, Ordering::Relaxed);
        self.scope.running.lock().insert(id, name);
        Listed { scope: Arc::clone(&self.scope), id }
    }

    /// Cancels the scope and waits until its tasks, and those of its children, have ended.
    ///
    /// # Errors
    /// Names the tasks that had not ended after `within`; they go on running.
    pub async fn shutdown(&self, within: Duration) -> Result<(), Stragglers> {
        self.scope.token.cancel();
        if tokio::time::timeout(within, self.ended()).await.is_ok() {
            return Ok(());
        }
        let mut names = Vec::new();
        self.name_running(&mut names);
        Err(Stragglers(names))
    }

    fn ended(&self) -> BoxFuture<'_, ()> {
        async move {
            self.scope.tracker.close();
            self.scope.tracker.wait().await;
            // A task may have opened a child scope until just now.
            let children = self.scope.children.lock().clone();
            for child in children {
                child.ended().await;
            }
        }
        .boxed()
    }

    fn name_running(&self, names: &mut Vec<String>) {
        let named = self.scope.running.lock();
        names.extend(named.values().map(ToString::to_string));
        let nameless = self.scope.tracker.len().saturating_sub(named.len());
        drop(named);
        if nameless > 0 {
            names.push(format!("{}/({nameless} without a name)", self.scope.path));
        }
        for child in self.scope.children.lock().iter() {
            child.name_running(names);
        }
    }
}

struct Listed {
    scope: Arc<Scope>,
    id: u64,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.scope.running.lock().remove(&self.id);
    }
}

fn log_failure(task: &str, ended: Result<Option<String>, Box<dyn std::any::Any + Send>>) {
    match ended {
        Ok(None) => {}
        Ok(Some(error)) => tracing::error!(task, error, "task failed"),
        Err(panic) => tracing::error!(task, panic = panic_text(panic.as_ref()), "task panicked"),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without text")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_shutdown_ends_the_tasks_of_the_scope_and_of_its_children() {
        let tasks = Tasks::new("root");
        for scope in [tasks.clone(), tasks.child("child")] {
            scope.spawn("waits", scope.token().clone().cancelled_owned());
        }
        assert_eq!(tasks.shutdown(LONG).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_that_do_not_end_are_named() {
        let tasks = Tasks::new("root");
        tasks.child("store").spawn("deaf", std::future::pending::<()>());
        tasks.tracker().spawn(std::future::pending::<()>());
        assert_eq!(
            tasks.shutdown(SOON).await,
            Err(Stragglers(vec!["root/(1 without a name)".into(), "root/store/deaf".into()]))
        );
    }

    fn false_value() -> bool {
        "".len() > 1
    }

    #[tokio::test]
    async fn a_panic_or_an_error_ends_only_its_own_task() {
        let tasks = Tasks::new("root");
        tasks.spawn("panics", async { assert!(false_value(), "on purpose") });
        tasks.spawn("fails", async { Err::<(), _>("on purpose") });
        assert_eq!(tasks.shutdown(LONG).await, Ok(()));
    }

    #[tokio::test]
    async fn a_child_ends_alone() {
        let tasks = Tasks::new("root");
        let child = tasks.child("child");
        child.spawn("waits", child.token().clone().cancelled_owned());
        assert_eq!(child.shutdown(LONG).await, Ok(()));
        assert!(!tasks.token().is_cancelled());
    }
}
