//! Who signed a request: one verifier for every scheme of both protocols.
//!
//! [`claim`] reads what a request says about its signer; [`Claim::verify`] checks that with the
//! secret of the named key. Both are pure. Every scheme yields [`Attempt`]s, the texts its client
//! may have signed; keys, clocks, comparison and the answer to a mismatch are shared, so no scheme
//! can lack a check.
//!
//! Sources: "Authenticating Requests (AWS Signature Version 4)" and "Signing and authenticating
//! REST requests" of the S3 manuals; "Include signatures in the Authorization header" and "Include
//! signatures in the URL" of the OSS manuals.

mod canonical;
mod claim;
mod form;
mod mac;
mod nonces;
mod oss_v1;
mod oss_v2;
mod oss_v4;
mod payload;
mod refusal;
mod rpc;
mod s3_v2;
mod s3_v4;
mod scheme;
mod scope;
#[cfg(any(test, feature = "fuzzing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod unsigned;
mod validity;

use actix_web::http::header::HeaderMap;

use crate::address::Address;

pub use claim::{Claim, Verified, claim};
pub use form::claim_form;
pub use nonces::Nonces;
pub use payload::{ChunkSigning, Payload, Streaming, unsigned_payload};
pub use refusal::Refusal;
pub use rpc::{STRING_TO_SIGN, rpc_claim};
pub use scheme::{Scheme, scheme};

/// What a signature covers.
#[derive(Clone, Copy, Debug)]
pub struct SignedRequest<'a> {
    /// Upper case, as sent.
    pub method: &'a str,
    /// As on the wire, without the query.
    pub raw_path: &'a str,
    /// As on the wire, without the `?`.
    pub raw_query: &'a str,
    pub headers: &'a HeaderMap,
    /// Stands in for a `Host` header too, which HTTP/2 does not send.
    pub address: &'a Address,
    /// Of the body, where that is a form for IAM or STS: their clients sign it without saying it.
    pub form_sha256: Option<[u8; 32]>,
}

/// A text the client may have signed.
struct Attempt {
    string_to_sign: Vec<u8>,
    /// Where the signed text holds only a hash of it.
    canonical_request: Option<Vec<u8>>,
}
