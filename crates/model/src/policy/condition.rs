//! `Condition` of a statement: every operator, compiled once.
//!
//! Source: "IAM JSON policy elements: Condition operators" and "Multivalued context keys".

use std::net::IpAddr;

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use chrono::{DateTime, NaiveDate};
use ipnet::IpNet;

use super::{
    Context,
    json::Json,
    keys::{Key, Value, Values},
    wildcard::{Pattern, Reading},
};

/// Which of several values must pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantifier {
    /// The key has one value, or it is as with [`Self::Any`].
    Plain,
    /// `ForAllValues:`
    All,
    /// `ForAnyValue:`
    Any,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Equal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Order {
    fn holds<T: PartialOrd>(self, left: T, right: T) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

/// What a value is compared with: any of several.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    Text {
        patterns: Vec<Pattern>,
        ignore_case: bool,
    },
    Arn(Vec<ArnPattern>),
    Number(Order, Vec<f64>),
    /// Milliseconds since 1970.
    Date(Order, Vec<i64>),
    Flag(Vec<bool>),
    Bytes(Vec<Vec<u8>>),
    Address(Vec<IpNet>),
    /// `true`: the key must be absent.
    Absent(Vec<bool>),
}

/// An ARN as a pattern: six parts, each with wildcards of its own.
#[derive(Clone, Debug, PartialEq)]
pub struct ArnPattern(pub Vec<Pattern>);

/// One comparison: a key, an operator and values.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    pub key: Key,
    pub quantifier: Quantifier,
    /// `…Not…`: none of the values may match.
    pub negated: bool,
    /// `…IfExists`
    pub if_exists: bool,
    pub test: Test,
}

/// The name of an operator, taken apart.
struct Operator<'o> {
    quantifier: Quantifier,
    name: &'o str,
    if_exists: bool,
}

impl<'o> Operator<'o> {
    fn parse(text: &'o str) -> Self {
        let (quantifier, rest) = match text.split_once(':') {
            Some(("ForAllValues", rest)) => (Quantifier::All, rest),
            Some(("ForAnyValue", rest)) => (Quantifier::Any, rest),
            _ => (Quantifier::Plain, text),
        };
        match rest.strip_suffix("IfExists") {
            Some(name) => Self { quantifier, name, if_exists: true },
            None => Self { quantifier, name: rest, if_exists: false },
        }
    }
}

/// The conditions of a statement: all must hold.
///
/// - `variables`: `${…}` is a variable in this language.
///
/// # Errors
/// What is wrong, in words.
pub fn parse(json: &Json, variables: bool) -> Result<Vec<Condition>, String> {
    let Json::Object(operators) = json else { return Err("Condition is no object".to_owned()) };
    let mut conditions = Vec::new();
    for (name, keys) in operators {
        let Json::Object(keys) = keys else { return Err(format!("{name} is no object")) };
        for (key, values) in keys {
            let values = values.scalars().ok_or_else(|| format!("a value of {key} is no text"))?;
            if values.is_empty() {
                return Err(format!("{key} of {name} has no value"));
            }
            conditions.push(compile(name, key, &values, variables)?);
        }
    }
    Ok(conditions)
}

fn compile(name: &str, key: &str, values: &[String], variables: bool) -> Result<Condition, String> {
    let operator = Operator::parse(name);
    let (negated, test) = test(operator.name, values, variables)?
        .ok_or_else(|| format!("there is no condition operator {name}"))?;
    let is_null = matches!(test, Test::Absent(_));
    if is_null && (operator.if_exists || operator.quantifier != Quantifier::Plain) {
        return Err(format!("there is no condition operator {name}"));
    }
    let Operator { quantifier, if_exists, .. } = operator;
    Ok(Condition { key: Key::parse(key), quantifier, negated, if_exists, test })
}

/// Whether the operator is a negation, and its test; `None` if there is no such operator.
fn test(name: &str, values: &[String], variables: bool) -> Result<Option<(bool, Test)>, String> {
    let (base, negated) = match name {
        "NotIpAddress" => ("IpAddress".to_owned(), true),
        _ if name.starts_with("Not") => return Ok(None),
        _ => (name.replacen("Not", "", 1), name.contains("Not")),
    };
    let literal = Reading { wildcards: false, variables, ignore_case: false };
    let text = |how: Reading| -> Result<Test, String> {
        let patterns = values.iter().map(|value| Pattern::compile(value, how));
        Ok(Test::Text {
            patterns: patterns.collect::<Result<_, _>>()?,
            ignore_case: how.ignore_case,
        })
    };
    let positive_only = |test: Test| if negated { None } else { Some((false, test)) };
    let either = |test: Test| Some((negated, test));
    Ok(match base.as_str() {
        "StringEquals" => either(text(literal)?),
        "StringEqualsIgnoreCase" => either(text(Reading { ignore_case: true, ..literal })?),
        "StringLike" => either(text(Reading { wildcards: true, ..literal })?),
        // Both of OSS.
        "StringLikeIgnoreCase" => {
            either(text(Reading { wildcards: true, ignore_case: true, ..literal })?)
        }
        "ArnEquals" | "ArnLike" => either(Test::Arn(all(values, |it| arn(it, variables))?)),
        "NumericEquals" => either(numbers(Order::Equal, values)?),
        "NumericLessThan" => positive_only(numbers(Order::Less, values)?),
        "NumericLessThanEquals" => positive_only(numbers(Order::LessOrEqual, values)?),
        "NumericGreaterThan" => positive_only(numbers(Order::Greater, values)?),
        "NumericGreaterThanEquals" => positive_only(numbers(Order::GreaterOrEqual, values)?),
        "DateEquals" => either(dates(Order::Equal, values)?),
        "DateLessThan" => positive_only(dates(Order::Less, values)?),
        "DateLessThanEquals" => positive_only(dates(Order::LessOrEqual, values)?),
        "DateGreaterThan" => positive_only(dates(Order::Greater, values)?),
        "DateGreaterThanEquals" => positive_only(dates(Order::GreaterOrEqual, values)?),
        "Bool" => positive_only(Test::Flag(all(values, flag)?)),
        "BinaryEquals" => positive_only(Test::Bytes(all(values, bytes)?)),
        "IpAddress" => either(Test::Address(all(values, network)?)),
        "Null" => positive_only(Test::Absent(all(values, flag)?)),
        _ => None,
    })
}

fn all<T>(values: &[String], parse: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    values.iter().map(|value| parse(value)).collect()
}

fn numbers(order: Order, values: &[String]) -> Result<Test, String> {
    Ok(Test::Number(order, all(values, number)?))
}

fn dates(order: Order, values: &[String]) -> Result<Test, String> {
    Ok(Test::Date(order, all(values, date)?))
}

fn number(text: &str) -> Result<f64, String> {
    let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| format!("{text} is no number"))
}

/// ISO 8601 with seconds, minutes or days, or seconds since 1970: as milliseconds since 1970.
fn date(text: &str) -> Result<i64, String> {
    let instant = DateTime::parse_from_rfc3339(text).map(|date| date.timestamp_millis());
    let minutes = || DateTime::parse_from_str(text.strip_suffix('Z')?, "%Y-%m-%dT%H:%M").ok();
    let whole = || DateTime::parse_from_str(&format!("{text}+0000"), "%Y-%m-%dT%H:%M:%S%z").ok();
    let day = || {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis())
    };
    let seconds = || text.parse::<i64>().ok()?.checked_mul(1000);
    instant
        .ok()
        .or_else(|| minutes().or_else(whole).map(|date| date.timestamp_millis()))
        .or_else(day)
        .or_else(seconds)
        .ok_or_else(|| format!("{text} is no date"))
}

fn flag(text: &str) -> Result<bool, String> {
    match text {
        text if text.eq_ignore_ascii_case("true") => Ok(true),
        text if text.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(format!("{text} is neither true nor false")),
    }
}

fn bytes(text: &str) -> Result<Vec<u8>, String> {
    BASE64.decode(text).map_err(|_| format!("{text} is no Base64"))
}

/// An address or a network.
fn network(text: &str) -> Result<IpNet, String> {
    let one = text.parse::<IpAddr>().map(IpNet::from);
    one.or_else(|_| text.parse::<IpNet>()).map_err(|_| format!("{text} is no address"))
}

fn arn(text: &str, variables: bool) -> Result<ArnPattern, String> {
    let how = Reading { wildcards: true, variables, ignore_case: false };
    if text == "*" {
        return Ok(ArnPattern(vec![Pattern::compile("*", how)?; 6]));
    }
    let parts = arn_parts(text).ok_or_else(|| format!("{text} is no ARN"))?;
    let patterns = parts.iter().map(|part| Pattern::compile(part, how));
    Ok(ArnPattern(patterns.collect::<Result<_, _>>()?))
}

/// The six parts of an ARN; colons within `${…}` separate nothing.
fn arn_parts(text: &str) -> Option<Vec<&str>> {
    let mut parts = Vec::with_capacity(6);
    let (mut start, mut inside) = (0, false);
    for (at, letter) in text.char_indices() {
        match letter {
            '{' => inside = true,
            '}' => inside = false,
            ':' if !inside && parts.len() < 5 => {
                parts.push(text.get(start..at)?);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..)?);
    (parts.len() == 6).then_some(parts)
}

impl Condition {
    /// Whether it holds for a request.
    pub fn holds(&self, context: &Context<'_>) -> bool {
        match (context.values(&self.key), &self.test) {
            (values, Test::Absent(wanted)) => wanted.contains(&values.as_slice().is_empty()),
            // With one value all quantifiers come to the same.
            (Values::One(value), test) => test.matches(&value, context) != self.negated,
            (Values::None, _) => self.holds_for(&[], context),
            (values, _) => self.holds_for(values.as_slice(), context),
        }
    }

    fn holds_for(&self, values: &[Value<'_>], context: &Context<'_>) -> bool {
        let passes = |value: &Value<'_>| self.test.matches(value, context) != self.negated;
        match self.quantifier {
            Quantifier::All => values.iter().all(passes),
            Quantifier::Any => values.iter().any(passes),
            Quantifier::Plain if values.is_empty() => self.if_exists || self.negated,
            Quantifier::Plain if self.negated => values.iter().all(passes),
            Quantifier::Plain => values.iter().any(passes),
        }
    }
}

impl Test {
    /// All text it compares with.
    pub fn patterns(&self) -> Vec<&Pattern> {
        match self {
            Self::Text { patterns, .. } => patterns.iter().collect(),
            Self::Arn(arns) => arns.iter().flat_map(|arn| &arn.0).collect(),
            _ => Vec::new(),
        }
    }

    /// How many values it compares with.
    pub fn size(&self) -> usize {
        match self {
            Self::Text { patterns, .. } => patterns.len(),
            Self::Arn(patterns) => patterns.len(),
            Self::Number(_, values) => values.len(),
            Self::Date(_, values) => values.len(),
            Self::Flag(values) | Self::Absent(values) => values.len(),
            Self::Bytes(values) => values.len(),
            Self::Address(values) => values.len(),
        }
    }

    /// Whether a value is any of those wanted.
    fn matches(&self, value: &Value<'_>, context: &Context<'_>) -> bool {
        match self {
            Self::Text { patterns, ignore_case } => {
                let text = value.text();
                let text = if *ignore_case { text.to_lowercase().into() } else { text };
                patterns.iter().any(|pattern| pattern.matches(&text, context))
            }
            Self::Arn(patterns) => {
                let text = value.text();
                let parts = arn_parts(&text);
                parts.is_some_and(|parts| patterns.iter().any(|it| it.matches(&parts, context)))
            }
            Self::Number(order, wanted) => {
                let found = value.text().trim().parse::<f64>().ok();
                found.is_some_and(|found| wanted.iter().any(|it| order.holds(found, *it)))
            }
            Self::Date(order, wanted) => {
                let found = match value {
                    Value::Time(ms) => Some(*ms),
                    Value::Number(seconds) => seconds.checked_mul(1000),
                    other => date(&other.text()).ok(),
                };
                found.is_some_and(|found| wanted.iter().any(|it| order.holds(found, *it)))
            }
            Self::Flag(wanted) => flag(&value.text()).is_ok_and(|found| wanted.contains(&found)),
            Self::Bytes(wanted) => {
                BASE64.decode(value.text().as_bytes()).is_ok_and(|found| wanted.contains(&found))
            }
            Self::Address(wanted) => {
                let found = match value {
                    Value::Address(address) => Some(*address),
                    other => other.text().parse().ok(),
                };
                found.is_some_and(|found| wanted.iter().any(|network| network.contains(&found)))
            }
            Self::Absent(_) => false,
        }
    }
}

impl ArnPattern {
    fn matches(&self, parts: &[&str], context: &Context<'_>) -> bool {
        self.0.len() == parts.len()
            && self.0.iter().zip(parts).all(|(pattern, part)| pattern.matches(part, context))
    }
}
