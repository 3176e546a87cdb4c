//! Temporary credentials, in the words of AWS STS.
//!
//! A token holds all there is to know of its session, sealed under the store's master key: no row
//! is written. Whose rights it lends is looked up with each request, so that a deleted role or
//! user, or a key that was switched off, ends its sessions at once.

use std::sync::Arc;

use minicbor::{Decode, Encode};
use model::{
    Condition,
    entities::{Entity, EntityKind},
    limits::{
        FEDERATION_NAME_BYTES, SESSION_POLICIES_MAX, SESSION_POLICY_BYTES_MAX, SESSION_SECONDS,
        SESSION_SECONDS_ACCOUNT, SESSION_SECONDS_CHAINED, SESSION_SECONDS_ROLE,
    },
    names::AccountId,
    policy::{Action, Context, Document, Facts, Kind, Layers, Principal, Resource, assume},
};

use super::{
    CompiledEntity, SecondFactor, Standing, Tags,
    arn::{check_name, invalid},
    members::check_tags,
    web_identity::WebFacts,
};
use crate::{
    Caller, Error, Identity, Result, Service,
    authorize::Granted,
    explain::{Explanation, Question},
    named::trust_of,
};

/// Credentials that end by themselves.
#[derive(Clone, Debug)]
pub struct Credentials {
    pub access_key: String,
    pub secret: String,
    pub token: String,
    pub expires_ms: i64,
    /// Whose they are: ARN and id.
    pub arn: String,
    pub user_id: String,
}

/// What whoever takes on a role, or lends its rights, asks for.
#[derive(Clone, Debug, Default)]
pub struct SessionWish {
    pub name: String,
    pub seconds: Option<i64>,
    /// A policy that limits the session.
    pub policy: Option<String>,
    /// Managed policies that do so too.
    pub policy_arns: Vec<String>,
    pub tags: Tags,
    pub external_id: Option<String>,
    pub factor: Option<SecondFactor>,
}

/// What a token holds. The numbers are in tokens that are out there.
#[derive(Clone, Debug, Encode, Decode)]
struct Claims {
    #[n(0)]
    secret: String,
    #[n(1)]
    account: AccountId,
    #[n(2)]
    issued_ms: i64,
    #[n(3)]
    expires_ms: i64,
    #[n(4)]
    holder: Holder,
    /// The key that must still be good: of whoever lent its own rights.
    #[n(5)]
    parent: Option<String>,
    #[n(6)]
    policies: Option<Vec<String>>,
    #[n(7)]
    tags: Tags,
    /// When a second factor was shown for it, if one was.
    #[n(8)]
    mfa_ms: Option<i64>,
    /// What another identity provider said of the bearer.
    #[n(9)]
    web: Option<WebFacts>,
}

#[derive(Clone, Debug, Encode, Decode)]
enum Holder {
    #[n(0)]
    Account,
    #[n(1)]
    User {
        #[n(0)]
        name: String,
        #[n(1)]
        id: String,
    },
    #[n(2)]
    Role {
        #[n(0)]
        name: String,
        #[n(1)]
        id: String,
        #[n(2)]
        session: String,
    },
    /// Somebody to whom a user, or the account itself, lent a part of its rights.
    #[n(3)]
    Federated {
        #[n(0)]
        name: String,
        #[n(1)]
        user: Option<(String, String)>,
    },
}

/// What the bearer of credentials has shown to get them.
pub(super) struct Proof {
    /// When a second factor was shown, if one was.
    pub mfa_ms: Option<i64>,
    /// What another identity provider said.
    pub web: Option<WebFacts>,
}

impl Service {
    /// Takes on a role.
    ///
    /// # Errors
    /// `AccessDenied`, also for a role that does not exist; `ValidationError`.
    pub async fn assume_role(
        &self,
        caller: &Caller,
        arn: &str,
        wish: SessionWish,
    ) -> Result<Credentials> {
        check_name("roleSessionName", &wish.name, 64)?;
        check_tags(&wish.tags)?;
        let (account, role) = self.role_of(arn).await?.ok_or_else(|| denied(caller, arn))?;
        self.ask_trust(caller, &account, &role, &wish)?;
        let chained = matches!(caller.facts.principal, Principal::Session { .. });
        let longest = if chained { SESSION_SECONDS_CHAINED } else { i64::MAX };
        let mfa_ms = self.factor_shown(caller, wish.factor.as_ref()).await?;
        let proof = Proof { mfa_ms, web: None };
        self.issue_for_role(account, &role, (wish, longest), proof).await
    }

    /// The credentials of whoever may take on a role.
    ///
    /// - `longest`: seconds, besides what the role lets.
    pub(super) async fn issue_for_role(
        &self,
        account: AccountId,
        role: &Entity,
        (wish, longest): (SessionWish, i64),
        Proof { mfa_ms, web }: Proof,
    ) -> Result<Credentials> {
        let most = role.role.as_ref().map_or(3600, |role| i64::from(role.session_seconds_max));
        let longest = most.min(longest);
        let seconds = seconds(wish.seconds, SESSION_SECONDS_ROLE.min(longest), 900..=longest)?;
        let policies = self.session_policies(&account, &wish).await?;
        let holder = Holder::Role {
            name: role.name.clone(),
            id: role.id.clone(),
            session: wish.name.clone(),
        };
        let principal = session_principal(&account, role, &wish.name);
        let claims = self.claims(account, holder, seconds);
        self.issue(Claims { policies, tags: wish.tags, mfa_ms, web, ..claims }, &principal)
    }

    /// Temporary credentials with the caller's own rights.
    ///
    /// # Errors
    /// `AccessDenied` for temporary credentials, and for a code that does not count.
    pub async fn session_token(
        &self,
        caller: &Caller,
        wished: Option<i64>,
        factor: Option<&SecondFactor>,
    ) -> Result<Credentials> {
        let (account, holder, whole) = lender(caller)?;
        let longest = if whole { SESSION_SECONDS_ACCOUNT } else { *SESSION_SECONDS.end() };
        let usual = if whole { SESSION_SECONDS_ACCOUNT } else { SESSION_SECONDS_USUAL };
        let seconds = seconds(wished, usual, *SESSION_SECONDS.start()..=longest)?;
        let parent = caller.facts.access_key.clone();
        let mfa_ms = self.factor_shown(caller, factor).await?;
        let claims = Claims { parent, mfa_ms, ..self.claims(account, holder, seconds) };
        self.issue(claims, &caller.facts.principal)
    }

    /// Temporary credentials with a part of the caller's own rights.
    ///
    /// # Errors
    /// `AccessDenied`, `ValidationError`, `MalformedPolicyDocument`.
    pub async fn federation_token(
        &self,
        caller: &Caller,
        wish: SessionWish,
    ) -> Result<Credentials> {
        let (account, holder, whole) = lender(caller)?;
        let principal = Principal::Federated { account: account.clone(), name: wish.name.clone() };
        let arn = principal.arn().unwrap_or_default();
        Granted::give(caller, Action::GetFederationToken, &arn)?;
        check_name("name", &wish.name, *FEDERATION_NAME_BYTES.end())?;
        check_tags(&wish.tags)?;
        let longest = if whole { SESSION_SECONDS_ACCOUNT } else { *SESSION_SECONDS.end() };
        let usual = if whole { SESSION_SECONDS_ACCOUNT } else { SESSION_SECONDS_USUAL };
        let seconds = seconds(wish.seconds, usual, *SESSION_SECONDS.start()..=longest)?;
        let policies = self.session_policies(&account, &wish).await?;
        let user = match holder {
            Holder::User { name, id } => Some((name, id)),
            _ => None,
        };
        let holder = Holder::Federated { name: wish.name, user };
        let claims = Claims {
            // Without a policy nothing is lent.
            policies: Some(policies.unwrap_or_default()),
            tags: wish.tags,
            parent: caller.facts.access_key.clone(),
            ..self.claims(account, holder, seconds)
        };
        self.issue(claims, &principal)
    }

    /// Who stands behind a token, if it belongs to the key and is good still.
    ///
    /// # Errors
    /// `InvalidSecurityToken`, `ExpiredToken`.
    pub(crate) async fn identify_session(&self, access_key: &str, token: &str) -> Result<Identity> {
        let invalid = || Error::from(Condition::InvalidSecurityToken);
        let sealed = hex::decode(token).map_err(|_| invalid())?;
        let opened = self.seal.open_token(access_key, &sealed).ok_or_else(invalid)?;
        let claims: Claims = minicbor::decode(&opened).map_err(|_| invalid())?;
        if claims.expires_ms <= self.now_ms() {
            return Err(Condition::ExpiredToken.into());
        }
        let found = self.metadata.account(&claims.account).await?;
        let account = found.ok_or_else(invalid)?;
        if let Some(parent) = &claims.parent {
            let key = self.metadata.access_key(parent).await?;
            let good = key.is_some_and(|key| !key.inactive && key.account == account.id);
            if !good {
                return Err(invalid());
            }
        }
        let own = self.lent_by(&claims).await?;
        let session = self.compiled_session(access_key, &claims)?;
        let mut tags = claims.tags;
        let added = own.entity.tags.iter();
        let added: Tags = added
            .filter(|(name, _)| !tags.iter().any(|(set, _)| set.eq_ignore_ascii_case(name)))
            .cloned()
            .collect();
        tags.extend(added);
        let principal = match &claims.holder {
            Holder::Account => Principal::Account(account.id.clone()),
            Holder::User { .. } => user_principal(&account.id, &own.entity),
            Holder::Role { session, .. } => session_principal(&account.id, &own.entity, session),
            Holder::Federated { name, .. } => {
                Principal::Federated { account: account.id.clone(), name: name.clone() }
            }
        };
        Ok(Identity {
            account,
            secret: claims.secret,
            principal,
            groups: own.groups.clone(),
            tags,
            standing: Standing { own, session },
            token_issued_ms: Some(claims.issued_ms),
            mfa_ms: claims.mfa_ms,
            web: claims.web.unwrap_or_default(),
        })
    }

    /// The entity whose rights a token lends, as it is now.
    async fn lent_by(&self, claims: &Claims) -> Result<Arc<CompiledEntity>> {
        let invalid = || Error::from(Condition::InvalidSecurityToken);
        let (kind, name, id) = match &claims.holder {
            Holder::Account | Holder::Federated { user: None, .. } => {
                return Ok(Arc::new(whole_account()?));
            }
            Holder::User { name, id } | Holder::Federated { user: Some((name, id)), .. } => {
                (EntityKind::User, name, id)
            }
            Holder::Role { name, id, .. } => (EntityKind::Role, name, id),
        };
        let own = self.standing_of(&claims.account, kind, name).await?.ok_or_else(invalid)?;
        if own.entity.id == *id { Ok(own) } else { Err(invalid()) }
    }

    /// The policies of a session, compiled once.
    fn compiled_session(
        &self,
        access_key: &str,
        claims: &Claims,
    ) -> Result<Option<Arc<Vec<Arc<Document>>>>> {
        let Some(texts) = &claims.policies else { return Ok(None) };
        let key = access_key.to_owned();
        let revision = claims.issued_ms as u64;
        if let Some(found) = self.sessions.get(&key, revision) {
            return Ok(Some(found));
        }
        let parse = |text: &String| Document::parse(text, Kind::Identity).map(Arc::new);
        let parsed = texts.iter().map(parse).collect::<Result<Vec<_>, String>>();
        let parsed = Arc::new(parsed.map_err(|_| Condition::InvalidSecurityToken)?);
        let indexes = parsed.iter().map(|document| document.index_bytes()).sum::<usize>();
        let bytes = texts.iter().map(String::len).sum::<usize>() + indexes + 128;
        self.sessions.keep(key, revision, &parsed, bytes);
        Ok(Some(parsed))
    }

    /// The role of an ARN, in whatever account.
    pub(super) async fn role_of(&self, arn: &str) -> Result<Option<(AccountId, Entity)>> {
        let Some(rest) = arn.strip_prefix("arn:aws:iam::") else {
            return Err(invalid(format!("{arn} is invalid")));
        };
        let Some((account, path)) = rest.split_once(":role/") else {
            return Err(invalid(format!("{arn} is invalid")));
        };
        let Some(account) = AccountId::parse(account) else { return Ok(None) };
        let name = path.rsplit('/').next().unwrap_or_default();
        let found = self.metadata.entity(&account, EntityKind::Role, name).await?;
        let found = found.filter(|role| role.arn(&account, EntityKind::Role) == arn);
        Ok(found.map(|role| (account, role)))
    }

    /// Whether the role trusts the caller, and the caller's own policies let it go there.
    fn ask_trust(
        &self,
        caller: &Caller,
        account: &AccountId,
        role: &Entity,
        wish: &SessionWish,
    ) -> Result<()> {
        let arn = role.arn(account, EntityKind::Role);
        let trust = trust_of(role).ok_or_else(|| denied(caller, &arn))?;
        let facts = Facts {
            external_id: wish.external_id.clone(),
            session_name: Some(wish.name.clone()),
            // As if the code were right: it is looked at only if all else fits.
            mfa_age_seconds: wish.factor.as_ref().map(|_| 0).or(caller.facts.mfa_age_seconds),
            ..caller.facts.clone()
        };
        let layers = Layers { resource: Some(&trust), ..Layers::default() };
        let layers = &caller.standing.join(layers);
        let asked: &[Action] = match wish.tags.is_empty() {
            true => &[Action::AssumeRole],
            false => &[Action::AssumeRole, Action::TagSession],
        };
        for action in asked {
            let context = Context {
                owner: Some(account),
                ..Context::new(&facts, *action, Resource::Arn(&arn))
            };
            let decision = assume(layers, &context);
            if !decision.is_allowed() {
                let plain = Question::plain(&context, layers, decision);
                let question = Question { decide: assume, ..plain };
                let why = Explanation::of(caller, &question);
                return Err(denied(caller, &arn).because(why));
            }
        }
        Ok(())
    }

    /// The texts that limit a session; `None` if it is not limited.
    async fn session_policies(
        &self,
        account: &AccountId,
        wish: &SessionWish,
    ) -> Result<Option<Vec<String>>> {
        if wish.policy.is_none() && wish.policy_arns.is_empty() {
            return Ok(None);
        }
        if wish.policy_arns.len() > SESSION_POLICIES_MAX {
            return Err(invalid("A session has at most 10 managed policies."));
        }
        let mut texts = Vec::new();
        texts.extend(wish.policy.clone());
        for arn in &wish.policy_arns {
            let text = self.policy_text(account, arn).await?;
            let missing = || invalid(format!("The policy {arn} does not exist."));
            texts.push(text.ok_or_else(missing)?);
        }
        if texts.iter().map(String::len).sum::<usize>() > SESSION_POLICY_BYTES_MAX {
            return Err(invalid("The policies of the session are too long."));
        }
        let malformed = |error| Error::new(Condition::MalformedPolicyDocument, error);
        for text in &texts {
            Document::parse(text, Kind::Identity).map_err(malformed)?;
        }
        Ok(Some(texts))
    }

    /// Uses the code that was shown, if one was; when that happened. Comes last: it counts once.
    async fn factor_shown(
        &self,
        caller: &Caller,
        factor: Option<&SecondFactor>,
    ) -> Result<Option<i64>> {
        let Some(factor) = factor else { return Ok(None) };
        self.use_second_factor(caller, factor).await?;
        Ok(Some(self.now_ms()))
    }

    fn claims(&self, account: AccountId, holder: Holder, seconds: i64) -> Claims {
        let issued_ms = self.now_ms();
        Claims {
            secret: String::new(),
            account,
            issued_ms,
            expires_ms: issued_ms.saturating_add(seconds.saturating_mul(1000)),
            holder,
            parent: None,
            policies: None,
            tags: Tags::new(),
            mfa_ms: None,
            web: None,
        }
    }

    fn issue(&self, mut claims: Claims, principal: &Principal) -> Result<Credentials> {
        let (access_key, secret) = self.new_user_keys("ASIA");
        claims.secret.clone_from(&secret);
        let bytes = minicbor::to_vec(&claims).map_err(|_| Condition::Internal)?;
        let sealed = self.seal.seal_token(self.random(), &access_key, bytes)?;
        Ok(Credentials {
            access_key,
            secret,
            token: hex::encode(sealed),
            expires_ms: claims.expires_ms,
            arn: principal.caller_arn().unwrap_or_default(),
            user_id: principal.user_id().unwrap_or_default(),
        })
    }
}

/// Twelve hours.
const SESSION_SECONDS_USUAL: i64 = 43_200;

/// Stands for an account that lent a part of its rights: only the session's policies limit it.
fn whole_account() -> Result<CompiledEntity> {
    let everything = r#"{"Version": "2012-10-17", "Statement":
        {"Effect": "Allow", "Action": "*", "Resource": "*"}}"#;
    let document = Document::parse(everything, Kind::Identity);
    let document = document.map_err(|error| Error::new(Condition::Internal, error))?;
    let documents = vec![Arc::new(document)];
    Ok(CompiledEntity { documents, ..CompiledEntity::default() })
}

/// Who may lend its rights, and whether that is a whole account.
fn lender(caller: &Caller) -> Result<(AccountId, Holder, bool)> {
    let temporary = caller.facts.token_issued_ms.is_some();
    match &caller.facts.principal {
        Principal::Account(account) if !temporary => Ok((account.clone(), Holder::Account, true)),
        Principal::User { account, id, .. } if !temporary => {
            let name = super::own_name(caller).ok_or(Condition::AccessDenied)?;
            Ok((account.clone(), Holder::User { name, id: id.clone() }, false))
        }
        _ => {
            let detail = "Cannot call this with session credentials";
            Err(Error::new(Condition::AccessDenied, detail))
        }
    }
}

pub(crate) fn user_principal(account: &AccountId, user: &Entity) -> Principal {
    let (name, id) = (user.full_name(), user.id.clone());
    Principal::User { account: account.clone(), name, id }
}

fn session_principal(account: &AccountId, role: &Entity, session: &str) -> Principal {
    Principal::Session {
        account: account.clone(),
        role: role.full_name(),
        role_id: role.id.clone(),
        session: session.to_owned(),
    }
}

fn seconds(wished: Option<i64>, usual: i64, range: std::ops::RangeInclusive<i64>) -> Result<i64> {
    let seconds = wished.unwrap_or(usual);
    if range.contains(&seconds) {
        return Ok(seconds);
    }
    let (start, end) = (range.start(), range.end());
    Err(invalid(format!("The DurationSeconds must be between {start} and {end}.")))
}

fn denied(caller: &Caller, arn: &str) -> Error {
    crate::authorize::not_authorized(&caller.facts, Action::AssumeRole, arn)
}
