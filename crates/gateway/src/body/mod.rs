//! Request bodies: their framing, and what they are checked against.

mod aws_chunked;
mod expected;
#[cfg(test)]
mod tests;

use actix_web::http::header::HeaderMap;

pub use aws_chunked::AwsChunked;
#[cfg(feature = "fuzzing")]
pub use aws_chunked::Trailers;
pub use expected::Expected;

/// Whether `Content-Encoding` names `aws-chunked`.
pub fn is_aws_chunked(headers: &HeaderMap) -> bool {
    let values = headers.get_all("content-encoding").filter_map(|value| value.to_str().ok());
    let mut codings = values.flat_map(|value| value.split(','));
    codings.any(|coding| coding.trim().eq_ignore_ascii_case("aws-chunked"))
}
