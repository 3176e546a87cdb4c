//! A form as IAM's clients send it: names with values, lists as `Tags.member.1.Key`.

use model::Condition;
use service::{Error, entities::Tags};

use crate::{encoding::query_pairs, wire::Result};

/// Longest list in a form.
const MEMBERS_MAX: usize = 1000;

/// The parameters of a form.
pub struct Form(Vec<(String, String)>);

impl Form {
    /// # Errors
    /// `InvalidInput` when it is no form.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let unreadable = || Error::new(Condition::InvalidInput, "The form is not readable.");
        let text = std::str::from_utf8(body).map_err(|_| unreadable())?;
        Ok(Self(query_pairs(text).map_err(|_| unreadable())?))
    }

    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    pub fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }

    /// A value; one that is empty is as if it were absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    pub fn owned(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// # Errors
    /// `ValidationError` when it is absent.
    pub fn required(&self, name: &str) -> Result<&str> {
        self.get(name).ok_or_else(|| {
            let mut letters = name.chars();
            let first = letters.next().map(|letter| letter.to_ascii_lowercase());
            let name: String = first.into_iter().chain(letters).collect();
            invalid(format!(
                "1 validation error detected: Value null at '{name}' failed to satisfy \
                 constraint: Member must not be null"
            ))
        })
    }

    /// # Errors
    /// `ValidationError` when it is there and no whole number.
    pub fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>> {
        let parse = |text: &str| {
            text.parse().map_err(|_| invalid(format!("{name} must be a whole number.")))
        };
        self.get(name).map(parse).transpose()
    }

    pub fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The members of a list, each by the name of its value within the member: `""` for itself.
    pub fn members(&self, list: &str, field: &str) -> Vec<String> {
        let dot = if field.is_empty() { "" } else { "." };
        let name = |place: usize| format!("{list}.member.{place}{dot}{field}");
        let value = |place| {
            let name = name(place);
            self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
        };
        (1..=MEMBERS_MAX).map_while(value).collect()
    }

    /// # Errors
    /// `ValidationError` for a key without a value.
    pub fn tags(&self) -> Result<Tags> {
        let (names, values) = (self.members("Tags", "Key"), self.members("Tags", "Value"));
        if names.len() != values.len() {
            return Err(invalid("Each tag has a Key and a Value."));
        }
        Ok(names.into_iter().zip(values).collect())
    }
}

pub fn invalid(detail: impl Into<String>) -> Error {
    Error::new(Condition::ValidationError, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_end_where_a_number_is_missing() {
        let form = Form::parse(b"A.member.1=x&A.member.2=y+z&A.member.4=w&B=&C=%26").unwrap();
        assert_eq!(form.members("A", ""), ["x", "y z"]);
        assert_eq!((form.get("B"), form.get("C")), (None, Some("&")));
        assert!(form.required("UserName").unwrap_err().to_string().contains("'userName'"));
    }

    #[test]
    fn tags_are_pairs() {
        let form = b"Tags.member.1.Key=a&Tags.member.1.Value=&Tags.member.2.Key=b";
        assert!(Form::parse(form).unwrap().tags().is_err());
        let form = Form::parse(b"Tags.member.1.Key=a&Tags.member.1.Value=").unwrap();
        assert_eq!(form.tags().unwrap(), [("a".to_owned(), String::new())]);
        assert!(Form::parse(b"a=%zz").is_err() && Form::parse(b"\xff").is_err());
    }
}
