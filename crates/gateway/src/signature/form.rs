//! Signatures of browser forms: what is signed is the policy, as it stands in its field.
//!
//! Source: S3 "Authenticating requests in browser-based uploads using POST"; OSS "Signature in a
//! form" of all three versions.

use model::Condition;

use super::mac::same;
use super::scope::Scope;
use super::validity::{Moment, Validity};
use super::{Attempt, Claim, Payload, Refusal, Scheme, Verified};

/// What a form says about its signer; `None` is one without a signature.
///
/// - `field`: the value of the field of a name in lower case.
/// - `missing`: the refusal of a form without the field of a name.
///
/// # Errors
/// Every incomplete or doubled signature.
pub fn claim_form<'f>(
    field: &impl Fn(&str) -> Option<&'f str>,
    missing: &impl Fn(&'static str) -> Refusal,
) -> Result<Option<Claim>, Refusal> {
    let given = |name| field(name).is_some();
    let oss4 = field("x-oss-signature-version").is_some_and(|it| it == "OSS4-HMAC-SHA256");
    let marks = [
        (Scheme::S3V4, given("x-amz-credential") || given("x-amz-signature")),
        (Scheme::S3V2, given("awsaccesskeyid")),
        (Scheme::OssV1, given("ossaccesskeyid")),
        (Scheme::OssV4, oss4 || given("x-oss-credential")),
        (Scheme::OssV2, !oss4 && given("x-oss-signature-version")),
    ];
    let mut schemes = marks.iter().filter(|(_, given)| *given).map(|(scheme, _)| *scheme);
    let Some(scheme) = schemes.next() else {
        return match given("signature") || given("policy") {
            true => Err(missing("AWSAccessKeyId")),
            false => Ok(None),
        };
    };
    if schemes.next().is_some() {
        let detail = "Only one auth mechanism allowed; the form has the fields of several.";
        return Err(Refusal::new(Condition::InvalidArgument, detail));
    }
    let need = |name: &'static str| field(name).ok_or_else(|| missing(name));
    need("policy")?;
    let [key, date, signature, token] = names(scheme);
    let (access_key, scope) = match scheme {
        Scheme::S3V4 | Scheme::OssV4 => {
            let parsed = Scope::parse(need(key)?, scheme, false);
            let invalid = |fault| Refusal::new(Condition::InvalidArgument, fault);
            parsed.map(|(key, scope)| (key, Some(scope))).map_err(invalid)?
        }
        Scheme::S3V2 | Scheme::OssV1 | Scheme::OssV2 => (need(key)?.to_owned(), None),
    };
    let date = if date.is_empty() { None } else { Some(need(date)?) };
    let (signature, token) = (need(signature)?, field(token));
    // Until when it holds, the policy says.
    let validity = match date.map(Moment::parse_iso_basic) {
        Some(Some(moment)) => Validity::At(moment),
        Some(None) => {
            let detail = "The date of the form must be as 20260102T030405Z.";
            return Err(Refusal::new(Condition::InvalidArgument, detail));
        }
        None => Validity::until("0")?,
    };
    Ok(Some(Claim {
        scheme,
        access_key,
        presigned: false,
        session_token: token.map(str::to_owned),
        signature: signature.to_owned(),
        validity,
        scope,
        named: Default::default(),
    }))
}

/// The fields of key or credential, date (if there is one), signature and token.
const fn names(scheme: Scheme) -> [&'static str; 4] {
    match scheme {
        Scheme::S3V4 => {
            ["x-amz-credential", "x-amz-date", "x-amz-signature", "x-amz-security-token"]
        }
        Scheme::S3V2 => ["awsaccesskeyid", "", "signature", "x-amz-security-token"],
        Scheme::OssV1 => ["ossaccesskeyid", "", "signature", "x-oss-security-token"],
        Scheme::OssV2 => ["x-oss-access-key-id", "", "x-oss-signature", "x-oss-security-token"],
        Scheme::OssV4 => {
            ["x-oss-credential", "x-oss-date", "x-oss-signature", "x-oss-security-token"]
        }
    }
}

impl Claim {
    /// Checks the claim of a form with the `secret` of its access key.
    ///
    /// # Errors
    /// `SignatureDoesNotMatch`, and a credential of another day than the date.
    pub fn verify_form(&self, policy: &str, secret: &str) -> Result<Verified, Refusal> {
        self.check_day()?;
        let string_to_sign = policy.as_bytes().to_vec();
        let attempt = Attempt { string_to_sign, canonical_request: None };
        if !same(&self.sign(&attempt, secret)?, &self.signature) {
            let detail = "The request signature we calculated does not match the signature you \
                provided. Check your key and signing method.";
            return Err(Refusal::new(Condition::SignatureDoesNotMatch, detail)
                .with(self.scheme.dialect().access_key_element(), self.access_key.clone())
                .with("SignatureProvided", self.signature.clone())
                .with("StringToSign", policy.to_owned()));
        }
        Ok(Verified {
            scheme: self.scheme,
            service: self.service(),
            presigned: false,
            signed_ms: self.moment().map(|moment| moment.at.timestamp_millis()),
            region: self.scope.as_ref().map(|scope| scope.region.clone()),
            payload: Payload::Unsigned,
        })
    }
}
