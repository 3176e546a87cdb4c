//! The policy of a form: until when, and for which fields, its signature holds.
//!
//! Source: S3 "POST policy"; OSS "PostObject", appendix "Policy".

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use model::Condition;
use serde_json::Value;
use service::Error;

use crate::{dialect::Dialect, wire::Result};

/// Fields that need no condition: they carry the policy and what proves it.
const FREE: &[&str] = &["awsaccesskeyid", "signature", "policy", "x-amz-signature"];
/// The beginnings of those that do not count, or only say what the file must be.
const FREE_BEGINNINGS: &[&str] = &["x-ignore-", "x-amz-checksum-"];

/// A policy as it was signed.
#[derive(Debug)]
pub struct PostPolicy {
    expires: DateTime<Utc>,
    rules: Vec<Rule>,
    /// Least and most bytes of the file.
    pub range: Option<(u64, u64)>,
}

#[derive(Debug)]
struct Rule {
    /// In lower case.
    name: String,
    value: String,
    /// The value is only the beginning.
    starts: bool,
}

impl PostPolicy {
    /// Reads the field `policy`.
    ///
    /// # Errors
    /// `InvalidPostPolicy`, saying why.
    pub fn parse(encoded: &str) -> Result<Self> {
        let text = STANDARD.decode(encoded.trim()).map_err(|_| invalid("It is not Base64."))?;
        let document: Value =
            serde_json::from_slice(&text).map_err(|_| invalid("Invalid JSON."))?;
        let expires =
            document.get("expiration").ok_or_else(|| invalid("Policy missing expiration."));
        let expires = expires?.as_str().filter(|text| text.contains('T'));
        let expires = expires.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        let expires =
            expires.ok_or_else(|| invalid("Invalid 'expiration' value."))?.with_timezone(&Utc);
        let conditions = document.get("conditions").and_then(Value::as_array);
        let conditions = conditions.ok_or_else(|| invalid("Policy missing conditions."))?;
        let mut policy = Self { expires, rules: Vec::new(), range: None };
        conditions.iter().try_for_each(|condition| policy.add(condition))?;
        Ok(policy)
    }

    fn add(&mut self, condition: &Value) -> Result<()> {
        match condition {
            Value::Object(fields) if fields.len() == 1 => {
                for (name, value) in fields {
                    let value = text(value)?;
                    self.rules.push(Rule { name: name.to_lowercase(), value, starts: false });
                }
                Ok(())
            }
            Value::Object(_) => {
                Err(invalid("Simple-Conditions must have exactly one property specified."))
            }
            Value::Array(parts) => match parts.as_slice() {
                [operator, first, second] => self.add_with(&text(operator)?, first, second),
                _ => Err(invalid("Conditions must have three elements.")),
            },
            _ => Err(invalid("Conditions are objects or lists.")),
        }
    }

    fn add_with(&mut self, operator: &str, first: &Value, second: &Value) -> Result<()> {
        let starts = match operator.to_ascii_lowercase().as_str() {
            "eq" => false,
            "starts-with" => true,
            "content-length-range" => {
                let (least, most) = (number(first)?, number(second)?);
                let (old_least, old_most) = self.range.unwrap_or((0, u64::MAX));
                self.range = Some((least.max(old_least), most.min(old_most)));
                return Ok(());
            }
            _ => return Err(invalid(format!("Unknown operator {operator}."))),
        };
        let name = text(first)?;
        let name = name.strip_prefix('$').ok_or_else(|| invalid("Names begin with '$'."))?;
        self.rules.push(Rule { name: name.to_lowercase(), value: text(second)?, starts });
        Ok(())
    }

    /// Whether a form is what was signed.
    ///
    /// - `fields`: as sent, names in lower case; `key` as it will be, `bucket` from the address.
    ///
    /// # Errors
    /// `AccessDenied`, saying which condition failed.
    pub fn check(
        &self,
        dialect: Dialect,
        fields: &[(String, String)],
        (bucket, key): (&str, &str),
        now: DateTime<Utc>,
    ) -> Result<()> {
        if self.expires <= now {
            return Err(denied("Policy expired."));
        }
        for Rule { name, value, starts } in &self.rules {
            let sent = match name.as_str() {
                "bucket" => Some(bucket),
                "key" => Some(key),
                name => fields.iter().find(|(known, _)| known == name).map(|(_, sent)| &**sent),
            };
            let fits = sent.is_some_and(|sent| match starts {
                true => sent.starts_with(value.as_str()),
                false => sent == value,
            });
            if !fits {
                let operator = if *starts { "starts-with" } else { "eq" };
                let rule = format!("[\"{operator}\", \"${name}\", \"{value}\"]");
                return Err(denied(format!("Policy Condition failed: {rule}")));
            }
        }
        // In OSS what the policy is silent about may be anything.
        let extra = fields.iter().map(|(name, _)| name.as_str()).find(|name| {
            let covered = self.rules.iter().any(|rule| rule.name == *name);
            let free = FREE_BEGINNINGS.iter().any(|start| name.starts_with(start));
            !covered && !free && !FREE.contains(name)
        });
        match extra.filter(|_| dialect == Dialect::S3) {
            Some(name) => Err(denied(format!("Extra input fields: {name}"))),
            None => Ok(()),
        }
    }
}

fn text(value: &Value) -> Result<String> {
    let text = value.as_str().ok_or_else(|| invalid("Conditions are about texts."))?;
    Ok(text.to_owned())
}

fn number(value: &Value) -> Result<u64> {
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(digits) => digits.parse().ok(),
        _ => None,
    };
    number.ok_or_else(|| invalid("content-length-range needs two numbers."))
}

fn invalid(detail: impl AsRef<str>) -> Error {
    Error::new(Condition::InvalidPostPolicy, format!("Invalid Policy: {}", detail.as_ref()))
}

fn denied(detail: impl AsRef<str>) -> Error {
    Error::new(Condition::AccessDenied, format!("Invalid according to Policy: {}", detail.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNTIL: &str = r#""expiration": "2030-01-01T00:00:00Z""#;

    fn policy(json: &str) -> Result<PostPolicy> {
        PostPolicy::parse(&STANDARD.encode(json))
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a date")
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for json in [
            "",
            "{",
            "[]",
            r#"{"conditions": []}"#,
            r#"{"expiration": "2030-01-01 00:00:00Z", "conditions": []}"#,
            r#"{"expiration": 5, "conditions": []}"#,
            &format!("{{{UNTIL}}}"),
            &format!(r#"{{{UNTIL}, "CONDITIONS": []}}"#),
            &format!(r#"{{{UNTIL}, "conditions": [{{}}]}}"#),
            &format!(r#"{{{UNTIL}, "conditions": [{{"a": "1", "b": "2"}}]}}"#),
            &format!(r#"{{{UNTIL}, "conditions": [{{"a": 1}}]}}"#),
            &format!(r#"{{{UNTIL}, "conditions": ["eq"]}}"#),
            &format!(r#"{{{UNTIL}, "conditions": [["eq", "key", "x"]]}}"#),
            &format!(r#"{{{UNTIL}, "conditions": [["like", "$key", "x"]]}}"#),
            &format!(r#"{{{UNTIL}, "conditions": [["content-length-range", 1]]}}"#),
            &format!(r#"{{{UNTIL}, "conditions": [["content-length-range", -1, 5]]}}"#),
        ] {
            let error = policy(json).expect_err(json);
            assert_eq!(error.condition, Condition::InvalidPostPolicy, "{json}");
        }
        let error = PostPolicy::parse("no base64!").expect_err("refused");
        assert_eq!(error.condition, Condition::InvalidPostPolicy);
    }

    #[test]
    fn every_condition_must_hold_and_every_field_have_one() {
        let conditions = r#"[{"bucket": "bkt"}, ["starts-with", "$KEY", "a/"], ["eq", "$acl", "x"],
            ["starts-with", "$Content-Type", ""], ["content-length-range", 2, "9"]]"#;
        let policy = policy(&format!(r#"{{{UNTIL}, "conditions": {conditions}}}"#));
        let policy = policy.expect("a policy");
        assert_eq!(policy.range, Some((2, 9)));
        let good = [("key", "ignored here"), ("acl", "x"), ("content-type", "t"), ("policy", "p")];
        let judge = |dialect, changed: &[(&str, &str)], at_key: (&str, &str), now| {
            let kept = good.iter().filter(|(name, _)| !changed.iter().any(|(it, _)| it == name));
            let fields: Vec<_> = kept
                .chain(changed)
                .filter(|(_, value)| *value != "-")
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect();
            policy.check(dialect, &fields, at_key, now).is_ok()
        };
        let (s3, place, now) = (Dialect::S3, ("bkt", "a/b"), at("2029-12-31T23:59:59Z"));
        assert!(judge(s3, &[], place, now));
        assert!(judge(s3, &[("x-ignore-this", "1")], place, now));
        assert!(judge(s3, &[("x-amz-checksum-crc32", "AAAAAA==")], place, now));
        assert!(!judge(s3, &[], place, at("2030-01-01T00:00:00Z")), "expired");
        assert!(!judge(s3, &[], ("other", "a/b"), now));
        assert!(!judge(s3, &[], ("bkt", "b"), now));
        assert!(!judge(s3, &[("acl", "X")], place, now));
        assert!(!judge(s3, &[("acl", "-")], place, now), "a field is missing");
        assert!(!judge(s3, &[("x-amz-meta-a", "1")], place, now), "a field has no condition");
        assert!(judge(Dialect::Oss, &[("x-oss-meta-a", "1")], place, now));
    }
}
