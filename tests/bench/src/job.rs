//! What the generator is asked to do and what it answers: one JSON object each.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// What one request is. `Mixed` is 45 % GET, 30 % HEAD, 15 % PUT, 10 % DELETE.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    Put,
    Get,
    Head,
    List,
    ListDelimiter,
    Delete,
    /// 100 keys in one request.
    DeleteBatch,
    Mixed,
    /// A whole upload: create, parts of 5 MiB, complete.
    Multipart,
}

/// How the body of a PUT is signed.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// `UNSIGNED-PAYLOAD`, without a checksum.
    Unsigned,
    /// Its SHA-256 in the signature, and its CRC-32 in a header.
    #[default]
    Signed,
    /// `STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`
    StreamingSigned,
    /// `STREAMING-UNSIGNED-PAYLOAD-TRAILER`
    StreamingUnsigned,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Job {
    /// `host:port`
    pub address: String,
    pub access_key: String,
    pub secret_key: String,
    pub region: String,
    pub operation: Operation,
    #[serde(default)]
    pub payload: Payload,
    pub bucket: String,
    /// Keys are `{prefix}{n % 100}/{n}`.
    pub prefix: String,
    pub size_bytes: usize,
    /// How many keys there are to read, list, delete or, if `overwrite`, to write again and again.
    #[serde(default)]
    pub keys: u64,
    #[serde(default)]
    pub overwrite: bool,
    /// Number of the first key that is written or deleted.
    #[serde(default)]
    pub first: u64,
    pub concurrency: usize,
    /// Ends after this time, or after so many requests, whatever comes first.
    pub seconds: f64,
    #[serde(default)]
    pub requests: Option<u64>,
    /// Requests per second that arrive whatever the server does (open loop); latency then counts
    /// from the arrival. Without it each connection asks again once it has its answer.
    #[serde(default)]
    pub rate: Option<f64>,
}

#[derive(Debug, Serialize)]
pub struct Report {
    pub requests: u64,
    pub seconds: f64,
    /// Bytes of contents that went either way.
    pub content_bytes: u64,
    pub latency_us: Latency,
    /// CPU time of the generator itself.
    pub generator_cpu_seconds: f64,
}

#[derive(Debug, PartialEq, Serialize)]
pub struct Latency {
    pub mean: f64,
    pub p50: u64,
    pub p90: u64,
    pub p99: u64,
    pub p999: u64,
    pub max: u64,
}

impl From<&Histogram<u64>> for Latency {
    fn from(histogram: &Histogram<u64>) -> Self {
        Self {
            mean: histogram.mean(),
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_recorded_values() {
        let mut histogram = Histogram::new(3).expect("3 digits are allowed");
        (1..=1000).for_each(|value| histogram.record(value).expect("it fits"));
        let latency = Latency::from(&histogram);
        assert_eq!((latency.p50, latency.p90, latency.p99), (500, 900, 990));
        assert_eq!((latency.p999, latency.max), (999, 1000));
        assert!((latency.mean - 500.5).abs() < 0.01, "{}", latency.mean);
    }
}
