//! A real nats-server for tests of this crate. They run when `SERIATIM_NATS_SERVER` names the binary, else they pass
//! without doing anything (`cargo xtask test` always sets it).

use crate::event::Message;
use crate::nats::api;
use crate::nats::connect::{ConnectOptions, Connection, connect};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub(crate) struct Server {
    binary: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
}

impl Server {
    /// A server with JetStream in a fresh folder.
    pub(crate) fn start() -> Option<Self> {
        #[allow(clippy::disallowed_methods)]
        let binary = PathBuf::from(std::env::var_os("SERIATIM_NATS_SERVER")?);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = Self { binary, folder: tempfile::tempdir().unwrap(), port, child: None };
        server.up();
        Some(server)
    }

    pub(crate) fn up(&mut self) {
        self.up_with(&[]);
    }

    pub(crate) fn up_with(&mut self, more: &[&str]) {
        let child = Command::new(&self.binary)
            .args(["-a", "127.0.0.1", "-p", &self.port.to_string(), "-js", "-sd"])
            .arg(self.folder.path())
            .args(more)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) async fn connect(&self) -> Connection {
        let options = ConnectOptions { servers: vec![format!("nats://{}", self.address())], name: "test".into(), ..Default::default() };
        connect(options).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Creates a stream; `config` adds to name and subjects.
pub(crate) async fn stream(connection: &Connection, name: &str, subjects: &[&str], config: serde_json::Value) {
    let mut body = serde_json::json!({ "name": name, "subjects": subjects, "storage": "file" });
    body.as_object_mut().unwrap().extend(config.as_object().unwrap().clone());
    let _: serde_json::Value = api::call(&connection.client(), &format!("STREAM.CREATE.{name}"), &body).await.unwrap();
}

/// Publishes and waits for the confirmation; returns the stream sequence.
pub(crate) async fn publish(connection: &Connection, subject: &str, payload: &str) -> u64 {
    #[derive(serde::Deserialize)]
    struct Ack {
        seq: u64,
    }
    loop {
        let answer = api::request_bytes(&connection.client(), subject, None, payload.to_owned().into()).await;
        match answer.and_then(|answer| api::read::<Ack>(subject, &answer)) {
            Ok(ack) => return ack.seq,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Publishes a message whose header block is these bytes, past any client library.
pub(crate) async fn publish_raw(server: &Server, subject: &str, headers: &[u8], payload: &[u8]) {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let mut socket = tokio::net::TcpStream::connect(server.address()).await.unwrap();
    let (read, mut write) = socket.split();
    let mut lines = BufReader::new(read).lines();
    write.write_all(b"CONNECT {\"verbose\":false,\"headers\":true}\r\n").await.unwrap();
    write.write_all(format!("HPUB {subject} {} {}\r\n", headers.len(), headers.len() + payload.len()).as_bytes()).await.unwrap();
    write.write_all(&[headers, payload, b"\r\nPING\r\n"].concat()).await.unwrap();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line == "PONG" {
            return;
        }
    }
}

pub(crate) fn payload(message: &Message) -> String {
    String::from_utf8_lossy(&message.payload).into_owned()
}
