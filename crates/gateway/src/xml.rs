//! Writing XML documents. Reading them, with limits, is in `wire::document`.

use std::{
    borrow::Cow,
    fmt::{Display, Write as _},
};

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, SubsecRound as _, Utc};

use crate::dialect::Dialect;

/// The namespace of S3's documents. OSS has none: its Python client finds nothing in one.
pub const S3_NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Builds one document, element by element.
pub struct Writer {
    text: String,
    /// Elements not closed yet, the root first.
    open: Vec<Cow<'static, str>>,
}

/// A document of `dialect` with the namespace that belongs to it.
pub fn document(dialect: Dialect, root: &'static str) -> Writer {
    match dialect {
        Dialect::S3 => Writer::new(root, Some(S3_NAMESPACE)),
        Dialect::Oss => Writer::new(root, None),
    }
}

impl Writer {
    pub fn new(root: impl Into<Cow<'static, str>>, namespace: Option<&str>) -> Self {
        let text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        let mut writer = Self { text, open: Vec::new() };
        match namespace {
            Some(namespace) => writer.open_with(root, &[("xmlns", namespace)]),
            None => writer.open(root),
        };
        writer
    }

    /// Opens an element; [`Self::close`] ends it.
    pub fn open(&mut self, name: impl Into<Cow<'static, str>>) -> &mut Self {
        self.open_with(name, &[])
    }

    /// Opens an element with attributes.
    pub fn open_with(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        attributes: &[(&str, &str)],
    ) -> &mut Self {
        let name = name.into();
        self.text.push('<');
        self.text.push_str(&name);
        for (attribute, value) in attributes {
            self.text.push(' ');
            self.text.push_str(attribute);
            self.text.push_str("=\"");
            escape_into(&mut self.text, value);
            self.text.push('"');
        }
        self.text.push('>');
        self.open.push(name);
        self
    }

    /// Ends the element opened last.
    pub fn close(&mut self) -> &mut Self {
        if let Some(name) = self.open.pop() {
            self.end(&name);
        }
        self
    }

    /// An element that holds text.
    pub fn text(&mut self, name: &str, value: impl AsRef<str>) -> &mut Self {
        self.text.push('<');
        self.text.push_str(name);
        self.text.push('>');
        escape_into(&mut self.text, value.as_ref());
        self.end(name);
        self
    }

    /// An element that holds a number.
    pub fn number(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.text.push('<');
        self.text.push_str(name);
        self.text.push('>');
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{value}");
        self.end(name);
        self
    }

    /// An element that holds `true` or `false`.
    pub fn flag(&mut self, name: &str, value: bool) -> &mut Self {
        self.number(name, value)
    }

    /// An element that is absent when there is no value.
    pub fn optional(&mut self, name: &str, value: Option<impl AsRef<str>>) -> &mut Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// Text directly in the element opened last.
    pub fn content(&mut self, value: impl AsRef<str>) -> &mut Self {
        escape_into(&mut self.text, value.as_ref());
        self
    }

    /// Ends whatever is open.
    pub fn finish(mut self) -> Bytes {
        while !self.open.is_empty() {
            self.close();
        }
        Bytes::from(self.text)
    }

    fn end(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }
}

/// The instant of Unix milliseconds as documents write it: `2012-02-24T08:43:07.000Z`.
///
/// The milliseconds are always 0: OSS's Python client reads no others.
pub fn date(unix_ms: i64) -> String {
    instant(unix_ms).trunc_subsecs(0).to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The instant of Unix milliseconds as HTTP headers write it: `Fri, 24 Feb 2012 08:43:07 GMT`.
pub fn http_date(unix_ms: i64) -> String {
    instant(unix_ms).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

fn instant(unix_ms: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(unix_ms).unwrap_or(DateTime::UNIX_EPOCH)
}

/// Escapes as both services do: control characters become character references, even those that
/// XML 1.0 has no place for, so that every key can be read back from a listing.
fn escape_into(text: &mut String, value: &str) {
    let special = |byte: u8| matches!(byte, b'&' | b'<' | b'>' | b'"' | 0..=0x1f | 0x7f);
    let mut rest = value;
    // All of these are characters of one byte, so what lies between them is text.
    while let Some(at) = rest.bytes().position(special) {
        let (plain, from) = rest.split_at(at);
        text.push_str(plain);
        let (character, after) = from.split_at(1);
        match character {
            "&" => text.push_str("&amp;"),
            "<" => text.push_str("&lt;"),
            ">" => text.push_str("&gt;"),
            "\"" => text.push_str("&quot;"),
            control => {
                for byte in control.bytes() {
                    // Writing to a String cannot fail.
                    let _ = write!(text, "&#{byte};");
                }
            }
        }
        rest = after;
    }
    text.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_closes_what_it_opened() {
        let mut xml = document(Dialect::Oss, "List");
        xml.text("Key", "a&b<c>\"d\"\r\n\t\u{1}é").open("Owner").number("ID", 7).close();
        xml.flag("Last", false).optional("None", None::<&str>).open("Empty");
        assert_eq!(
            xml.finish(),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<List><Key>a&amp;b&lt;c&gt;&quot;d&quot;\
             &#13;&#10;&#9;&#1;é</Key><Owner><ID>7</ID></Owner><Last>false</Last>\
             <Empty></Empty></List>"
        );
    }

    #[test]
    fn only_s3_documents_have_a_namespace() {
        let xml = document(Dialect::S3, "R").finish();
        assert!(xml.ends_with(b"<R xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"></R>"));
        assert!(document(Dialect::Oss, "R").finish().ends_with(b"<R></R>"));
    }

    #[test]
    fn dates_have_the_forms_clients_parse() {
        assert_eq!(date(1_330_072_987_045), "2012-02-24T08:43:07.000Z");
        assert_eq!(http_date(1_330_072_987_045), "Fri, 24 Feb 2012 08:43:07 GMT");
    }
}
