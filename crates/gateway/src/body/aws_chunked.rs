//! The `aws-chunked` coding: chunks with or without signatures, then perhaps trailer lines.
//!
//! ```text
//! 10000;chunk-signature=<64 hex>\r\n<65536 bytes>\r\n0;chunk-signature=<64 hex>\r\n
//! x-amz-checksum-crc32c:<base64>\r\nx-amz-trailer-signature:<64 hex>\r\n\r\n
//! ```
//!
//! Data is handed out as it arrives, before the signature of its chunk is known to be right: a
//! chunk may be as large as the object. Therefore **nothing may be made visible before
//! [`AwsChunked::finish`] has returned `Ok`**; on any error what was written must be discarded.
//!
//! Source: "Transferring Payload in Multiple Chunks" and "Including Trailing Headers" of the S3 API
//! reference.

use std::mem;

use bytes::{Buf as _, Bytes};
use model::Condition;
use sha2::{Digest as _, Sha256};

use crate::signature::{ChunkSigning, Refusal, Streaming};

/// Longest header line of a chunk. With a signature it has about 100 bytes.
const CHUNK_LINE_BYTES_MAX: usize = 1024;
/// Most bytes of all trailer lines together.
const TRAILER_BYTES_MAX: usize = 8 * 1024;
const SIGNATURE_NAME: &str = "x-amz-trailer-signature";

/// Trailer lines: name in lower case and trimmed value, in the order sent; never a name twice.
pub type Trailers = Vec<(String, String)>;

/// A decoder that is fed pieces of a body as they arrive.
pub struct AwsChunked {
    signing: Option<ChunkSigning>,
    trailer: bool,
    decoded_bytes_left: u64,
    chunk: Sha256,
    chunk_signature: String,
    state: State,
    line: Vec<u8>,
    trailers: Trailers,
    trailer_bytes: usize,
    trailer_signature: Option<String>,
    trailer_gap: bool,
    failed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    ChunkLine,
    Data {
        bytes_left: u64,
    },
    /// The line end behind the data of a chunk.
    DataEnd,
    TrailerLine,
    /// All has been read; one more empty line is tolerated.
    Complete {
        extra: bool,
    },
}

impl AwsChunked {
    /// - `decoded_bytes`: the value of `x-amz-decoded-content-length`.
    pub fn new(streaming: Streaming, decoded_bytes: u64) -> Self {
        Self {
            signing: streaming.signing,
            trailer: streaming.trailer,
            decoded_bytes_left: decoded_bytes,
            chunk: Sha256::new(),
            chunk_signature: String::new(),
            state: State::ChunkLine,
            line: Vec::new(),
            trailers: Vec::new(),
            trailer_bytes: 0,
            trailer_signature: None,
            trailer_gap: false,
            failed: false,
        }
    }

    /// Decodes the next piece; the slices returned share its memory.
    ///
    /// # Errors
    /// `SignatureDoesNotMatch`, `IncompleteBody` for broken framing or more data than announced,
    /// `MalformedTrailer`. After an error the decoder refuses everything.
    pub fn push(&mut self, mut piece: Bytes) -> Result<Vec<Bytes>, Refusal> {
        let mut decoded = Vec::new();
        if mem::replace(&mut self.failed, true) {
            return Err(broken("The body was refused before."));
        }
        while !piece.is_empty() {
            match self.state {
                State::Data { bytes_left } => decoded.push(self.data(&mut piece, bytes_left)?),
                _ => self.byte(piece.get_u8())?,
            }
        }
        self.failed = false;
        Ok(decoded)
    }

    /// Checks that the body came to its proper end.
    ///
    /// # Errors
    /// As [`Self::push`]; `IncompleteBody` when the final chunk or announced data is missing.
    pub fn finish(self) -> Result<Trailers, Refusal> {
        if self.failed || !matches!(self.state, State::Complete { .. }) || !self.line.is_empty() {
            return Err(broken("The request body terminated unexpectedly."));
        }
        Ok(self.trailers)
    }

    fn data(&mut self, piece: &mut Bytes, bytes_left: u64) -> Result<Bytes, Refusal> {
        let there = usize::try_from(bytes_left).unwrap_or(usize::MAX).min(piece.len());
        let data = piece.split_to(there);
        if self.signing.is_some() {
            self.chunk.update(&data);
        }
        let bytes_left = bytes_left.saturating_sub(there as u64);
        if bytes_left == 0 {
            self.check_chunk()?;
            self.state = State::DataEnd;
        } else {
            self.state = State::Data { bytes_left };
        }
        Ok(data)
    }

    /// Everything but data is read in lines.
    fn byte(&mut self, byte: u8) -> Result<(), Refusal> {
        let limit = match self.state {
            State::ChunkLine => CHUNK_LINE_BYTES_MAX,
            State::TrailerLine => TRAILER_BYTES_MAX.saturating_sub(self.trailer_bytes),
            State::Data { .. } | State::DataEnd | State::Complete { .. } => 2,
        };
        if self.line.len() >= limit {
            return Err(self.malformed_line());
        }
        self.line.push(byte);
        if byte != b'\n' {
            return Ok(());
        }
        let line = mem::take(&mut self.line);
        match self.state {
            State::ChunkLine => self.chunk_line(&line),
            State::TrailerLine => self.trailer_line(&line),
            State::Complete { extra: false } if line == b"\r\n" => {
                self.state = State::Complete { extra: true };
                Ok(())
            }
            State::DataEnd if line == b"\r\n" => {
                self.state = State::ChunkLine;
                Ok(())
            }
            _ => Err(self.malformed_line()),
        }
    }

    fn malformed_line(&self) -> Refusal {
        match self.state {
            State::TrailerLine => malformed_trailer(),
            _ => broken("The chunks of the request body are not well-formed."),
        }
    }

    /// `size[;chunk-signature=signature]\r\n`
    fn chunk_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        let text = line.strip_suffix(b"\r\n").and_then(|line| str::from_utf8(line).ok());
        let text = text.ok_or_else(|| self.malformed_line())?;
        let (size, extension) = text.split_once(';').unwrap_or((text, ""));
        let digits = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = if digits { u64::from_str_radix(size, 16).ok() } else { None };
        let size = size.ok_or_else(|| self.malformed_line())?;
        self.chunk_signature.clear();
        if self.signing.is_some() {
            let signature = extension.trim().strip_prefix("chunk-signature=");
            let signature = signature.ok_or_else(|| self.malformed_line())?;
            self.chunk_signature.push_str(signature.trim());
        }
        let left = self.decoded_bytes_left.checked_sub(size);
        self.decoded_bytes_left = left.ok_or_else(wrong_length)?;
        if size > 0 {
            self.state = State::Data { bytes_left: size };
            return Ok(());
        }
        if self.decoded_bytes_left > 0 {
            return Err(wrong_length());
        }
        self.check_chunk()?;
        self.state = State::TrailerLine;
        Ok(())
    }

    fn check_chunk(&mut self) -> Result<(), Refusal> {
        let sha256 = self.chunk.finalize_reset().into();
        match &mut self.signing {
            Some(signing) => signing.check_chunk(sha256, &self.chunk_signature),
            None => Ok(()),
        }
    }

    /// One client ends trailer lines with a bare line feed, and puts an empty line before the
    /// signature or behind the end; hence the leniency here.
    fn trailer_line(&mut self, line: &[u8]) -> Result<(), Refusal> {
        self.trailer_bytes += line.len();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return self.empty_trailer_line();
        }
        let text = str::from_utf8(line).ok().filter(|line| !line.contains(char::is_control));
        let parts = text.filter(|_| self.trailer).and_then(|text| text.split_once(':'));
        let (name, value) = parts.ok_or_else(malformed_trailer)?;
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
        let repeated = self.trailers.iter().any(|(known, _)| *known == name);
        // Behind the signature nothing would be signed.
        if name.is_empty() || repeated || self.trailer_signature.is_some() {
            return Err(malformed_trailer());
        }
        if name == SIGNATURE_NAME && self.signing.is_some() {
            self.trailer_signature = Some(value);
        } else if self.trailer_gap {
            return Err(malformed_trailer());
        } else {
            self.trailers.push((name, value));
        }
        Ok(())
    }

    fn empty_trailer_line(&mut self) -> Result<(), Refusal> {
        let signature = match (&self.signing, self.trailer, self.trailer_signature.take()) {
            (Some(_), true, None) if !mem::replace(&mut self.trailer_gap, true) => return Ok(()),
            (_, _, signature) => signature.unwrap_or_default(),
        };
        if let (Some(signing), true) = (&mut self.signing, self.trailer) {
            let lines: String =
                self.trailers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
            signing.check_trailer(lines.as_bytes(), &signature)?;
        }
        self.state = State::Complete { extra: false };
        Ok(())
    }
}

fn broken(detail: &str) -> Refusal {
    Refusal::new(Condition::IncompleteBody, detail)
}

fn wrong_length() -> Refusal {
    broken("The data in the chunks differs in length from the x-amz-decoded-content-length header.")
}

fn malformed_trailer() -> Refusal {
    let detail = "The request contained trailing data that was not well-formed or did not conform \
        to our published schema.";
    Refusal::new(Condition::MalformedTrailer, detail)
}
