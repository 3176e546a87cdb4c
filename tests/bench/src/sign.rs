//! Signatures V4, as the SDKs make them: in headers, and over the chunks of a body.
//!
//! Source: "Authenticating Requests: Using the Authorization Header" and "Signature calculations
//! for trailing headers" of the Amazon S3 API reference; the tests have their examples.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// Keys of one account.
#[derive(Clone)]
pub struct Signer {
    pub access_key: String,
    pub secret_key: String,
    pub region: String,
}

/// What is signed of a request. `path` and `query` are encoded already, `query` is sorted;
/// `headers` have lower-case names, are sorted, and include `host` and `x-amz-date`.
pub struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a [(&'a str, &'a str)],
    pub payload_hash: &'a str,
}

/// The chain of signatures over a body in chunks; it begins with that of the request.
pub struct Chain {
    key: Vec<u8>,
    head: String,
    previous: String,
}

/// Lower-case hexadecimal SHA-256.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // A key of any length is fine for HMAC, so that the other arm is never taken.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

impl Signer {
    /// The value of `Authorization`, and the chain for the chunks. `time`: `20130524T000000Z`.
    pub fn sign(&self, time: &str, request: &Request) -> (String, Chain) {
        let day = time.split('T').next().unwrap_or_default();
        let scope = format!("{day}/{}/s3/aws4_request", self.region);
        let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let mut canonical = format!("{}\n{}\n{}\n", request.method, request.path, request.query);
        for (name, value) in request.headers {
            canonical += &format!("{name}:{value}\n");
        }
        canonical += &format!("\n{names}\n{}", request.payload_hash);

        let first = format!("AWS4{}", self.secret_key);
        let key = [day, &self.region, "s3", "aws4_request"];
        let key = key.iter().fold(first.into_bytes(), |key, text| hmac(&key, text));
        let head = format!("{time}\n{scope}\n");
        let text = format!("AWS4-HMAC-SHA256\n{head}{}", sha256_hex(canonical.as_bytes()));
        let signature = hex::encode(hmac(&key, &text));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={signature}",
            self.access_key
        );
        (authorization, Chain { key, head, previous: signature })
    }
}

impl Chain {
    /// The signature of the next chunk, whose SHA-256 is `hash`.
    pub fn chunk(&mut self, hash: &str) -> &str {
        self.next("AWS4-HMAC-SHA256-PAYLOAD", &format!("{}\n{hash}", sha256_hex(b"")))
    }

    /// The signature of the trailer `name: value`, which ends the chain.
    pub fn trailer(&mut self, name: &str, value: &str) -> &str {
        let hash = sha256_hex(format!("{name}:{value}\n").as_bytes());
        self.next("AWS4-HMAC-SHA256-TRAILER", &hash)
    }

    fn next(&mut self, kind: &str, hashes: &str) -> &str {
        let text = format!("{kind}\n{}{}\n{hashes}", self.head, self.previous);
        self.previous = hex::encode(hmac(&self.key, &text));
        &self.previous
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "20130524T000000Z";

    fn signer() -> Signer {
        Signer {
            access_key: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            region: "us-east-1".into(),
        }
    }

    #[test]
    fn get_object_is_signed_as_in_the_published_example() {
        let empty = sha256_hex(b"");
        let (authorization, _) = signer().sign(
            TIME,
            &Request {
                method: "GET",
                path: "/test.txt",
                query: "",
                headers: &[
                    ("host", "examplebucket.s3.amazonaws.com"),
                    ("range", "bytes=0-9"),
                    ("x-amz-content-sha256", &empty),
                    ("x-amz-date", TIME),
                ],
                payload_hash: &empty,
            },
        );
        assert_eq!(
            authorization,
            "AWS4-HMAC-SHA256 \
             Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
             SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,\
             Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
    }

    #[test]
    fn chunks_and_trailer_are_signed_as_in_the_published_example() {
        let mode = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
        let (authorization, mut chain) = signer().sign(
            TIME,
            &Request {
                method: "PUT",
                path: "/examplebucket/chunkObject.txt",
                query: "",
                headers: &[
                    ("content-encoding", "aws-chunked"),
                    ("host", "s3.amazonaws.com"),
                    ("x-amz-content-sha256", mode),
                    ("x-amz-date", TIME),
                    ("x-amz-decoded-content-length", "66560"),
                    ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
                    ("x-amz-trailer", "x-amz-checksum-crc32c"),
                ],
                payload_hash: mode,
            },
        );
        let seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e";
        assert!(authorization.ends_with(seed), "{authorization}");
        let chunks = [
            (65536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
            (1024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
            (0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"),
        ];
        for (length, signature) in chunks {
            assert_eq!(chain.chunk(&sha256_hex(&vec![b'a'; length])), signature);
        }
        assert_eq!(
            chain.trailer("x-amz-checksum-crc32c", "sOO8/Q=="),
            "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
        );
    }
}
