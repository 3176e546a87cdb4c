//! Roles for users whom another identity provider knows: a token of that provider in exchange for
//! temporary credentials.
//!
//! The providers an account trusts are in `super::providers`; whether a token is good is found
//! out in [`token`], by the keys that [`keys`] fetches and remembers.

mod keys;
mod token;

pub(crate) use keys::KeySets;

use model::{
    Condition,
    entities::{EntityKind, OidcProvider},
    limits::WEB_IDENTITY_TOKEN_BYTES,
    names::AccountId,
    policy::{Action, Context, Facts, Principal, Resource, trusts_web_identity},
};

use super::{
    arn::check_name,
    members::check_tags,
    tokens::{Credentials, Proof, SessionWish},
};
use crate::{Caller, Error, Result, Service, named::trust_of};
use token::Identified;
pub(super) use token::WebFacts;
#[cfg(feature = "fuzzing")]
pub(crate) use token::read_text as read_claims;

/// What whoever came with a good token gets.
pub struct WebCredentials {
    pub credentials: Credentials,
    /// Who that is, by the name the provider has.
    pub subject: String,
    pub audience: String,
    /// The issuer of the token.
    pub provider: String,
}

impl Service {
    /// Takes on a role with a token of another identity provider. Who asks needs no key.
    ///
    /// # Errors
    /// `InvalidIdentityToken`, `ExpiredIdentityToken`, `IdpRejectedClaim`, `IdpCommunication`;
    /// `AccessDenied` if the role does not trust the bearer, also if there is no such role.
    pub async fn assume_role_with_web_identity(
        &self,
        caller: &Caller,
        (arn, token): (&str, &str),
        mut wish: SessionWish,
    ) -> Result<WebCredentials> {
        check_name("roleSessionName", &wish.name, 64)?;
        if !WEB_IDENTITY_TOKEN_BYTES.contains(&token.len()) {
            let (least, most) = (WEB_IDENTITY_TOKEN_BYTES.start(), WEB_IDENTITY_TOKEN_BYTES.end());
            let detail = format!("The webIdentityToken must have {least} to {most} characters.");
            return Err(Error::new(Condition::ValidationError, detail));
        }
        // The token comes first: without a good one nobody learns which roles there are.
        let account = arn.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":role/"));
        let account = account.and_then(|(account, _)| AccountId::parse(account));
        let account = account
            .ok_or_else(|| Error::new(Condition::ValidationError, format!("{arn} is invalid")))?;
        let claimed = token::claimed(token)?;
        let provider = self.trusted_provider(&account, &claimed.issuer).await?;
        let asking = (self.outbound.as_ref(), self.clock());
        let key = self.key_sets.find(asking, (&account, &provider.url), &claimed.header).await?;
        let bearer = token::check(token, &key, &provider, self.now_ms())?;
        wish.tags.clone_from(&bearer.tags);
        check_tags(&wish.tags)?;
        let facts = web_facts(caller, &provider, &account, (&bearer, &wish));
        let found = self.role_of(arn).await?;
        let (account, role) = found.ok_or_else(denied)?;
        let trust = trust_of(&role).ok_or_else(denied)?;
        let role_arn = role.arn(&account, EntityKind::Role);
        let trusts = |action: Action| {
            let resource = Resource::Arn(&role_arn);
            let context =
                Context { owner: Some(&account), ..Context::new(&facts, action, resource) };
            trusts_web_identity(&trust, &context)
        };
        let tags = wish.tags.is_empty() || trusts(Action::TagSession);
        if !trusts(Action::AssumeRoleWithWebIdentity) || !tags {
            return Err(denied());
        }
        let web = bearer.lasting(&provider, &account);
        let proof = Proof { mfa_ms: None, web: Some(web) };
        let credentials = self.issue_for_role(account, &role, (wish, i64::MAX), proof).await?;
        let Identified { subject, audience, .. } = bearer;
        Ok(WebCredentials { credentials, subject, audience, provider: provider.url })
    }

    async fn trusted_provider(&self, account: &AccountId, issuer: &str) -> Result<OidcProvider> {
        let place = issuer.split_once("://").map_or(issuer, |(_, place)| place);
        let found = self.metadata.oidc_provider(account, place).await?;
        // By the scheme too: the issuer is compared letter by letter.
        found.filter(|provider| provider.url == issuer).ok_or_else(|| {
            let detail = format!("No OpenIDConnect provider found in your account for {issuer}");
            Error::new(Condition::InvalidIdentityToken, detail)
        })
    }
}

fn denied() -> Error {
    let detail = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
    Error::new(Condition::AccessDenied, detail)
}

/// What the role's trust policy may ask about the bearer.
fn web_facts(
    caller: &Caller,
    provider: &OidcProvider,
    account: &AccountId,
    (bearer, wish): (&Identified, &SessionWish),
) -> Facts {
    Facts {
        principal: Principal::Web(provider.arn(account)),
        root: false,
        canonical_id: None,
        groups: [].into(),
        principal_tags: Vec::new(),
        access_key: None,
        token_issued_ms: None,
        mfa_age_seconds: None,
        session_name: Some(wish.name.clone()),
        request_tags: wish.tags.clone(),
        web: bearer.facts.clone(),
        ..caller.facts.clone()
    }
}
