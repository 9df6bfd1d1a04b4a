//! The control socket: how `vigia status` and `vigia reload` speak to the running sensor.
//!
//! A Unix stream socket; a client sends one line, `status` or `reload`, and gets one line of JSON back:
//! `{"ok": ...}` or `{"error": "..."}`. The kernel guards it by the file's mode: whoever may open it may ask.

use std::io::{BufRead as _, Read as _, Write as _};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as ClientStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

/// Longest request line.
const LONGEST_REQUEST: u64 = 256;

/// Longest answer that a client reads: a bound against a socket that is none of ours.
const LONGEST_ANSWER: u64 = 16 << 20;

/// Clients served at once; others wait in the socket's own queue.
const CLIENTS: usize = 8;

/// Time a client has to ask and to take its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Time the sensor has to answer. A reload of a large ruleset takes seconds.
const ANSWER_PATIENCE: Duration = Duration::from_secs(60);

/// The Unix socket through which `vigia status` and `vigia reload` speak to the running sensor.
#[derive(Debug, Clone, PartialEq, serde::Deserialize, serde::Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Path of the socket. It is made when the sensor starts and removed when it stops; mode 0660.
    pub socket: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self { socket: "/run/vigia/control.sock".into() }
    }
}

/// What the sensor does when asked. Called on threads that may wait.
pub struct Hooks {
    /// What `vigia status` shows.
    pub status: Box<dyn Fn() -> Value + Send + Sync>,
    /// What `vigia probes` shows.
    pub probes: Box<dyn Fn() -> Value + Send + Sync>,
    /// What a reload is going to take.
    pub foresee: Box<dyn Fn() -> Value + Send + Sync>,
    /// Loads rules and configuration again; says what was loaded, or why the old ones stay.
    pub reload: Box<dyn Fn() -> Result<Value, String> + Send + Sync>,
}

/// The sensor's end.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

impl Server {
    /// Makes the socket. A socket that a killed sensor left behind is replaced; one that answers is an error. Needs to be
    /// called within a tokio runtime.
    pub fn bind(settings: &Settings) -> std::io::Result<Self> {
        let path = settings.socket.clone();
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        let is_socket = std::fs::symlink_metadata(&path).is_ok_and(|found| found.file_type().is_socket());
        if is_socket {
            if ClientStream::connect(&path).is_ok() {
                return Err(std::io::Error::new(std::io::ErrorKind::AddrInUse, "another sensor answers there"));
            }
            std::fs::remove_file(&path)?;
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o660))?;
        Ok(Self { listener, path })
    }

    /// Serves clients until dropped.
    pub async fn serve(self, hooks: Arc<Hooks>) {
        let places = Arc::new(Semaphore::new(CLIENTS));
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let hooks = Arc::clone(&hooks);
                    tokio::spawn(async move {
                        if let Err(error) = converse(stream, hooks).await {
                            tracing::debug!(%error, "control client");
                        }
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of descriptors, most likely: try again when there may be some.
                    tracing::warn!(%error, "control socket");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be gone already; nothing depends on it.
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn converse(mut stream: UnixStream, hooks: Arc<Hooks>) -> std::io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut request = String::new();
    let mut reader = BufReader::new(reader.take(LONGEST_REQUEST));
    tokio::time::timeout(PATIENCE, reader.read_line(&mut request)).await??;
    let answer = tokio::task::spawn_blocking(move || answer(request.trim(), &hooks)).await?;
    let mut line = answer.to_string();
    line.push('\n');
    tokio::time::timeout(PATIENCE, writer.write_all(line.as_bytes())).await??;
    Ok(())
}

fn answer(request: &str, hooks: &Hooks) -> Value {
    match request {
        "status" => json!({ "ok": (hooks.status)() }),
        "probes" => json!({ "ok": (hooks.probes)() }),
        "foresee" => json!({ "ok": (hooks.foresee)() }),
        "reload" => match (hooks.reload)() {
            Ok(loaded) => json!({ "ok": loaded }),
            Err(reason) => json!({ "error": reason }),
        },
        _ => json!({ "error": "unknown request: expected status, probes, foresee or reload" }),
    }
}

/// Why a client got no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody listens, or the connection broke.
    #[error(transparent)]
    Unreachable(#[from] std::io::Error),
    /// The sensor did not do it.
    #[error("{0}")]
    Refused(String),
    /// The answer is not JSON of the expected form.
    #[error("{0}")]
    Answer(String),
}

/// The client's end: asks the sensor that listens at `path`, and waits for the answer.
pub fn ask(path: &Path, request: &str) -> Result<Value, AskError> {
    let mut stream = ClientStream::connect(path)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
    stream.write_all(format!("{request}\n").as_bytes())?;
    let mut line = String::new();
    std::io::BufReader::new(stream.take(LONGEST_ANSWER)).read_line(&mut line)?;
    let mut answer: Value = serde_json::from_str(&line).map_err(|error| AskError::Answer(error.to_string()))?;
    match (answer.get_mut("ok").map(Value::take), answer.get("error").and_then(Value::as_str)) {
        (Some(ok), _) => Ok(ok),
        (None, Some(reason)) => Err(AskError::Refused(reason.to_owned())),
        (None, None) => Err(AskError::Answer(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hooks() -> Arc<Hooks> {
        Arc::new(Hooks {
            status: Box::new(|| json!({ "packets": 3 })),
            probes: Box::new(|| json!({})),
            foresee: Box::new(|| json!({})),
            reload: Box::new(|| Err("rule 7 is bad".into())),
        })
    }

    async fn asked(path: &Path, request: &'static str) -> Result<Value, AskError> {
        let path = path.to_owned();
        tokio::task::spawn_blocking(move || ask(&path, request)).await.unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn the_sensor_answers_and_refuses() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { socket: folder.path().join("deep/control.sock") };
        let server = tokio::spawn(Server::bind(&settings).unwrap().serve(hooks()));
        assert_eq!(asked(&settings.socket, "status").await.unwrap(), json!({ "packets": 3 }));
        assert!(
            matches!(asked(&settings.socket, "reload").await, Err(AskError::Refused(why)) if why == "rule 7 is bad")
        );
        assert!(matches!(asked(&settings.socket, "dance").await, Err(AskError::Refused(_))));
        assert!(Server::bind(&settings).is_err(), "a second sensor must not take the socket over");
        server.abort();
        let _ = server.await;
        assert!(!settings.socket.exists(), "the socket is removed with its server");
    }

    #[tokio::test]
    async fn a_socket_left_behind_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { socket: folder.path().join("control.sock") };
        drop(std::os::unix::net::UnixListener::bind(&settings.socket).unwrap());
        assert!(settings.socket.exists());
        let _server = Server::bind(&settings).unwrap();
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { socket: folder.path().join("control.sock") };
        std::fs::write(&settings.socket, "precious").unwrap();
        assert!(Server::bind(&settings).is_err());
        assert_eq!(std::fs::read_to_string(&settings.socket).unwrap(), "precious");
    }

    #[test]
    fn nobody_listening_is_an_error() {
        assert!(matches!(ask(Path::new("/nonexistent/control.sock"), "status"), Err(AskError::Unreachable(_))));
    }
}
