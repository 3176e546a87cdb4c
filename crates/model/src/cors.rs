//! What pages of other sites may do with a bucket: the rules, and which one fits a request.
//!
//! Source: S3 "Elements of a CORS configuration", OSS "PutBucketCors".

use minicbor::{Decode, Encode};

/// The rules of a bucket. The first one that fits counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Cors {
    #[n(0)]
    pub rules: Vec<Rule>,
    /// OSS: every answer says that it depends on the origin.
    #[n(1)]
    pub always_varies: Option<bool>,
}

/// One rule. Origins and headers may have one `*` each, which stands for any text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Rule {
    #[n(0)]
    pub id: Option<String>,
    #[n(1)]
    pub origins: Vec<String>,
    /// Upper case.
    #[n(2)]
    pub methods: Vec<String>,
    /// That a page may send.
    #[n(3)]
    pub headers: Vec<String>,
    /// That a page may read.
    #[n(4)]
    pub exposed: Vec<String>,
    #[n(5)]
    pub max_age_seconds: Option<u32>,
}

/// Rules in one document, and bytes of an id.
pub const RULES_MAX: usize = 100;
const ID_BYTES_MAX: usize = 255;
const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "HEAD"];

/// Why rules are refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Something is missing, or there is too much of it.
    Malformed,
    /// In words for the client.
    Invalid(String),
}

impl Cors {
    /// Looks whether the rules can be kept.
    ///
    /// # Errors
    /// The first thing wrong.
    pub fn check(&self) -> Result<(), Fault> {
        if self.rules.is_empty() || self.rules.len() > RULES_MAX {
            return Err(Fault::Malformed);
        }
        self.rules.iter().try_for_each(Rule::check)
    }

    /// The rule for a request from a page of `origin`.
    ///
    /// - `headers`: those that the page wants to send, as a browser asks before it sends them.
    pub fn find(&self, origin: &str, method: &str, headers: &[&str]) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.fits(origin, method, headers))
    }
}

impl Rule {
    fn check(&self) -> Result<(), Fault> {
        let id_bytes = self.id.as_ref().map_or(0, String::len);
        if self.origins.is_empty() || self.methods.is_empty() || id_bytes > ID_BYTES_MAX {
            return Err(Fault::Malformed);
        }
        if let Some(method) = self.methods.iter().find(|it| !METHODS.contains(&it.as_str())) {
            let text = format!(
                "Found unsupported HTTP method in CORS config. Unsupported method is {method}"
            );
            return Err(Fault::Invalid(text));
        }
        let named = |name, texts: &[String]| {
            let wild = texts.iter().find(|text| text.matches('*').count() > 1)?;
            Some(format!("{name} \"{wild}\" can not have more than one wildcard."))
        };
        let origin = named("AllowedOrigin", &self.origins);
        if let Some(text) = origin.or_else(|| named("AllowedHeader", &self.headers)) {
            return Err(Fault::Invalid(text));
        }
        if let Some(wild) = self.exposed.iter().find(|name| name.contains('*')) {
            let text = format!(
                "ExposeHeader \"{wild}\" contains wildcard. We currently do not support wildcard \
                 for ExposeHeader."
            );
            return Err(Fault::Invalid(text));
        }
        let texts = self.origins.iter().chain(&self.headers).chain(&self.exposed);
        match texts.flat_map(|text| text.chars()).any(char::is_control) {
            // They would end up in headers of answers.
            true => Err(Fault::Malformed),
            false => Ok(()),
        }
    }

    /// Whether pages of all sites may do this, so that the answer is the same for all.
    pub fn is_for_all(&self) -> bool {
        self.origins.iter().any(|origin| origin == "*")
    }

    fn fits(&self, origin: &str, method: &str, headers: &[&str]) -> bool {
        let allowed = |header: &&str| self.headers.iter().any(|it| matches(it, header, true));
        self.methods.iter().any(|it| it == method)
            && self.origins.iter().any(|it| matches(it, origin, false))
            && headers.iter().all(allowed)
    }
}

/// Whether a pattern with at most one `*` fits a text.
fn matches(pattern: &str, text: &str, any_case: bool) -> bool {
    let same = |one: &[u8], other: &[u8]| {
        if any_case { one.eq_ignore_ascii_case(other) } else { one == other }
    };
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let Some(star) = pattern.iter().position(|byte| *byte == b'*') else {
        return same(pattern, text);
    };
    let (head, tail) = (pattern.get(..star), pattern.get(star + 1..));
    let (Some(head), Some(tail)) = (head, tail) else { return false };
    let Some(rest) = text.len().checked_sub(tail.len()) else { return false };
    rest >= head.len()
        && text.get(..head.len()).is_some_and(|start| same(head, start))
        && text.get(rest..).is_some_and(|end| same(tail, end))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing, reason = "tests")]

    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(ToString::to_string).collect()
    }

    fn rule(origins: &[&str], methods: &[&str], headers: &[&str]) -> Rule {
        let (origins, methods, headers) = (texts(origins), texts(methods), texts(headers));
        Rule { origins, methods, headers, ..Rule::default() }
    }

    #[test]
    fn one_star_stands_for_any_text() {
        let table = [
            ("*", "https://a.example", true),
            ("https://*.example", "https://a.b.example", true),
            ("https://*.example", "https://.example", true),
            ("https://*.example", "http://a.example", false),
            ("*suffix", "foo.suffix", true),
            ("*suffix", "foo.suffix.get", false),
            ("start*end", "startend", true),
            ("start*end", "star_end", false),
            ("aba*aba", "aba", false),
            ("prefix*", "prefix.suffix", true),
            ("http://a", "http://A", false),
            ("", "x", false),
        ];
        for (pattern, text, fits) in table {
            assert_eq!(matches(pattern, text, false), fits, "{pattern} {text}");
        }
        assert!(matches("content-*", "Content-Type", true));
    }

    #[test]
    fn the_first_rule_that_allows_all_of_it_counts() {
        let rules = vec![
            rule(&["http://one"], &["GET"], &[]),
            rule(&["http://one", "http://two"], &["GET", "PUT"], &["content-*", "x-a"]),
            rule(&["*"], &["HEAD"], &["*"]),
        ];
        let cors = Cors { rules, always_varies: None };
        let found = |origin, method, headers: &[&str]| {
            let rule = cors.find(origin, method, headers)?;
            cors.rules.iter().position(|it| it == rule)
        };
        assert_eq!(found("http://one", "GET", &[]), Some(0));
        assert_eq!(found("http://one", "GET", &["X-A"]), Some(1));
        assert_eq!(found("http://two", "PUT", &["Content-Type", "x-a"]), Some(1));
        assert_eq!(found("http://two", "PUT", &["x-b"]), None);
        assert_eq!(found("http://two", "DELETE", &[]), None);
        assert_eq!(found("anything", "HEAD", &["any"]), Some(2));
    }

    #[test]
    fn rules_that_mean_nothing_are_refused() {
        let good = rule(&["http://*.a"], &["GET"], &["x-*"]);
        let one = |rule| Cors { rules: vec![rule], always_varies: None };
        assert_eq!(one(good.clone()).check(), Ok(()));
        let malformed = [
            Cors::default(),
            Cors { rules: vec![good.clone(); RULES_MAX + 1], always_varies: None },
            one(rule(&[], &["GET"], &[])),
            one(rule(&["*"], &[], &[])),
            one(Rule { id: Some("i".repeat(256)), ..good.clone() }),
            one(rule(&["a\nb: c"], &["GET"], &[])),
        ];
        for (number, cors) in malformed.iter().enumerate() {
            assert_eq!(cors.check(), Err(Fault::Malformed), "{number}");
        }
        let invalid = [
            rule(&["*"], &["PATCH"], &[]),
            rule(&["*"], &["get"], &[]),
            rule(&["**"], &["GET"], &[]),
            rule(&["*"], &["GET"], &["a*b*"]),
            Rule { exposed: texts(&["x-*"]), ..good },
        ];
        for rule in invalid {
            let fault = one(rule.clone()).check();
            assert!(matches!(fault, Err(Fault::Invalid(_))), "{rule:?}: {fault:?}");
        }
    }
}
