//! A TCP proxy between a host and its broker, in this process. What the network does is switched at run time, for the connections that there
//! are and for those that come. It knows nothing of what it carries.

use super::ports;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, tcp};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;
/// Chunks of one direction on their way: with [`CHUNK`] the bound of what the proxy holds for it.
const ON_THEIR_WAY: usize = 64;

/// What the network does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Carries everything at once.
    Pass,
    /// Carries everything later: by `least`, and by up to `jitter` more. The order stays.
    Delay {
        /// At least.
        least: Duration,
        /// And up to this much more.
        jitter: Duration,
    },
    /// Carries at most this many bytes a second in each direction of each connection.
    Slow {
        /// Bytes a second.
        bytes: u32,
    },
    /// Carries nothing and closes nothing; what was sent meanwhile arrives when the mode ends.
    Stall,
    /// Closes every connection and refuses new ones.
    Cut,
    /// Accepts connections and lets these bytes vanish. A connection that lost bytes is closed when the mode ends.
    HalfOpen(Lost),
}

/// Which bytes vanish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// What the host sends.
    ToBroker,
    /// What the broker sends.
    ToHost,
    /// All.
    Both,
}

/// What a proxy has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections that could not be carried on, because the broker did not take them.
    pub without_broker: u64,
    /// Connections closed by [`Mode::Cut`] or [`Proxy::close_all`], or because they had lost bytes.
    pub closed: u64,
    /// Connections reset by [`Proxy::reset`].
    pub reset: u64,
    /// Bytes handed to the broker.
    pub to_broker: u64,
    /// Bytes handed to the host.
    pub to_host: u64,
    /// Bytes that vanished.
    pub lost: u64,
}

/// A running proxy. Dropping it closes everything.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    _serving: JoinSet<()>,
}

struct Shared {
    broker: SocketAddr,
    mode: watch::Sender<Mode>,
    end: watch::Sender<End>,
    counts: Counts,
}

/// The order to all connections to end now; each order has a number of its own.
#[derive(Clone, Copy, Default)]
struct End {
    number: u64,
    reset: bool,
}

#[derive(Default)]
struct Counts {
    accepted: AtomicU64,
    without_broker: AtomicU64,
    closed: AtomicU64,
    reset: AtomicU64,
    to_broker: AtomicU64,
    to_host: AtomicU64,
    lost: AtomicU64,
}

#[derive(Clone, Copy)]
enum Direction {
    ToBroker,
    ToHost,
}

impl Proxy {
    /// Listens on a free port and carries everything to the broker on `port` of this machine.
    pub async fn start(port: u16) -> Self {
        let shared = Arc::new(Shared {
            broker: SocketAddr::from(([127, 0, 0, 1], port)),
            mode: watch::Sender::new(Mode::Pass),
            end: watch::Sender::new(End::default()),
            counts: Counts::default(),
        });
        let port = ports::free();
        let first = listen(port).await.expect("a port of the proxy's own");
        let mut serving = JoinSet::new();
        serving.spawn(serve(port, first, Arc::clone(&shared)));
        Self { port, shared, _serving: serving }
    }

    /// Where a host finds its broker.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// What the network does from now on.
    pub fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// What the network does now.
    pub fn mode(&self) -> Mode {
        *self.shared.mode.borrow()
    }

    /// Resets every connection (RST on both sides); new ones are accepted as before.
    pub fn reset(&self) {
        self.shared.end.send_modify(|end| *end = End { number: end.number + 1, reset: true });
    }

    /// Closes every connection, and what is on its way in them is gone; new ones are accepted as before.
    pub fn close_all(&self) {
        self.shared.end.send_modify(|end| *end = End { number: end.number + 1, reset: false });
    }

    /// What it has done so far.
    pub fn carried(&self) -> Carried {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.shared.counts;
        Carried {
            accepted: of(&counts.accepted),
            without_broker: of(&counts.without_broker),
            closed: of(&counts.closed),
            reset: of(&counts.reset),
            to_broker: of(&counts.to_broker),
            to_host: of(&counts.to_host),
            lost: of(&counts.lost),
        }
    }
}

/// Accepts, except while [`Mode::Cut`]: then there is no listener, and the system refuses.
async fn serve(port: u16, first: TcpListener, shared: Arc<Shared>) {
    let mut mode = shared.mode.subscribe();
    let mut connections = JoinSet::new();
    let mut listener = Some(first);
    loop {
        let cut = *mode.borrow_and_update() == Mode::Cut;
        if cut {
            listener = None;
        } else if listener.is_none() {
            // The port is below those that the system gives out, so only a listener of ours that is about to close can have it.
            listener = listen(port).await;
            if listener.is_none() {
                continue;
            }
        }
        tokio::select! {
            changed = mode.changed() => if changed.is_err() { return },
            accepted = accept(listener.as_ref()) => {
                shared.counts.accepted.fetch_add(1, Ordering::Relaxed);
                connections.spawn(carry(accepted, Arc::clone(&shared)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn listen(port: u16) -> Option<TcpListener> {
    const TRIES: u32 = 100;
    for _ in 0..TRIES {
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await {
            return Some(listener);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    None
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else { return std::future::pending().await };
    loop {
        // An error here is one connection's: it went away before it was taken.
        if let Ok((stream, _)) = listener.accept().await {
            return stream;
        }
    }
}

/// One connection, until a side closes it or the proxy does.
async fn carry(mut host: TcpStream, shared: Arc<Shared>) {
    let mut end = shared.end.subscribe();
    let known = end.borrow_and_update().number;
    let Ok(mut broker) = TcpStream::connect(shared.broker).await else {
        shared.counts.without_broker.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let (_, _) = (host.set_nodelay(true), broker.set_nodelay(true));
    let reset = {
        let (from_host, to_host) = host.split();
        let (from_broker, to_broker) = broker.split();
        let both = async {
            tokio::select! {
                () = pump(from_host, to_broker, Direction::ToBroker, &shared) => {}
                () = pump(from_broker, to_host, Direction::ToHost, &shared) => {}
            }
        };
        tokio::select! {
            () = both => None,
            () = until_closed(&shared) => Some(false),
            ordered = end.wait_for(|end| end.number > known) => ordered.ok().map(|end| end.reset),
        }
    };
    match reset {
        None => {}
        Some(false) => {
            shared.counts.closed.fetch_add(1, Ordering::Relaxed);
        }
        Some(true) => {
            shared.counts.reset.fetch_add(1, Ordering::Relaxed);
            let (_, _) = (host.set_zero_linger(), broker.set_zero_linger());
        }
    }
}

/// Returns when the mode asks for the end of connections: the network is cut, or has swallowed bytes and does so no more.
async fn until_closed(shared: &Shared) {
    let mut mode = shared.mode.subscribe();
    let mut lossy = false;
    loop {
        match *mode.borrow_and_update() {
            Mode::Cut => return,
            Mode::HalfOpen(_) => lossy = true,
            _ if lossy => return,
            _ => {}
        }
        if mode.changed().await.is_err() {
            return;
        }
    }
}

struct Chunk {
    bytes: Vec<u8>,
    due: Instant,
}

/// One direction of one connection: reads, and hands on when it is time. Ends when either side does.
async fn pump(from: tcp::ReadHalf<'_>, to: tcp::WriteHalf<'_>, direction: Direction, shared: &Shared) {
    let (sender, receiver) = mpsc::channel(ON_THEIR_WAY);
    // The reader ends first at an end of file; what it has read is still handed on.
    tokio::join!(read(from, sender, direction, shared), write(to, receiver, direction, shared));
}

async fn read(mut from: tcp::ReadHalf<'_>, chunks: mpsc::Sender<Chunk>, direction: Direction, shared: &Shared) {
    let mut due = Instant::now();
    let mut spread = 0_u64;
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = tokio::select! {
            read = from.read(&mut buffer) => match read {
                Ok(count) if count > 0 => count,
                _ => return,
            },
            () = chunks.closed() => return,
        };
        let mode = *shared.mode.borrow();
        if matches!((mode, direction), (Mode::HalfOpen(lost), direction) if lost.takes(direction)) {
            shared.counts.lost.fetch_add(count as u64, Ordering::Relaxed);
            continue;
        }
        let now = Instant::now();
        if let Mode::Delay { least, jitter } = mode {
            // A number that jumps about: which does not matter, only that it does.
            spread = spread.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(count as u64 + 1);
            let share = u32::try_from(spread >> 40).unwrap_or_default() % 1024;
            due = due.max(now + least + jitter * share / 1024);
        } else {
            due = due.max(now);
        }
        let bytes = buffer.get(..count).unwrap_or_default().to_vec();
        if chunks.send(Chunk { bytes, due }).await.is_err() {
            return;
        }
    }
}

async fn write(mut to: tcp::WriteHalf<'_>, mut chunks: mpsc::Receiver<Chunk>, direction: Direction, shared: &Shared) {
    let mut mode = shared.mode.subscribe();
    while let Some(chunk) = chunks.recv().await {
        sleep_until(chunk.due).await;
        if mode.wait_for(|mode| *mode != Mode::Stall).await.is_err() || to.write_all(&chunk.bytes).await.is_err() {
            return;
        }
        let count = match direction {
            Direction::ToBroker => &shared.counts.to_broker,
            Direction::ToHost => &shared.counts.to_host,
        };
        count.fetch_add(chunk.bytes.len() as u64, Ordering::Relaxed);
        let now = *mode.borrow();
        if let Mode::Slow { bytes } = now {
            let millis = chunk.bytes.len() as u64 * 1000 / u64::from(bytes.max(1));
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
    }
}

impl Lost {
    fn takes(self, direction: Direction) -> bool {
        matches!((self, direction), (Self::Both, _) | (Self::ToBroker, Direction::ToBroker) | (Self::ToHost, Direction::ToHost))
    }
}

#[cfg(test)]
mod tests;
