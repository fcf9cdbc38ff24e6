//! Each mode, against a broker that sends back what it gets.

use super::{Lost, Mode, Proxy};
use crate::harness::until;
use std::io::ErrorKind;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// How long something that shall not happen is waited for.
const QUIET: Duration = Duration::from_millis(200);
const SOON: Duration = Duration::from_secs(20);

/// A proxy before something that sends everything back.
async fn proxy() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await
            });
        }
    });
    Proxy::start(port).await
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(("127.0.0.1", proxy.port)).await.unwrap()
}

/// Sends some bytes and gives how long they took there and back.
async fn echo(stream: &mut TcpStream, bytes: &[u8]) -> Duration {
    let begun = Instant::now();
    stream.write_all(bytes).await.unwrap();
    let mut back = vec![0; bytes.len()];
    timeout(SOON, stream.read_exact(&mut back)).await.expect("an answer").unwrap();
    assert_eq!(back, bytes);
    begun.elapsed()
}

/// Whether the stream ends (rather than bring bytes).
async fn ends(stream: &mut TcpStream) -> Result<(), ErrorKind> {
    let mut byte = [0];
    match timeout(SOON, stream.read(&mut byte)).await.expect("an end") {
        Ok(0) => Ok(()),
        Ok(_) => panic!("a byte instead of an end"),
        Err(error) => Err(error.kind()),
    }
}

/// The stream ends, one way or the other.
async fn over(stream: &mut TcpStream) {
    let end = ends(stream).await;
    assert!(matches!(end, Ok(()) | Err(ErrorKind::ConnectionReset)), "{end:?}");
}

async fn silent(stream: &mut TcpStream) {
    let mut byte = [0];
    assert!(timeout(QUIET, stream.read(&mut byte)).await.is_err(), "neither a byte nor an end");
}

#[tokio::test]
async fn pass_carries_everything_in_both_directions() {
    let proxy = proxy().await;
    let mut stream = connect(&proxy).await;
    let bytes: Vec<u8> = (0..200_000_u32).map(|number| (number % 251) as u8).collect();
    echo(&mut stream, &bytes).await;
    let carried = proxy.carried();
    assert_eq!((carried.accepted, carried.to_broker, carried.to_host), (1, 200_000, 200_000));
}

#[tokio::test]
async fn delay_keeps_the_order_and_takes_its_time() {
    let proxy = proxy().await;
    let mut stream = connect(&proxy).await;
    proxy.set(Mode::Delay { least: Duration::from_millis(60), jitter: Duration::from_millis(40) });
    for number in 0..5_u8 {
        let took = echo(&mut stream, &[number; 100]).await;
        assert!(took >= Duration::from_millis(120), "{took:?} there and back");
    }
    proxy.set(Mode::Pass);
    echo(&mut stream, b"goes on").await;
}

#[tokio::test]
async fn slow_bounds_the_rate() {
    let proxy = proxy().await;
    let mut stream = connect(&proxy).await;
    proxy.set(Mode::Slow { bytes: 100_000 });
    let took = echo(&mut stream, &[7; 50_000]).await;
    assert!(took >= Duration::from_millis(300), "50,000 bytes at 100,000 a second, there and back: {took:?}");
}

#[tokio::test]
async fn stall_holds_what_comes_and_hands_it_on_afterwards() {
    let proxy = proxy().await;
    let mut stream = connect(&proxy).await;
    echo(&mut stream, b"a").await;
    proxy.set(Mode::Stall);
    stream.write_all(b"later").await.unwrap();
    silent(&mut stream).await;
    proxy.set(Mode::Pass);
    let mut back = [0; 5];
    timeout(SOON, stream.read_exact(&mut back)).await.expect("what was held").unwrap();
    assert_eq!(&back, b"later");
}

#[tokio::test]
async fn close_all_in_a_stall_loses_what_was_on_its_way() {
    let proxy = proxy().await;
    let mut stream = connect(&proxy).await;
    echo(&mut stream, b"a").await;
    proxy.set(Mode::Stall);
    stream.write_all(b"never").await.unwrap();
    silent(&mut stream).await;
    proxy.close_all();
    over(&mut stream).await;
    proxy.set(Mode::Pass);
    let mut next = connect(&proxy).await;
    echo(&mut next, b"goes on").await;
    assert_eq!(proxy.carried().to_broker, 8, "the first byte, and those of the new connection");
}

#[tokio::test]
async fn cut_closes_what_there_is_refuses_what_comes_and_heals() {
    let proxy = proxy().await;
    let mut stream = connect(&proxy).await;
    echo(&mut stream, b"a").await;
    proxy.set(Mode::Cut);
    over(&mut stream).await;
    until("connections to be refused", async || match TcpStream::connect(("127.0.0.1", proxy.port)).await {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(proxy.carried().closed, 1);
    proxy.set(Mode::Pass);
    let mut next =
        until("the proxy to listen again", async || TcpStream::connect(("127.0.0.1", proxy.port)).await.map_err(|error| error.to_string()))
            .await;
    echo(&mut next, b"goes on").await;
}

#[tokio::test]
async fn half_open_swallows_and_then_closes() {
    for lost in [Lost::ToBroker, Lost::ToHost, Lost::Both] {
        let proxy = proxy().await;
        let mut stream = connect(&proxy).await;
        echo(&mut stream, b"a").await;
        proxy.set(Mode::HalfOpen(lost));
        stream.write_all(b"gone").await.unwrap();
        silent(&mut stream).await;
        let mut accepted = connect(&proxy).await;
        silent(&mut accepted).await;
        let to_broker = if lost == Lost::ToHost { 5 } else { 1 };
        let carried = proxy.carried();
        assert_eq!((carried.to_broker, carried.to_host, carried.lost), (to_broker, 1, 4), "{lost:?}");
        proxy.set(Mode::Pass);
        over(&mut stream).await;
        let mut next = connect(&proxy).await;
        echo(&mut next, b"goes on").await;
    }
}

#[tokio::test]
async fn reset_ends_connections_the_hard_way() {
    let proxy = proxy().await;
    let mut stream = connect(&proxy).await;
    echo(&mut stream, b"a").await;
    proxy.reset();
    assert_eq!(ends(&mut stream).await, Err(ErrorKind::ConnectionReset));
    assert_eq!(proxy.carried().reset, 1);
    let mut next = connect(&proxy).await;
    echo(&mut next, b"goes on").await;
}

#[tokio::test]
async fn a_broker_that_is_not_there_ends_the_connection() {
    let unused = crate::harness::ports::free();
    let proxy = Proxy::start(unused).await;
    let mut stream = connect(&proxy).await;
    over(&mut stream).await;
    until("the count", async || if proxy.carried().without_broker == 1 { Ok(()) } else { Err("0".to_owned()) }).await;
}
