//! S3's checksum headers and elements: how values are named, written and read.
//!
//! The values themselves are computed below `service`; a body's own are compared in `body`.

use actix_web::http::header::HeaderMap;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use model::{
    Condition,
    checksums::Algorithm,
    records::{Checksum, ChecksumKind},
};
use service::{Error, Result};

use super::attributes::text;
use crate::xml::Writer;

/// The header that names the algorithm of an object to be.
const ALGORITHM: &str = "x-amz-checksum-algorithm";
/// The header that says whether a checksum covers the bytes or the parts' checksums.
const KIND: &str = "x-amz-checksum-type";

/// `CRC32` and its kin, as elements and headers name an algorithm.
pub fn name(algorithm: Algorithm) -> String {
    algorithm.name().to_ascii_uppercase()
}

/// `FULL_OBJECT` or `COMPOSITE`.
pub const fn kind_name(kind: ChecksumKind) -> &'static str {
    match kind {
        ChecksumKind::FullObject => "FULL_OBJECT",
        ChecksumKind::Composite => "COMPOSITE",
    }
}

/// The value in base64; one of an object's `parts` is followed by their number.
pub fn value(checksum: &Checksum, parts: Option<u32>) -> String {
    let value = BASE64.encode(&checksum.value);
    match (checksum.kind, parts) {
        (ChecksumKind::Composite, Some(parts)) => format!("{value}-{parts}"),
        _ => value,
    }
}

/// The header of a checksum: name and value.
pub fn header(checksum: &Checksum, parts: Option<u32>) -> (String, String) {
    (header_name(checksum.algorithm), value(checksum, parts))
}

/// Adds `ChecksumCRC32` and its kin to a document.
pub fn write(xml: &mut Writer, checksum: Option<&Checksum>, parts: Option<u32>) {
    if let Some(checksum) = checksum {
        xml.text(&element(checksum.algorithm), value(checksum, parts));
    }
}

/// The element that holds a value of `algorithm`.
pub fn element(algorithm: Algorithm) -> String {
    format!("Checksum{}", name(algorithm))
}

/// Whether a read asks for the checksums: `x-amz-checksum-mode: ENABLED`.
///
/// # Errors
/// `InvalidArgument` for a header that is no UTF-8.
pub fn wanted(headers: &HeaderMap) -> Result<bool> {
    let mode = text(headers, "x-amz-checksum-mode")?;
    Ok(mode.is_some_and(|mode| mode.eq_ignore_ascii_case("enabled")))
}

/// The algorithm of `x-amz-checksum-algorithm`.
///
/// # Errors
/// `InvalidRequest` for an unknown one.
pub fn algorithm(headers: &HeaderMap) -> Result<Option<Algorithm>> {
    let Some(value) = text(headers, ALGORITHM)?.filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    Algorithm::parse(value).map(Some).ok_or_else(|| {
        let detail = "Checksum algorithm provided is unsupported. Please try again with any of the \
                      valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]";
        Error::new(Condition::InvalidRequest, detail)
    })
}

/// Algorithm and kind a new upload declares, with the kind S3 takes when none is said.
///
/// # Errors
/// `InvalidRequest` for a kind without an algorithm, and for pairs S3 does not have.
pub fn of_upload(headers: &HeaderMap) -> Result<Option<(Algorithm, ChecksumKind)>> {
    let kind = kind(headers)?;
    let Some(algorithm) = algorithm(headers)? else {
        return match kind {
            None => Ok(None),
            Some(_) => Err(refused(format!(
                "The {KIND} header can only be used with the {ALGORITHM} header."
            ))),
        };
    };
    let allowed: &[ChecksumKind] = match algorithm {
        Algorithm::Crc64Nvme => &[ChecksumKind::FullObject],
        Algorithm::Crc32 | Algorithm::Crc32c => {
            &[ChecksumKind::Composite, ChecksumKind::FullObject]
        }
        _ => &[ChecksumKind::Composite],
    };
    match kind.or(allowed.first().copied()) {
        Some(kind) if allowed.contains(&kind) => Ok(Some((algorithm, kind))),
        other => Err(refused(format!(
            "The {} checksum type cannot be used with the {} checksum algorithm.",
            other.map_or("", kind_name),
            algorithm.name()
        ))),
    }
}

/// The whole object's checksum that a completion carries.
///
/// - `parts`: how many parts the request lists; a composite value names their number.
///
/// # Errors
/// `ChecksumMismatch` for a value that cannot be right, `InvalidRequest` for two of them or a kind
/// that does not fit the value.
pub fn of_completion(headers: &HeaderMap, parts: Option<usize>) -> Result<Option<Checksum>> {
    let kind = kind(headers)?;
    let mut found = None;
    for algorithm in Algorithm::S3 {
        let Some(given) = text(headers, &header_name(algorithm))? else { continue };
        if found.is_some() {
            let detail = "Expecting a single x-amz-checksum- header. Multiple checksum Types are \
                          not allowed.";
            return Err(refused(detail.to_owned()));
        }
        found = Some(completed(algorithm, given, kind, parts)?);
    }
    Ok(found)
}

/// Reads a part's checksum as the list of a completion gives it.
///
/// # Errors
/// `InvalidPart` for a value of no right form.
pub fn of_part(algorithm: Algorithm, given: &str) -> Result<Vec<u8>> {
    decode(algorithm, given).ok_or_else(|| Condition::InvalidPart.into())
}

fn completed(
    algorithm: Algorithm,
    given: &str,
    kind: Option<ChecksumKind>,
    parts: Option<usize>,
) -> Result<Checksum> {
    let mismatch = || {
        let name = algorithm.name();
        let detail = format!("The {name} you specified did not match the calculated checksum.");
        Error::new(Condition::ChecksumMismatch, detail)
    };
    let (value, count) = match given.split_once('-') {
        Some((value, count)) => (value, Some(count.parse::<usize>().map_err(|_| mismatch())?)),
        None => (given, None),
    };
    let wrong_count = count.is_some() && parts.is_some() && count != parts;
    let value = decode(algorithm, value).filter(|_| !wrong_count).ok_or_else(mismatch)?;
    let shape = match (count, algorithm.combines()) {
        (Some(_), _) | (None, false) => ChecksumKind::Composite,
        (None, true) => kind.unwrap_or(ChecksumKind::FullObject),
    };
    if kind.is_some_and(|kind| kind != shape) {
        return Err(refused(format!("The value of the {KIND} header does not fit the checksum.")));
    }
    Ok(Checksum { algorithm, value, kind: shape })
}

fn kind(headers: &HeaderMap) -> Result<Option<ChecksumKind>> {
    match text(headers, KIND)? {
        None | Some("") => Ok(None),
        Some(value) if value.eq_ignore_ascii_case("FULL_OBJECT") => {
            Ok(Some(ChecksumKind::FullObject))
        }
        Some(value) if value.eq_ignore_ascii_case("COMPOSITE") => Ok(Some(ChecksumKind::Composite)),
        Some(_) => Err(refused(format!("Value for {KIND} header is invalid."))),
    }
}

fn header_name(algorithm: Algorithm) -> String {
    format!("x-amz-checksum-{}", algorithm.name())
}

fn decode(algorithm: Algorithm, given: &str) -> Option<Vec<u8>> {
    BASE64.decode(given.trim()).ok().filter(|value| value.len() == algorithm.size_bytes())
}

fn refused(detail: String) -> Error {
    Error::new(Condition::InvalidRequest, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::attributes::tests::headers;

    fn upload(algorithm: &str, kind: &str) -> Result<Option<(Algorithm, ChecksumKind)>> {
        of_upload(&headers(&[(ALGORITHM, algorithm), (KIND, kind)]))
    }

    #[test]
    fn each_algorithm_has_its_kinds() {
        use ChecksumKind::{Composite, FullObject};
        for (algorithm, kind, expected) in [
            ("CRC32", "", Composite),
            ("crc32c", "", Composite),
            ("CRC32", "FULL_OBJECT", FullObject),
            ("CRC64NVME", "", FullObject),
            ("SHA256", "", Composite),
            ("SHA1", "COMPOSITE", Composite),
        ] {
            let algorithm_read = Algorithm::parse(algorithm).unwrap();
            assert_eq!(upload(algorithm, kind).unwrap(), Some((algorithm_read, expected)));
        }
        assert_eq!(upload("", "").unwrap(), None);
        for (algorithm, kind, detail) in [
            (
                "CRC64NVME",
                "COMPOSITE",
                "The COMPOSITE checksum type cannot be used with the crc64nvme checksum algorithm.",
            ),
            (
                "SHA256",
                "FULL_OBJECT",
                "The FULL_OBJECT checksum type cannot be used with the sha256 checksum algorithm.",
            ),
            (
                "",
                "COMPOSITE",
                "The x-amz-checksum-type header can only be used with the \
                 x-amz-checksum-algorithm header.",
            ),
            ("SHA1", "x", "Value for x-amz-checksum-type header is invalid."),
        ] {
            let error = upload(algorithm, kind).unwrap_err();
            assert_eq!(error.condition, Condition::InvalidRequest);
            assert_eq!(error.detail.as_deref(), Some(detail));
        }
    }

    #[test]
    fn a_composite_value_names_the_number_of_parts() {
        let checksum = Checksum {
            algorithm: Algorithm::Crc32,
            value: vec![0xcb, 0xf4, 0x39, 0x26],
            kind: ChecksumKind::Composite,
        };
        assert_eq!(value(&checksum, Some(2)), "y/Q5Jg==-2");
        assert_eq!(value(&checksum, None), "y/Q5Jg==");
        let map = headers(&[("x-amz-checksum-crc32", "y/Q5Jg==-2")]);
        assert_eq!(of_completion(&map, Some(2)).unwrap(), Some(checksum));
        let error = of_completion(&map, Some(3)).unwrap_err();
        assert_eq!(error.condition, Condition::ChecksumMismatch);
    }

    #[test]
    fn a_value_of_a_completion_that_cannot_be_right_is_a_mismatch() {
        for given in ["bad", "", "y/Q5Jg==-x", "y/Q5Jg"] {
            let map = headers(&[("x-amz-checksum-crc32", given)]);
            let error = of_completion(&map, Some(1)).unwrap_err();
            assert_eq!(error.condition, Condition::ChecksumMismatch, "{given}");
        }
        let map = headers(&[("x-amz-checksum-crc32", "y/Q5Jg==")]);
        let full = of_completion(&map, Some(1)).unwrap().map(|checksum| checksum.kind);
        assert_eq!(full, Some(ChecksumKind::FullObject));
    }
}
