//! `seriatim health`: asks a running host how it is, for probes that can only run a command.

use crate::config::Config;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// A host answers at once; one that does not within this time is stuck or gone.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Longest list of reasons that is read, in bytes.
const REASONS_MAX: u64 = 64 << 10;

/// Arguments of `health`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Ask whether the process can go on (/healthz) instead of whether it does its work (/readyz). For probes that restart it.
    #[arg(long)]
    live: bool,
    /// Where the host's telemetry listens, such as http://127.0.0.1:9464; without it, [telemetry] listen of the config file.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// Exit code 0 when the host says yes; else 1 with its reasons on standard error.
pub(super) fn main(path: &Path, args: &Args) -> ExitCode {
    let base = match &args.url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => match Config::load(path) {
            Ok(config) => format!("http://{}", reachable(config.telemetry.listen.value)),
            Err(problems) => {
                eprintln!("{problems}");
                return ExitCode::from(78);
            }
        },
    };
    let url = format!("{base}{}", if args.live { "/healthz" } else { "/readyz" });
    match ask(&url) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn ask(url: &str) -> Result<(), String> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        // A refusal comes with reasons; and what is asked is this very host, whatever the environment says of proxies.
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    let mut response = agent.get(url).call().map_err(|error| format!("{url}: {error}; is the host running, and does it listen there?"))?;
    if response.status().is_success() {
        return Ok(());
    }
    let reasons = response.body_mut().with_config().limit(REASONS_MAX).read_to_string();
    let reasons = reasons.unwrap_or_else(|error| format!("(its reasons cannot be read: {error})"));
    Err(format!("{url}: {}\n{}", response.status(), reasons.trim_end()))
}

/// An address that is listened on, as one that can be asked: "any" is not a destination.
pub(super) fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::reachable;

    #[test]
    fn an_unspecified_address_is_asked_on_the_loopback() {
        for (listen, asked) in [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:2", "[::1]:2"), ("10.0.0.1:3", "10.0.0.1:3")] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
