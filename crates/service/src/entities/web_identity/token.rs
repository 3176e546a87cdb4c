//! Whether a token of an identity provider is good, and what it says of its bearer.
//!
//! Only signatures with the provider's public keys count, each in the way its own kind of key
//! signs. Times are compared with the server's clock, not with that of the library.

use jsonwebtoken::{
    Algorithm, DecodingKey, Header, Validation, dangerous::insecure_decode_claims, decode,
    decode_header, errors::ErrorKind,
};
use model::{Condition, entities::OidcProvider, names::AccountId};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{Error, Result, entities::Tags};

/// How far the clocks of provider and server may be apart.
const SKEW_SECONDS: i64 = 60;

/// Claims that a policy may ask about, values of one, and letters of a value.
const CLAIMS_MAX: usize = 64;
const VALUES_MAX: usize = 256;
const VALUE_BYTES_MAX: usize = 1024;

/// Source: OpenID Connect Core 1.0, section 2; at most what AWS takes.
const SUBJECT_BYTES_MAX: usize = 255;

/// Claims that are kept with the session.
const LASTING: [&str; 4] = ["aud", "oaud", "sub", "amr"];

/// Where a token says what its session is tagged with. Source: "Passing session tags using
/// `AssumeRoleWithWebIdentity`" of IAM.
const TAGS_CLAIM: &str = "https://aws.amazon.com/tags";

/// Facts for policies: a key with its values.
pub type WebFacts = Vec<(String, Vec<String>)>;

/// What a token says before anybody knows whether it is true.
#[derive(Debug)]
pub struct Claimed {
    pub header: Header,
    pub issuer: String,
}

/// Who a token is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identified {
    pub subject: String,
    pub audience: String,
    /// Under the keys of conditions, `host/path:claim`.
    pub facts: WebFacts,
    pub tags: Tags,
}

impl Identified {
    /// What the policies of the session may go on to ask.
    pub fn lasting(&self, provider: &OidcProvider, account: &AccountId) -> WebFacts {
        let names = LASTING.map(|claim| format!("{}:{claim}", provider.place()));
        let kept = self.facts.iter().filter(|(name, _)| names.contains(name)).cloned();
        let federated = ("aws:FederatedProvider".to_owned(), vec![provider.arn(account)]);
        kept.chain([federated]).collect()
    }
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(Condition::InvalidIdentityToken, detail)
}

/// Reads what a token says of itself.
///
/// # Errors
/// `InvalidIdentityToken` if it is none, or signed in a way that is not taken from anybody.
pub fn claimed(token: &str) -> Result<Claimed> {
    #[derive(Deserialize)]
    struct Issued {
        iss: String,
    }
    let header = decode_header(token).map_err(|_| {
        invalid("The token is no JSON Web Token, or it is signed in a way that is not supported.")
    })?;
    if !is_taken(header.alg) {
        let detail = format!("Tokens signed with {:?} are not accepted.", header.alg);
        return Err(invalid(detail));
    }
    if header.crit.is_some() || header.zip.is_some() || header.enc.is_some() {
        return Err(invalid("The token asks for what is not understood."));
    }
    let Issued { iss } =
        insecure_decode_claims(token).map_err(|_| invalid("The token names no issuer."))?;
    Ok(Claimed { header, issuer: iss })
}

/// The ways to sign: with a private key, of which only the public half is known here.
pub fn is_taken(algorithm: Algorithm) -> bool {
    use Algorithm::{ES256, ES384, PS256, RS256, RS384, RS512};
    matches!(algorithm, RS256 | RS384 | RS512 | PS256 | ES256 | ES384)
}

/// Checks a token.
///
/// - `key`: the provider's, with the one way it signs.
///
/// # Errors
/// `InvalidIdentityToken`, `ExpiredIdentityToken`, `IdpRejectedClaim`.
pub fn check(
    token: &str,
    (key, algorithm): &(DecodingKey, Algorithm),
    provider: &OidcProvider,
    now_ms: i64,
) -> Result<Identified> {
    let mut validation = Validation::new(*algorithm);
    // What it would compare with the machine's clock is compared below.
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let decoded = decode::<Map<String, Value>>(token, key, &validation);
    let claims = decoded.map_err(|error| match error.kind() {
        ErrorKind::InvalidSignature => invalid("Couldn't verify the signature of the token."),
        _ => invalid("The token cannot be read."),
    })?;
    read(&claims.claims, provider, now_ms)
}

/// What the claims of a token say whose signature holds.
fn read(claims: &Map<String, Value>, provider: &OidcProvider, now_ms: i64) -> Result<Identified> {
    if claims.get("iss").and_then(Value::as_str) != Some(&provider.url) {
        return Err(invalid("Incorrect token issuer"));
    }
    check_times(claims, now_ms.div_euclid(1000))?;
    let audience = audience(claims, provider)?;
    let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
    if !(1..=SUBJECT_BYTES_MAX).contains(&subject.len()) {
        return Err(invalid("The token names no subject."));
    }
    let facts = facts(claims, provider.place())?;
    let tags = tags(claims)?;
    Ok(Identified { subject: subject.to_owned(), audience, facts, tags })
}

/// What the claims in a text say to a provider of its own, for the fuzz target.
#[cfg(feature = "fuzzing")]
pub fn read_text(text: &str, now_ms: i64) -> Option<Identified> {
    // As far as nobody has to sign for it: header and issuer of a whole token.
    let _ = claimed(text);
    let provider = OidcProvider {
        url: "https://idp.example/x".to_owned(),
        client_ids: vec!["app".to_owned()],
        ..OidcProvider::default()
    };
    read(&serde_json::from_str(text).ok()?, &provider, now_ms).ok()
}

fn check_times(claims: &Map<String, Value>, now: i64) -> Result<()> {
    let time = |name: &str| -> Result<Option<i64>> {
        match claims.get(name) {
            None => Ok(None),
            Some(value) => {
                let seconds = value.as_f64().filter(|seconds| seconds.is_finite());
                let seconds = seconds.ok_or_else(|| invalid(format!("{name} is no time.")))?;
                // Beyond what fits it is the latest or earliest there is.
                Ok(Some(seconds as i64))
            }
        }
    };
    let expires = time("exp")?.ok_or_else(|| invalid("Missing a required claim: exp"))?;
    let issued = time("iat")?.ok_or_else(|| invalid("Missing a required claim: iat"))?;
    if expires.saturating_add(SKEW_SECONDS) <= now {
        let detail = format!(
            "Token expired: current date/time {now} must be before the expiration date/time \
             {expires}"
        );
        return Err(Error::new(Condition::ExpiredIdentityToken, detail));
    }
    let early = |begins: i64| begins > now.saturating_add(SKEW_SECONDS);
    if early(issued) || time("nbf")?.is_some_and(early) {
        let detail = "The token is not valid yet.";
        return Err(Error::new(Condition::IdpRejectedClaim, detail));
    }
    Ok(())
}

/// For whom the token was issued; one of them must be known of the provider.
fn audience(claims: &Map<String, Value>, provider: &OidcProvider) -> Result<String> {
    let incorrect = || invalid("Incorrect token audience");
    let audiences = claims.get("aud").and_then(texts).ok_or_else(incorrect)?;
    let known = |audience: &String| provider.client_ids.contains(audience);
    let audience = audiences.iter().find(|audience| known(audience)).ok_or_else(incorrect)?;
    match claims.get("azp").and_then(Value::as_str) {
        // It is for the party it was given to.
        Some(party) if !known(&party.to_owned()) => Err(incorrect()),
        _ => Ok(audience.clone()),
    }
}

/// A claim as texts: one, or a list; `None` if it is anything else.
fn texts(value: &Value) -> Option<Vec<String>> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    };
    match value {
        Value::Array(values) => values.iter().map(text).collect(),
        one => text(one).map(|text| vec![text]),
    }
}

/// All or nothing: a policy that denies by a claim must not miss it because there were too many.
///
/// What policies call `aud` is the party the token was given to, if it names one, and its audience
/// is `oaud`. Source: "Available keys for AWS OIDC federation" of IAM.
fn facts(claims: &Map<String, Value>, place: &str) -> Result<WebFacts> {
    let mut facts = WebFacts::new();
    let audience = claims.get("aud");
    let party = claims.get("azp").filter(|party| party.is_string()).or(audience);
    let of_claims = claims.iter().map(|(name, value)| (name.as_str(), value));
    let of_claims = of_claims.filter(|(name, _)| !matches!(*name, "aud" | "oaud"));
    let ours = [("aud", party), ("oaud", audience)];
    let ours = ours.into_iter().filter_map(|(name, value)| Some((name, value?)));
    for (name, value) in ours.chain(of_claims) {
        let Some(values) = texts(value) else { continue };
        let long = values.iter().any(|value| value.len() > VALUE_BYTES_MAX);
        // One of them is told twice.
        if long || values.len() > VALUES_MAX || facts.len() > CLAIMS_MAX {
            return Err(invalid("The token has more in its claims than can be decided on."));
        }
        let name = format!("{place}:{name}");
        // Keys of conditions have no case.
        if facts.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
            return Err(invalid("The token has a claim twice, in capital and in small letters."));
        }
        facts.push((name, values));
    }
    Ok(facts)
}

fn tags(claims: &Map<String, Value>) -> Result<Tags> {
    let Some(claim) = claims.get(TAGS_CLAIM) else { return Ok(Tags::new()) };
    let malformed = || invalid("The session tags of the token are malformed.");
    let tags = claim.get("principal_tags").and_then(Value::as_object).ok_or_else(malformed)?;
    let tag = |(name, value): (&String, &Value)| {
        let values = texts(value).ok_or_else(malformed)?;
        let [value] = values.as_slice() else { return Err(malformed()) };
        Ok((name.clone(), value.clone()))
    };
    tags.iter().map(tag).collect()
}
