//! Signature 1.0 of Alibaba's RPC interfaces: HMAC-SHA1 over all parameters, query and form alike.
//!
//! Source: "Request syntax and signature method V2 of the RPC style" of Alibaba Cloud.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use model::{Condition, names::AccountId};

use super::{
    Nonces, Refusal,
    mac::{hmac_sha1, same},
};
use crate::encoding::encode;

/// How far the clock of a client may be off.
const SKEW_MINUTES_MAX: i64 = 15;

/// The field of a refusal with the text that was to be signed: for whoever called alone.
pub const STRING_TO_SIGN: &str = "StringToSign";

/// Who a call says has signed it: nothing is proven yet.
#[derive(Debug)]
pub struct RpcClaim {
    pub access_key: String,
    pub token: Option<String>,
    signature: String,
    nonce: String,
    string_to_sign: String,
    signed: DateTime<Utc>,
}

/// Reads the claim of a call.
///
/// - `parameters`: decoded, of query and form together.
///
/// # Errors
/// What is missing, given twice, or not understood.
pub fn rpc_claim(method: &str, parameters: &[(String, String)]) -> Result<RpcClaim, Refusal> {
    let mut sorted: Vec<&(String, String)> = parameters.iter().collect();
    sorted.sort();
    let twice = sorted.iter().zip(sorted.iter().skip(1)).find(|(one, next)| one.0 == next.0);
    if let Some(((name, _), _)) = twice {
        return Err(Refusal::argument("A parameter was given more than once.", name, ""));
    }
    let find = |name: &str| sorted.iter().find(|(known, _)| known == name);
    let required = |name: &str| match find(name) {
        Some((_, value)) if !value.is_empty() => Ok(value.clone()),
        _ => Err(Refusal::argument(format!("{name} is mandatory for this action."), name, "")),
    };
    for (name, expected) in [("SignatureMethod", "HMAC-SHA1"), ("SignatureVersion", "1.0")] {
        let given = required(name)?;
        if given != expected {
            return Err(Refusal::argument(format!("{name} must be {expected}."), name, &given));
        }
    }
    let nonce = required("SignatureNonce")?;
    let timestamp = required("Timestamp")?;
    let signed = NaiveDateTime::parse_from_str(&timestamp, "%Y-%m-%dT%H:%M:%SZ").map_err(|_| {
        let detail = "Specified time stamp is not well formatted.";
        Refusal::argument(detail, "Timestamp", &timestamp)
    })?;
    let pair = |(name, value): &&(String, String)| format!("{}={}", encode(name), encode(value));
    let covered = sorted.iter().filter(|(name, _)| name != "Signature");
    let canonical = covered.map(pair).collect::<Vec<_>>().join("&");
    Ok(RpcClaim {
        access_key: required("AccessKeyId")?,
        token: find("SecurityToken").map(|(_, token)| token.clone()),
        signature: required("Signature")?,
        nonce,
        string_to_sign: format!("{method}&%2F&{}", encode(canonical)),
        signed: signed.and_utc(),
    })
}

impl RpcClaim {
    /// Checks the claim with the secret of its key, and that it was not made before.
    ///
    /// # Errors
    /// As [`Self::verify`] and [`Nonces::spend`].
    pub fn prove(
        &self,
        secret: &str,
        caller: (&AccountId, &str),
        now: DateTime<Utc>,
        nonces: &Nonces,
    ) -> Result<(), Refusal> {
        self.verify(secret, now)?;
        let until = self.signed + TimeDelta::minutes(SKEW_MINUTES_MAX);
        nonces.spend(caller, (&self.access_key, &self.nonce), (now, until))
    }

    /// Checks the claim with the secret of its key.
    ///
    /// # Errors
    /// `SignatureDoesNotMatch`, `RequestTimeTooSkewed`.
    fn verify(&self, secret: &str, now: DateTime<Utc>) -> Result<(), Refusal> {
        let key = format!("{secret}&");
        let mac = hmac_sha1(key.as_bytes(), self.string_to_sign.as_bytes())?;
        if !same(&STANDARD.encode(mac), &self.signature) {
            // With a token in it the string is nothing for a log.
            let told = self.token.is_none().then_some(self.string_to_sign.as_str());
            let told = told.unwrap_or("not shown, for it has a security token");
            let detail = "Specified signature is not matched with our calculation.";
            let refusal = Refusal::new(Condition::SignatureDoesNotMatch, detail);
            return Err(refusal.with(STRING_TO_SIGN, told));
        }
        let apart = now.signed_duration_since(self.signed).abs();
        if apart > TimeDelta::minutes(SKEW_MINUTES_MAX) {
            let detail = "Specified time stamp or date value is expired.";
            return Err(Refusal::new(Condition::RequestTimeTooSkewed, detail));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters() -> Vec<(String, String)> {
        let pairs = [
            ("AccessKeyId", "testid"),
            ("Action", "DescribeRegions"),
            ("Format", "XML"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureNonce", "3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf"),
            ("SignatureVersion", "1.0"),
            ("Timestamp", "2016-02-23T12:46:24Z"),
            ("Version", "2014-05-26"),
            ("Signature", "OLeaidS1JvxuMvnyHOwuJ+uX5qY="),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    fn at(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    /// The example of the manual.
    #[test]
    fn the_signature_is_the_one_of_the_manual() {
        let claim = rpc_claim("GET", &parameters()).unwrap();
        let signed = at("2016-02-23T12:46:24Z");
        assert_eq!(claim.verify("testsecret", signed), Ok(()));
        assert_eq!(claim.verify("testsecret", signed + TimeDelta::minutes(15)), Ok(()));
        let condition = |outcome: Result<(), Refusal>| outcome.unwrap_err().condition;
        let late = claim.verify("testsecret", signed + TimeDelta::seconds(901));
        assert_eq!(condition(late), Condition::RequestTimeTooSkewed);
        let wrong = claim.verify("other", signed);
        assert_eq!(condition(wrong), Condition::SignatureDoesNotMatch);
        let post = rpc_claim("POST", &parameters()).unwrap().verify("testsecret", signed);
        assert_eq!(condition(post), Condition::SignatureDoesNotMatch);
    }

    #[test]
    fn every_parameter_is_covered_and_needed_once() {
        let now = at("2016-02-23T12:46:24Z");
        for place in 0..parameters().len() {
            let mut changed = parameters();
            changed[place].1.push('x');
            let claim = rpc_claim("GET", &changed);
            assert!(claim.and_then(|it| it.verify("testsecret", now)).is_err(), "{place}");
            let mut twice = parameters();
            twice.push(twice[place].clone());
            assert!(rpc_claim("GET", &twice).is_err(), "{place}");
        }
        let mut more = parameters();
        more.push(("RoleArn".into(), "x".into()));
        assert!(rpc_claim("GET", &more).unwrap().verify("testsecret", now).is_err());
    }
}
