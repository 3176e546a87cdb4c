//! Reading a body that is one document, within limits.

use bytes::{Bytes, BytesMut};
use model::{
    Condition,
    checksums::{Algorithm, Hasher, crc64},
    limits::XML_DEPTH_MAX,
    records::{Checksum, ChecksumKind},
};
use quick_xml::{
    Reader,
    events::{BytesStart, Event},
};
use serde::{
    de::{DeserializeOwned, Deserializer, Error as _, Visitor, value::Error as ValueError},
    forward_to_deserialize_any,
};
use service::body::{Body, Digests};

use super::{Request, Result};

/// Reads the whole body and checks everything the client said of it.
pub async fn collect(request: &mut Request, bytes_max: usize) -> Result<Bytes> {
    if request.arriving.is_none() {
        // Only permission is asked: `wanted_body` tells that this takes the body.
        return Err(Condition::MissingRequestBody.into());
    }
    let mut body = request.body()?;
    if body.length_bytes().is_some_and(|length| length > bytes_max as u64) {
        return Err(Condition::MaxMessageLengthExceeded.into());
    }
    let mut whole = BytesMut::new();
    while let Some(bytes) = body.next().await {
        let bytes = bytes?;
        if whole.len() + bytes.len() > bytes_max {
            return Err(Condition::MaxMessageLengthExceeded.into());
        }
        whole.extend_from_slice(&bytes);
    }
    let digests = digests(body.as_ref(), &whole);
    body.check(&digests)?;
    Ok(whole.freeze())
}

fn digests(body: &dyn Body, whole: &[u8]) -> Digests {
    let checksum = body.algorithm().map(|algorithm| {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(whole);
        Checksum { algorithm, value: hasher.finish(), kind: ChecksumKind::FullObject }
    });
    let sha256 = body.wants_sha256().then(|| array(&Algorithm::Sha256.hash(whole)));
    Digests {
        size_bytes: whole.len() as u64,
        md5: array(&Algorithm::Md5.hash(whole)),
        crc64: crc64(&Algorithm::Crc64Ecma.hash(whole)),
        sha256,
        checksum,
    }
}

fn array<const N: usize>(value: &[u8]) -> [u8; N] {
    value.try_into().unwrap_or([0; N])
}

/// Deserializes a document after looking at every event of it.
///
/// # Errors
/// `MalformedXml` for anything that is not one well-formed document of this shape, for a document
/// type declaration, and for elements nested deeper than [`XML_DEPTH_MAX`].
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    let text = std::str::from_utf8(bytes).map_err(|_| Condition::MalformedXml)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    inspect(text, root_name::<T>())?;
    quick_xml::de::from_str(text).map_err(|error| {
        tracing::debug!(%error, "a document does not have the shape asked for");
        Condition::MalformedXml.into()
    })
}

/// Refuses what no deserializer should see: entity declarations, depth without end, and another
/// document than the one asked for.
fn inspect(text: &str, root: Option<&'static str>) -> Result<()> {
    let mut reader = Reader::from_str(text);
    let mut depth = 0_usize;
    let mut roots = 0_usize;
    loop {
        match reader.read_event() {
            Ok(Event::DocType(_)) | Err(_) => return Err(Condition::MalformedXml.into()),
            Ok(Event::Start(start) | Event::Empty(start))
                if depth == 0 && root.is_some_and(|root| !is_named(&start, root)) =>
            {
                return Err(Condition::MalformedXml.into());
            }
            Ok(Event::Start(_)) => {
                roots += usize::from(depth == 0);
                depth += 1;
            }
            Ok(Event::Empty(_)) => roots += usize::from(depth == 0),
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            Ok(Event::Text(text)) if depth == 0 && text.trim_ascii().is_empty() => {}
            Ok(Event::Text(_) | Event::CData(_) | Event::GeneralRef(_)) if depth == 0 => {
                return Err(Condition::MalformedXml.into());
            }
            Ok(Event::Eof) => break,
            Ok(_) => {}
        }
        if depth > XML_DEPTH_MAX {
            return Err(Condition::MalformedXml.into());
        }
    }
    if roots == 1 && depth == 0 { Ok(()) } else { Err(Condition::MalformedXml.into()) }
}

fn is_named(start: &BytesStart<'_>, root: &str) -> bool {
    let name = start.local_name();
    AsRef::<str>::as_ref(&name) == root
}

/// What serde calls the struct `T`: the name of the document's root element.
fn root_name<T: DeserializeOwned>() -> Option<&'static str> {
    let mut probe = Probe(None);
    // It always ends in an error: only the name is wanted.
    let _ = T::deserialize(&mut probe);
    probe.0
}

/// A deserializer of nothing, that remembers which struct was asked for.
struct Probe(Option<&'static str>);

impl<'de> Deserializer<'de> for &mut Probe {
    type Error = ValueError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ValueError> {
        Err(ValueError::custom("nothing is here"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        self.0 = Some(name);
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize, PartialEq)]
    struct Tagging {
        #[serde(rename = "Key", default)]
        keys: Vec<String>,
    }

    fn keys(text: &str) -> Option<Vec<String>> {
        parse::<Tagging>(text.as_bytes()).ok().map(|tagging| tagging.keys)
    }

    #[test]
    fn namespaces_and_prefixes_do_not_matter() {
        for text in [
            "<Tagging><Key>a&amp;b</Key></Tagging>",
            "\u{feff}<?xml version='1.0'?>\n<Tagging xmlns='urn:x'><Key>a&#38;b</Key></Tagging>\n",
            "<s:Tagging xmlns:s='urn:x'><s:Key>a&amp;b</s:Key><s:Other/></s:Tagging>",
        ] {
            assert_eq!(keys(text), Some(vec!["a&b".to_owned()]), "{text}");
        }
    }

    #[test]
    fn a_document_type_is_refused_before_anything_is_read() {
        assert_eq!(keys("<!DOCTYPE a [<!ENTITY x 'y'>]><Tagging><Key>&x;</Key></Tagging>"), None);
        assert_eq!(keys("<Tagging><!DOCTYPE a><Key>b</Key></Tagging>"), None);
        assert_eq!(keys("<Tagging><Key>&unknown;</Key></Tagging>"), None);
    }

    #[test]
    fn broken_and_deep_documents_are_refused() {
        let nested = |levels: usize| {
            format!("{}{}", "<Tagging>".repeat(levels), "</Tagging>".repeat(levels))
        };
        assert!(keys(&nested(32)).is_some());
        for text in [
            "",
            "text",
            "<Tagging>",
            "<Tagging></Other>",
            "<Tagging/><Tagging/>",
            "<Tagging/>x",
            "<Other/>",
            "<Other><Tagging/></Other>",
            &nested(33),
        ] {
            assert_eq!(keys(text), None, "{text}");
        }
        assert!(parse::<Tagging>(b"<Tagging><Key>\xff</Key></Tagging>").is_err());
    }
}
