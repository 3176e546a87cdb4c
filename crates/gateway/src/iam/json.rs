//! The answers of IAM and STS in JSON, for clients that accept no XML: the same document, element
//! by element.
//!
//! An element that holds `member` elements becomes a list, one that holds others an object, one
//! that holds text that text, and one that holds nothing `null`.

use actix_web::http::header::HeaderMap;
use bytes::Bytes;
use quick_xml::{Reader, events::Event};
use serde_json::{Map, Value};

use crate::wire::{Reply, ReplyBody};

/// Whether a client asks for JSON.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get("accept").and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.trim().eq_ignore_ascii_case("application/json"))
}

/// Turns an answer into JSON; one that cannot be read stays as it is.
pub fn instead(mut reply: Reply) -> Reply {
    let ReplyBody::Bytes(body) = &reply.body else { return reply };
    let Some(value) = std::str::from_utf8(body).ok().and_then(read) else { return reply };
    reply.headers.retain(|(name, _)| name != "content-type");
    reply.add("content-type", "application/json");
    reply.body = ReplyBody::Bytes(Bytes::from(value.to_string()));
    reply
}

/// An element under way: what it holds so far.
#[derive(Default)]
struct Element {
    name: String,
    text: String,
    children: Vec<(String, Value)>,
}

impl Element {
    fn value(self) -> Value {
        let Self { text, children, .. } = self;
        if children.is_empty() {
            return if text.is_empty() { Value::Null } else { Value::String(text) };
        }
        if children.iter().all(|(name, _)| name == "member") {
            return Value::Array(children.into_iter().map(|(_, value)| value).collect());
        }
        Value::Object(Map::from_iter(children))
    }
}

fn read(text: &str) -> Option<Value> {
    let mut reader = Reader::from_str(text);
    let mut open = vec![Element::default()];
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                let name = start.name().as_ref().to_owned();
                open.push(Element { name, ..Element::default() });
            }
            Event::End(_) => {
                let ended = open.pop()?;
                open.last_mut()?.children.push((ended.name.clone(), ended.value()));
            }
            // The declaration and the root stand on lines of their own.
            Event::Text(part) if open.len() > 1 => open.last_mut()?.text.push_str(part.as_ref()),
            Event::GeneralRef(named) => {
                let letter = match (named.resolve_char_ref().ok()?, named.as_ref()) {
                    (Some(letter), _) => letter,
                    (None, "amp") => '&',
                    (None, "lt") => '<',
                    (None, "gt") => '>',
                    (None, "quot") => '"',
                    (None, "apos") => '\'',
                    _ => return None,
                };
                open.last_mut()?.text.push(letter);
            }
            Event::Eof => return open.pop().filter(|_| open.is_empty()).map(Element::value),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn elements_become_objects_lists_and_texts() {
        let text = "<?xml version=\"1.0\"?>\n<R xmlns=\"x\"><L><member>a&amp;b</member><member>\
                    <N>&#10;1</N></member></L><E></E><T>t</T></R>";
        let expected = json!({"R": {"L": ["a&b", {"N": "\n1"}], "E": null, "T": "t"}});
        assert_eq!(read(text), Some(expected));
        assert_eq!(read("<R><a></R>"), None);
    }
}
