//! Keeps connections busy: in a closed loop, or in an open one with requests at a given rate.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::connection::Connection;
use crate::job::{Latency, Report};
use crate::requests::{Memory, Work};

const MINUTE_US: u64 = 60_000_000;

/// What is common to all workers.
struct Shared {
    work: Work,
    start: Instant,
    next: AtomicU64,
    requests_max: u64,
}

/// What one worker did.
struct Tally {
    latency_us: Histogram<u64>,
    content_bytes: u64,
}

impl Tally {
    fn new() -> Result<Self> {
        // Three digits, and what takes longer than 10 minutes counts as 10 minutes.
        let latency_us = Histogram::new_with_bounds(1, 10 * MINUTE_US, 3)?;
        Ok(Self { latency_us, content_bytes: 0 })
    }
}

/// # Errors
/// The first unexpected answer or broken connection.
pub async fn run(work: Work) -> Result<Report> {
    let mut connections = Vec::new();
    for _ in 0..work.job.concurrency {
        connections.push(Connection::open(&work.job).await?);
    }
    let requests_max = work.job.requests.unwrap_or(u64::MAX).min(work.requests_max());
    let cpu = cpu_seconds()?;
    let start = Instant::now();
    let shared = Arc::new(Shared { work, start, next: AtomicU64::new(0), requests_max });
    let mut workers = JoinSet::new();
    for connection in connections {
        workers.spawn(worker(shared.clone(), connection));
    }
    let mut total = Tally::new()?;
    while let Some(tally) = workers.join_next().await {
        let tally = tally??;
        total.latency_us.add(&tally.latency_us)?;
        total.content_bytes += tally.content_bytes;
    }
    Ok(Report {
        requests: total.latency_us.len(),
        seconds: start.elapsed().as_secs_f64(),
        content_bytes: total.content_bytes,
        latency_us: Latency::from(&total.latency_us),
        generator_cpu_seconds: cpu_seconds()? - cpu,
    })
}

async fn worker(shared: Arc<Shared>, mut connection: Connection) -> Result<Tally> {
    let job = &shared.work.job;
    let end = shared.start + Duration::from_secs_f64(job.seconds);
    let mut tally = Tally::new()?;
    let mut memory = Memory::default();
    loop {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let due = match job.rate {
            Some(rate) => shared.start + Duration::from_secs_f64(number as f64 / rate),
            None => Instant::now(),
        };
        if number >= shared.requests_max || due >= end {
            return Ok(tally);
        }
        if job.rate.is_some() {
            sleep_until(due).await;
        }
        let bytes = shared.work.run(&mut connection, &mut memory, number).await?;
        tally.latency_us.saturating_record(due.elapsed().as_micros() as u64);
        tally.content_bytes += bytes as u64;
    }
}

/// CPU time of this thread, which does all the work.
fn cpu_seconds() -> Result<f64> {
    let text = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = text.split(' ').next().context("an empty schedstat")?.parse::<u64>()?;
    Ok(nanoseconds as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::content::contents;

    /// Runs one GET of 4 KiB against a server that answers `head` and `body`.
    async fn run_against(head: &str, body: &[u8]) -> Result<Report> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let job = json!({
            "address": listener.local_addr().expect("it is bound").to_string(),
            "access_key": "key", "secret_key": "secret", "region": "us-east-1",
            "operation": "get", "bucket": "b", "prefix": "p/", "size_bytes": 4096, "keys": 1,
            "concurrency": 1, "seconds": 10.0, "requests": 1,
        });
        let answer = [head.as_bytes(), body].concat();
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut request = vec![0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        };
        let work = Work::new(serde_json::from_value(job).expect("a job"));
        tokio::join!(run(work), server).0
    }

    fn right_body() -> Vec<u8> {
        contents(4096, false)[0].plain().concat()
    }

    #[tokio::test]
    async fn a_right_answer_counts() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 4096\r\n\r\n";
        let report = run_against(head, &right_body()).await.expect("it is right");
        assert_eq!((report.requests, report.content_bytes), (1, 4096));
    }

    #[tokio::test]
    async fn a_wrong_status_length_or_byte_fails_the_run() {
        let error = "HTTP/1.1 503 Slow Down\r\ncontent-length: 4096\r\n\r\n";
        let text = run_against(error, &right_body()).await.expect_err("a wrong status");
        assert!(format!("{text:#}").contains("status 503"), "{text:#}");

        let short = "HTTP/1.1 200 OK\r\ncontent-length: 4095\r\n\r\n";
        let text = run_against(short, &right_body()[..4095]).await.expect_err("too short");
        assert!(format!("{text:#}").contains("4095 bytes"), "{text:#}");

        let right = "HTTP/1.1 200 OK\r\ncontent-length: 4096\r\n\r\n";
        let mut body = right_body();
        body[4095] ^= 1;
        let text = run_against(right, &body).await.expect_err("a wrong byte");
        assert!(format!("{text:#}").contains("wrong content"), "{text:#}");
    }
}
