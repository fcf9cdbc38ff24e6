//! A raw loop in a process of its own, as the host is one: the processor time of a loop is then that of its process, and nobody's runtime is in
//! another's way. The parent starts this program again with `loop`; the child prints one line of JSON at its end.

use crate::ground::{Ground, Measured, Source, Used, now};
use crate::load::Order;
use crate::raw::{self, Raw};
use crate::report::Loop;
use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum as _;
use seriatim_tests::harness::SOURCE;
use std::process::Stdio;
use tokio::process::Command;
use tokio::runtime;

/// What a child is told.
#[derive(clap::Args)]
pub(crate) struct Errand {
    /// Which loop
    #[arg(long)]
    kind: Loop,
    /// Where the broker listens
    #[arg(long)]
    url: String,
    /// Its process, to ask for its processor time
    #[arg(long)]
    broker: u32,
    /// Messages to process
    #[arg(long)]
    messages: u64,
}

/// The child's whole life. What one writes by hand runs on the runtime that `#[tokio::main]` gives, the others where they are fastest: in one thread.
pub(crate) fn main(errand: &Errand) -> Result<()> {
    let by_hand = matches!(errand.kind, Loop::Idiomatic | Loop::IdiomaticReceive);
    let mut builder = if by_hand { runtime::Builder::new_multi_thread() } else { runtime::Builder::new_current_thread() };
    let measured = builder.enable_all().build().context("cannot start a runtime")?.block_on(run(errand))?;
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

async fn run(errand: &Errand) -> Result<Measured> {
    let used = || Used::now(std::process::id(), errand.broker);
    let started = now()?;
    let (reading, raw) = Raw::open(&errand.url, errand.kind, SOURCE).await?;
    let before = used()?;
    raw.process(errand.messages).await?;
    let finished = now()?;
    Ok(Measured { started, reading, finished, used: used()?.since(before) })
}

/// Starts a child on its errand.
pub(crate) fn start(ground: &Ground, kind: Loop, messages: u64) -> Result<tokio::process::Child> {
    let value = kind.to_possible_value().context("a loop without a name")?;
    let program = std::env::current_exe().context("cannot find this program")?;
    let mut command = Command::new(program);
    command.args(["loop", "--kind", value.get_name(), "--url", &ground.broker.url()]);
    command.args(["--broker", &ground.broker.id().to_string(), "--messages", &messages.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    command.spawn().context("cannot start a loop's process")
}

/// What the child measured, when it has ended.
pub(crate) async fn ended(child: tokio::process::Child) -> Result<Measured> {
    let output = child.wait_with_output().await.context("cannot wait for a loop's process")?;
    ensure!(output.status.success(), "the loop's process failed ({})", output.status);
    serde_json::from_slice(&output.stdout).context("the loop's process printed something else")
}

/// Runs a raw loop over the whole source, and checks what came out.
pub(crate) async fn measure(ground: &Ground, source: &Source, kind: Loop) -> Result<Measured> {
    ground.clear_consumers().await?;
    if kind.has_output() {
        ground.create(raw::STREAM, &format!("{}.>", raw::TO)).await?;
    }
    let measured = ended(start(ground, kind, source.messages)?).await?;
    if kind.has_output() {
        ground.check(raw::STREAM, "Seriatim-Sequence", source.load, Order::Any).await?;
        ground.delete(raw::STREAM).await?;
    }
    ground.clear_consumers().await?;
    Ok(measured)
}
