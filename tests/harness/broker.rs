//! A real `nats-server` with JetStream in a folder of its own. It can be killed, stopped, frozen, started again on the same port, and
//! its streams' files can be copied away and put back while it does not run.

use super::process::Process;
use super::wait::until;
use super::{ports, tools};
use rustix::process::Signal;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The broker of one test.
pub struct Broker {
    folder: PathBuf,
    port: u16,
    process: Option<Process>,
    starts: u32,
    apart: bool,
    users: Option<Users>,
}

/// Who may log in. A broker with users also traces what each of them does: its log is what a test of permissions reads.
#[derive(Clone)]
pub struct Users {
    /// A file with the server's `authorization` block, taken in as it is.
    pub file: PathBuf,
    /// The variables of that file: the passwords.
    pub passwords: Vec<(&'static str, &'static str)>,
    /// The test's own user, and the password.
    pub own: (&'static str, &'static str),
}

impl Broker {
    /// Writes the server's config and starts it. `max_payload` is the server's, in bytes.
    pub async fn start(folder: &Path, max_payload: u32) -> Self {
        Self::start_for(folder, max_payload, None).await
    }

    /// The same in a process group of its own: what a terminal sends to its group (Ctrl-C) does not reach it.
    pub async fn start_apart(folder: &Path, max_payload: u32) -> Self {
        Self::begin(folder, max_payload, true, None).await
    }

    /// Like [`Broker::start`], for these users only.
    pub async fn start_for(folder: &Path, max_payload: u32, users: Option<Users>) -> Self {
        Self::begin(folder, max_payload, false, users).await
    }

    async fn begin(folder: &Path, max_payload: u32, apart: bool, users: Option<Users>) -> Self {
        let mut broker = Self { folder: folder.to_owned(), port: ports::free(), process: None, starts: 0, apart, users };
        fs::create_dir_all(broker.storage()).expect("a folder for the broker");
        let mut config = format!(
            "server_name: \"test\"\nlisten: \"127.0.0.1:{}\"\nmax_payload: {max_payload}\n\
             jetstream {{ store_dir: \"{}\", max_memory_store: 256MB, max_file_store: 2GB }}\n",
            broker.port,
            broker.storage().display()
        );
        if let Some(users) = &broker.users {
            // An include is found from the including file's folder.
            fs::copy(&users.file, folder.join("users.conf")).expect("the file with the users");
            config.push_str("trace: true\ninclude \"users.conf\"\n");
        }
        fs::write(broker.config(), config).expect("the broker's config");
        broker.again().await;
        broker
    }

    /// Starts it (again) on its port, with what its folder holds; returns when it answers.
    pub async fn again(&mut self) {
        assert!(self.process.is_none(), "the broker runs already");
        self.starts += 1;
        let log = self.folder.join(format!("broker-{}.log", self.starts));
        let mut command = Command::new(tools::nats_server());
        command.arg("--config").arg(self.config());
        command.envs(self.users.iter().flat_map(|users| users.passwords.iter().copied()));
        if self.apart {
            command.process_group(0);
        }
        let mut process = Process::spawn("nats-server", command, &log);
        let url = self.url();
        until("the broker to answer", async || {
            if let Some(status) = process.status() {
                panic!("nats-server ended ({status}):\n{}", process.log());
            }
            let client = self.options().connect(&url).await.map_err(|error| error.to_string())?;
            async_nats::jetstream::new(client).query_account().await.map_err(|error| error.to_string())
        })
        .await;
        self.process = Some(process);
    }

    /// Lets the users of another file in from now on, without a restart (SIGHUP).
    pub fn reload(&mut self, users: &Path) {
        fs::copy(users, self.folder.join("users.conf")).expect("the file with the users");
        self.process.as_mut().expect("a running broker").signal(Signal::HUP);
    }

    /// Where it listens, whether it runs or not.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The port of [`Broker::url`].
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets it live on after this value, and after this process; gives its process id.
    pub fn keep(mut self) -> u32 {
        self.process.take().expect("a running broker").keep()
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.take().expect("a running broker").kill();
    }

    /// SIGTERM: everything it has is in its files when this returns.
    pub async fn stop(&mut self) {
        let mut process = self.process.take().expect("a running broker");
        process.signal(Signal::TERM);
        process.ended().await;
    }

    /// SIGSTOP: connections stay open and nothing answers.
    pub fn freeze(&mut self) {
        self.process.as_mut().expect("a running broker").signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&mut self) {
        self.process.as_mut().expect("a running broker").signal(Signal::CONT);
    }

    /// Copies one stream's files to a place beside the storage. The broker must not run.
    pub fn save(&self, stream: &str) -> Saved {
        assert!(self.process.is_none(), "stop the broker before copying its files");
        let to = self.folder.join(format!("saved-{}-{stream}", self.starts));
        copy_folder(&self.stream(stream), &to);
        Saved { stream: stream.to_owned(), files: to }
    }

    /// Puts older files of a stream in the place of what it has. The broker must not run.
    pub fn restore(&self, saved: &Saved) {
        assert!(self.process.is_none(), "stop the broker before replacing its files");
        fs::remove_dir_all(self.stream(&saved.stream)).expect("the stream's files");
        copy_folder(&saved.files, &self.stream(&saved.stream));
    }

    /// The system's number for its process.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("a running broker").id()
    }

    /// A new connection that comes back by itself after an outage.
    pub async fn connect(&self) -> async_nats::Client {
        self.options().retry_on_initial_connect().connect(self.url()).await.expect("a client of the broker")
    }

    /// Everything it has said since its last start.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    fn options(&self) -> async_nats::ConnectOptions {
        let options = async_nats::ConnectOptions::new()
            .connection_timeout(Duration::from_secs(5))
            .request_timeout(Some(Duration::from_secs(5)))
            .reconnect_delay_callback(|_| Duration::from_millis(50));
        match &self.users {
            Some(Users { own: (user, password), .. }) => options.user_and_password((*user).to_owned(), (*password).to_owned()),
            None => options,
        }
    }

    fn config(&self) -> PathBuf {
        self.folder.join("nats.conf")
    }

    fn storage(&self) -> PathBuf {
        self.folder.join("broker")
    }

    fn stream(&self, name: &str) -> PathBuf {
        self.storage().join("jetstream").join("$G").join("streams").join(name)
    }
}

/// A stream's files, copied.
pub struct Saved {
    stream: String,
    files: PathBuf,
}

/// Copies a folder with everything in it.
pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder to copy to");
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{}: {error}", from.display())) {
        let entry = entry.expect("an entry of the folder");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("its type").is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copied file");
        }
    }
}
