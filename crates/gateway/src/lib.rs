//! How S3 and OSS say it: HTTP, signatures, headers, XML and error codes.
//!
//! The life of a request is in `pipeline`; what there is to ask for, in `operations`.

#![cfg_attr(
    any(test, feature = "fuzzing"),
    allow(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used,
        reason = "a test that fails says where"
    )
)]

mod address;
mod admin;
mod body;
mod cors;
#[cfg(feature = "counting")]
#[doc(hidden)]
pub mod counting;
pub mod dialect;
mod encoding;
mod errors;
mod facts;
mod form;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod http;
pub mod iam;
mod metrics;
pub mod operations;
mod pipeline;
mod rpc;
mod settings;
mod signature;
mod wire;
mod xml;

pub use admin::report_json;
pub use http::{Running, Stopper, beyond, start};
pub use settings::{MetricsPage, Patience, Settings};
