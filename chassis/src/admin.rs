//! The admin port: `/livez` and `/readyz` for probes, `/metrics` for Prometheus.
//!
//! Ready and live answer 200 with `ok`, else 503 with one line for each thing that is missing.

use std::{io, net::SocketAddr};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus::{Registry, TextEncoder};
use tokio::net::TcpListener;

use crate::{Health, Tasks};

/// Where all binaries listen unless told otherwise.
pub const DEFAULT_PORT: u16 = 5557;

/// Serves until `tasks` is shut down. Returns the address that was bound (port 0 asks for a free one).
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(
    addr: SocketAddr,
    registry: Registry,
    health: Health,
    tasks: &Tasks,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(addr)
        .await
        .map_err(|e| io::Error::new(e.kind(), format!("admin port {addr}: {e}")))?;
    let bound = listener.local_addr()?;
    let app = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .with_state(health)
        .route("/metrics", get(metrics).with_state(registry));
    let ended = tasks.token().clone().cancelled_owned();
    tasks.spawn(
        "admin",
        async move { axum::serve(listener, app).with_graceful_shutdown(ended).await },
    );
    Ok(bound)
}

async fn livez(State(health): State<Health>) -> Response {
    answer(health.broken().into_iter().collect())
}

async fn readyz(State(health): State<Health>) -> Response {
    answer(health.missing())
}

fn answer(missing: Vec<String>) -> Response {
    if missing.is_empty() {
        return (StatusCode::OK, "ok\n").into_response();
    }
    let lines: String = missing.iter().map(|what| format!("waiting for: {what}\n")).collect();
    (StatusCode::SERVICE_UNAVAILABLE, lines).into_response()
}

async fn metrics(State(registry): State<Registry>) -> Response {
    match TextEncoder::new().encode_to_string(&registry.gather()) {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(e) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{e}\n")).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn get(addr: SocketAddr, path: &str) -> String {
        let mut socket = tokio::net::TcpStream::connect(addr).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut reply = String::new();
        socket.read_to_string(&mut reply).await.unwrap();
        reply
    }

    #[tokio::test]
    async fn probes_and_metrics_are_served_until_shutdown() {
        let (registry, health, tasks) = (Registry::new(), Health::new(), Tasks::new("test"));
        crate::metrics::register(&registry, "test", "0").unwrap();
        let store = health.latch("the store");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let addr = serve(any, registry, health.clone(), &tasks).await.unwrap();

        let reply = get(addr, "/readyz").await;
        assert!(reply.starts_with("HTTP/1.1 503"), "{reply}");
        assert!(reply.ends_with("waiting for: the store\n"), "{reply}");
        assert!(get(addr, "/livez").await.starts_with("HTTP/1.1 200"));
        store.release();
        assert!(get(addr, "/readyz").await.ends_with("ok\n"));
        assert!(get(addr, "/metrics").await.contains("gantry_build_info"));
        health.declare_broken("fsync failed");
        assert!(get(addr, "/livez").await.contains("fsync failed"));

        assert_eq!(tasks.shutdown(Duration::from_secs(10)).await, Ok(()));
        assert!(tokio::net::TcpStream::connect(addr).await.is_err());
    }
}
