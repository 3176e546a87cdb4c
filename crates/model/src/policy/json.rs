//! JSON as policies are written in it: in order, and never with one name twice, which two readers
//! could understand in two ways.

use std::fmt::{self, Write as _};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Any JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    /// As written.
    Number(String),
    Text(String),
    List(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Json {
    /// # Errors
    /// Where the text stops being JSON, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    /// A scalar as text: policies write `true` and `"true"`, `5` and `"5"`.
    pub fn scalar(&self) -> Option<String> {
        match self {
            Self::Bool(flag) => Some(flag.to_string()),
            Self::Number(number) => Some(number.clone()),
            Self::Text(text) => Some(text.clone()),
            Self::Null | Self::List(_) | Self::Object(_) => None,
        }
    }

    /// One scalar or a list of them.
    pub fn scalars(&self) -> Option<Vec<String>> {
        match self {
            Self::List(list) => list.iter().map(Self::scalar).collect(),
            one => one.scalar().map(|text| vec![text]),
        }
    }

    /// One text or a list of them.
    pub fn texts(&self) -> Option<Vec<String>> {
        let text = |json: &Self| match json {
            Self::Text(text) => Some(text.clone()),
            _ => None,
        };
        match self {
            Self::List(list) => list.iter().map(text).collect(),
            one => text(one).map(|text| vec![text]),
        }
    }
}

impl fmt::Display for Json {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => formatter.write_str("null"),
            Self::Bool(flag) => write!(formatter, "{flag}"),
            Self::Number(number) => formatter.write_str(number),
            Self::Text(text) => formatter.write_str(&quoted(text)),
            Self::List(list) => {
                formatter.write_char('[')?;
                for (place, json) in list.iter().enumerate() {
                    write!(formatter, "{}{json}", if place == 0 { "" } else { "," })?;
                }
                formatter.write_char(']')
            }
            Self::Object(object) => {
                formatter.write_char('{')?;
                for (place, (name, json)) in object.iter().enumerate() {
                    let comma = if place == 0 { "" } else { "," };
                    write!(formatter, "{comma}{}:{json}", quoted(name))?;
                }
                formatter.write_char('}')
            }
        }
    }
}

/// Text in JSON.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if letter.is_control() => {
                // Writing to a String cannot fail; all control characters have four digits.
                let _ = write!(quoted, "\\u{:04x}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Json, E> {
        Ok(Json::Number(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(json) = access.next_element()? {
            list.push(json);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut object: Vec<(String, Json)> = Vec::new();
        while let Some((name, json)) = access.next_entry::<String, Json>()? {
            if object.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom(format!("{name} stands there twice")));
            }
            object.push((name, json));
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_written_as_it_was() {
        let text = r#"{"b":[1,true,"x\"\\\u000a"],"é":null,"c":{},"d":[-1.5]}"#;
        assert_eq!(Json::parse(text).unwrap().to_string(), text);
    }

    #[test]
    fn a_name_stands_once_and_values_keep_their_order() {
        let json = Json::parse(r#"{"b": [1, true, "x"], "a": null}"#).unwrap();
        let list = vec![Json::Number("1".into()), Json::Bool(true), Json::Text("x".into())];
        let expected = [("b".to_owned(), Json::List(list)), ("a".to_owned(), Json::Null)];
        assert_eq!(json, Json::Object(expected.into()));
        assert!(Json::parse(r#"{"a": {"b": 1, "b": 1}}"#).unwrap_err().contains("twice"));
        for broken in ["", "{", "{} {}", "{'a': 1}", &"[".repeat(500)] {
            assert!(Json::parse(broken).is_err(), "{broken}");
        }
    }
}
