//! What is told of every request: one log line, and figures per operation.

use std::{error::Error as _, time::Duration};

use model::Condition;
use service::Error;

use crate::dialect::Dialect;

/// One finished request.
#[derive(Clone, Copy, Debug)]
pub struct Record {
    pub operation: &'static str,
    pub dialect: Dialect,
    pub status: u16,
    pub elapsed: Duration,
    /// Bytes of the body that came in.
    pub received: u64,
}

impl Record {
    /// Logs the request: 5xx as errors with their cause, 4xx as information, the rest for tracing.
    /// That a client shall come back later, or that there is no space, is no error of this request:
    /// it is said often, and its cause is logged where it begins.
    pub fn log(&self, error: Option<&Error>) {
        let Self { operation, status, received, .. } = *self;
        let (dialect, ms) = (self.dialect_name(), self.elapsed.as_millis());
        let condition = error.map(|error| error.to_string()).unwrap_or_default();
        let put_off =
            |error: &Error| matches!(error.condition, Condition::SlowDown | Condition::OutOfSpace);
        match status {
            500.. if !error.is_some_and(put_off) => {
                let source = error.and_then(|error| error.source()).map(ToString::to_string);
                let source = source.unwrap_or_default();
                tracing::error!(
                    operation,
                    dialect,
                    status,
                    ms,
                    received,
                    condition,
                    source,
                    "request failed"
                );
            }
            400.. => tracing::info!(
                operation,
                dialect,
                status,
                ms,
                received,
                condition,
                "request refused"
            ),
            _ => tracing::debug!(operation, dialect, status, ms, received, "request served"),
        }
    }

    /// Counts the request, and returns what counts the bytes that go out.
    pub fn count(&self) -> impl Fn(usize) + use<> {
        let (operation, dialect) = (self.operation, self.dialect_name());
        let labels = [("operation", operation), ("dialect", dialect)];
        let status = self.status.to_string();
        metrics::counter!(
            "larder_requests_total",
            "operation" => operation, "dialect" => dialect, "status" => status
        )
        .increment(1);
        if self.status >= 500 {
            metrics::counter!("larder_request_errors_total", &labels).increment(1);
        }
        metrics::histogram!("larder_request_seconds", &labels).record(self.elapsed.as_secs_f64());
        metrics::counter!("larder_received_bytes_total", &labels).increment(self.received);
        let sent = metrics::counter!("larder_sent_bytes_total", &labels);
        move |bytes| sent.increment(bytes as u64)
    }

    fn dialect_name(&self) -> &'static str {
        match self.dialect {
            Dialect::S3 => "s3",
            Dialect::Oss => "oss",
        }
    }
}
