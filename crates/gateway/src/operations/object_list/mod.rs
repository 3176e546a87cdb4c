//! Listing a bucket: objects in two forms, and all versions.
//!
//! S3 and OSS have the same three operations with other defaults, echoes and elements; each form is
//! a rendering of one answer of the service.

mod objects;
#[cfg(test)]
mod tests;
mod versions;

pub use objects::{List, ListV2};
pub use versions::ListVersions;

use model::{listing::Question, records::ObjectData};

use super::{
    answers,
    arguments::{self, KeyEncoding},
    checksums, object_read, storage_class,
};
use crate::{
    dialect::Dialect,
    wire::{Query, Result},
    xml::Writer,
};

/// What all listings are asked by.
#[derive(Clone, Debug)]
struct Asked {
    prefix: String,
    delimiter: String,
    limit: u32,
    encoding: KeyEncoding,
}

impl Asked {
    fn of(dialect: Dialect, query: &Query) -> Result<Self> {
        let text = |name| query.get(name).unwrap_or_default().to_owned();
        let default = arguments::page_default(dialect);
        Ok(Self {
            prefix: text("prefix"),
            delimiter: text("delimiter"),
            limit: arguments::page_limit("max-keys", query.get("max-keys"), default)?,
            encoding: KeyEncoding::parse(query.get("encoding-type"))?,
        })
    }

    fn question(&self, after: &str) -> Question {
        Question {
            prefix: self.prefix.clone(),
            delimiter: self.delimiter.clone(),
            after: after.to_owned(),
            limit: self.limit as usize,
        }
    }

    /// A key or a part of one, encoded as asked for.
    fn write(&self, xml: &mut Writer, name: &str, key: &str) {
        xml.text(name, self.encoding.apply(key));
    }

    /// The echo of what was asked that does not name a place in the listing.
    ///
    /// The Python client of OSS misses an absent delimiter, those of S3 take an empty one for one.
    fn write_shape(&self, xml: &mut Writer, dialect: Dialect, truncated: bool) {
        xml.number("MaxKeys", self.limit);
        if dialect == Dialect::Oss || !self.delimiter.is_empty() {
            self.write(xml, "Delimiter", &self.delimiter);
        }
        xml.flag("IsTruncated", truncated).optional("EncodingType", self.encoding.element());
    }

    fn write_prefixes(&self, xml: &mut Writer, prefixes: &[String]) {
        for prefix in prefixes {
            xml.open("CommonPrefixes");
            self.write(xml, "Prefix", prefix);
            xml.close();
        }
    }
}

/// Tag, checksum, size and class of an object in a listing.
fn write_object(xml: &mut Writer, dialect: Dialect, object: &ObjectData) {
    xml.text("ETag", answers::etag(dialect, &object.etag));
    match (dialect, &object.checksum) {
        (Dialect::S3, Some(checksum)) => {
            xml.text("ChecksumAlgorithm", checksums::name(checksum.algorithm));
            xml.text("ChecksumType", checksums::kind_name(checksum.kind));
        }
        (Dialect::S3, None) => {}
        (Dialect::Oss, _) => {
            xml.text("Type", object_read::object_type(object));
        }
    }
    let class = object.attributes.storage_class.as_deref();
    xml.number("Size", object.size_bytes);
    xml.text("StorageClass", storage_class::name(dialect, class));
}
