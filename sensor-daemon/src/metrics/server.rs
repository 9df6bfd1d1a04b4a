//! `/metrics` and `/healthz` over HTTP.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Metrics;
use crate::deliver::Push;

/// Where metrics are served.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsSettings {
    /// Serve `/metrics` (Prometheus text format) and `/healthz`.
    pub enabled: bool,
    /// Address and port to listen on. Loopback by default: nothing is served to a network unless asked for.
    pub listen: SocketAddr,
    /// Servers that metrics are sent to.
    pub push: Vec<Push>,
}

impl Default for MetricsSettings {
    fn default() -> Self {
        Self { enabled: true, listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9464)), push: Vec::new() }
    }
}

/// The running server; it stops when this is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// The address it listens on (the port the system chose when the settings say 0).
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Listens as the settings say and serves in the background of the current tokio runtime; none when switched off.
pub async fn serve(settings: &MetricsSettings, metrics: Arc<Metrics>) -> io::Result<Option<Server>> {
    if !settings.enabled {
        return Ok(None);
    }
    let listener = TcpListener::bind(settings.listen).await?;
    let address = listener.local_addr()?;
    let task = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes(metrics)).await {
            tracing::error!(%error, "the metrics server stopped");
        }
    });
    Ok(Some(Server { address, task }))
}

fn routes(metrics: Arc<Metrics>) -> Router {
    let text = |State(metrics): State<Arc<Metrics>>| async move {
        ([(CONTENT_TYPE, prometheus::TEXT_FORMAT)], metrics.encode())
    };
    Router::new().route("/metrics", get(text)).route("/healthz", get(async || "ok\n")).with_state(metrics)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    async fn request(address: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: vigia\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn metrics_and_health_are_served() {
        let settings = MetricsSettings { listen: "127.0.0.1:0".parse().unwrap(), ..Default::default() };
        let server = serve(&settings, Metrics::new()).await.unwrap().unwrap();
        let metrics = request(server.address(), "/metrics").await;
        assert!(metrics.starts_with("HTTP/1.1 200"), "{metrics}");
        assert!(metrics.contains("text/plain; version=0.0.4"), "{metrics}");
        assert!(metrics.contains("vigia_alerts_total{severity=\"1\"} 0"), "{metrics}");
        assert!(request(server.address(), "/healthz").await.ends_with("ok\n"));
        assert!(request(server.address(), "/other").await.starts_with("HTTP/1.1 404"));
    }

    #[tokio::test]
    async fn nothing_listens_when_switched_off() {
        let settings = MetricsSettings { enabled: false, ..Default::default() };
        assert!(serve(&settings, Metrics::new()).await.unwrap().is_none());
    }
}
