//! Bodies as clients send them.

mod chunks;
mod expectations;

use actix_web::http::header::{CONTENT_ENCODING, HeaderMap, HeaderValue};

use super::is_aws_chunked;

#[test]
fn the_coding_is_found_in_any_place_and_case() {
    for (sent, found) in [
        ("aws-chunked", true),
        ("AWS-Chunked,gzip", true),
        ("gzip, aws-chunked", true),
        ("gzip", false),
        ("", false),
    ] {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(sent));
        assert_eq!(is_aws_chunked(&headers), found, "{sent}");
    }
}
