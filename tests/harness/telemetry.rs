//! What the host says about itself: `/healthz`, `/readyz`, `/metrics`. One small request at a time; no HTTP library needed for that.

use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Status code and body of a GET.
pub async fn get(port: u16, path: &str) -> Result<(u16, String), String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = match tokio::time::timeout(Duration::from_secs(5), exchange).await {
        Ok(answer) => answer.map_err(|error| format!("{path}: {error}"))?,
        Err(_) => return Err(format!("{path}: no answer in 5 s")),
    };
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("{path}: not HTTP: {answer}"))?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(|| format!("{path}: no status: {head}"))?;
    Ok((status, body.to_owned()))
}

/// The sum over all series of `name` that carry all of `labels`; 0 without any.
pub fn sum(metrics: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let wanted: Vec<_> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    metrics
        .lines()
        .filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (found, rest) = series.split_once('{').unwrap_or((series, ""));
            (found == name && wanted.iter().all(|label| rest.contains(label))).then(|| value.parse::<f64>().ok())?
        })
        .sum()
}

#[test]
fn series_are_summed_by_name_and_labels() {
    let text = "# TYPE a gauge\na{p=\"x\",r=\"gap\"} 2\na{p=\"y\",r=\"gap\"} 3\na{p=\"x\",r=\"retry\"} 4\nab 9\n";
    assert!((sum(text, "a", &[("r", "gap")]) - 5.0).abs() < 1e-9);
    assert!((sum(text, "a", &[]) - 9.0).abs() < 1e-9);
    assert!(sum(text, "b", &[]).abs() < 1e-9);
}
