//! Who may do what, asked without doing it: of one principal, or of everybody there is.
//!
//! The question is put to `authorize`, as an operation would put it.

use std::sync::Arc;

use model::{
    Condition,
    entities::EntityKind,
    names::{AccountId, BucketName, ObjectKey},
    policy::{Action, Decision, Effect, Facts, Principal, Resource},
    records::Account,
};

use crate::{
    Caller, Error, Need, Operation, Permit, Result, Service,
    authorize::{imagine, imagine_iam},
    entities::{Standing, say, stand_in},
    explain::{Explanation, Ground},
    named::trust_of,
};

/// Keys of conditions with their values, as a request would have them.
pub type Saying = Vec<(String, Vec<String>)>;

/// How many are asked for one page.
const ASKED_MAX: usize = 200;

/// Asks whether somebody may do something.
pub struct Simulate {
    /// `anonymous`, the id or ARN of an account, or the ARN of a user or role.
    pub principal: String,
    pub action: Action,
    /// `*`, or the ARN of a bucket, an object, or something of IAM.
    pub resource: String,
    pub saying: Saying,
}

/// Asks who of everybody there is may do something.
pub struct WhoCan {
    pub action: Action,
    pub resource: String,
    pub saying: Saying,
    /// Where the page before ended.
    pub after: Option<String>,
}

/// Somebody who may.
#[derive(Clone, Debug)]
pub struct Able {
    pub arn: String,
    /// Only if conditions hold of which nothing was said.
    pub perhaps: bool,
    /// The keys of conditions that would change the answer.
    pub depends_on: Vec<String>,
    pub why: Explanation,
}

#[derive(Clone, Debug)]
pub struct AblePage {
    pub able: Vec<Able>,
    /// Where to go on; `None` at the end.
    pub next: Option<String>,
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(Condition::InvalidArgument, detail)
}

impl Service {
    /// What a question of this caller would come to.
    async fn imagined(
        &self,
        caller: &Caller,
        action: Action,
        resource: &str,
    ) -> Result<Explanation> {
        if resource == "*" {
            return imagine(self, caller, action, Resource::Service).await;
        }
        if let Some(path) = resource.strip_prefix("arn:aws:s3:::") {
            let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
            let bucket = BucketName::parse(bucket)
                .map_err(|_| invalid(format!("{bucket} is no name of a bucket.")))?;
            let key = match key {
                "" => None,
                key => Some(ObjectKey::parse(key).map_err(|_| invalid("That is no key."))?),
            };
            let resource = match (&key, action) {
                (None, Action::CreateBucket) => Resource::New(&bucket),
                (None, _) => Resource::Bucket(&bucket),
                (Some(key), _) => Resource::Object(&bucket, key),
            };
            return imagine(self, caller, action, resource).await;
        }
        let unknown = || invalid(format!("{resource} is no ARN of something here."));
        let rest = resource.strip_prefix("arn:aws:iam::").ok_or_else(unknown)?;
        let (account, path) = rest.split_once(':').ok_or_else(unknown)?;
        let owner = AccountId::parse(account).ok_or_else(unknown)?;
        let mut trust = None;
        if let Some(role) = path.strip_prefix("role/") {
            let name = role.rsplit('/').next().unwrap_or_default();
            let found = self.metadata.entity(&owner, EntityKind::Role, name).await?;
            trust = found.as_ref().and_then(trust_of);
        }
        let trust = trust.as_ref().filter(|_| action == Action::AssumeRole);
        Ok(imagine_iam(caller, action, (resource, &owner), trust))
    }

    /// Somebody as a caller of whose request nothing is known but what is said.
    fn imagined_caller(&self, account: Option<&Account>, saying: &Saying) -> Caller {
        let mut facts = Facts {
            principal: account.map_or(Principal::Anonymous, |it| Principal::Account(it.id.clone())),
            root: account.is_some_and(|account| account.root),
            canonical_id: account.map(|account| account.canonical_id.clone()),
            ..Facts::system("", self.now_ms())
        };
        say(&mut facts, saying);
        Caller::from_facts(facts, account.cloned())
    }

    /// A user or role as a caller; `None` if there is none of that name.
    async fn imagined_entity(
        &self,
        account: &Account,
        (kind, name): (EntityKind, &str),
        saying: &Saying,
    ) -> Result<Option<Caller>> {
        let Some(own) = self.standing_of(&account.id, kind, name).await? else { return Ok(None) };
        let mut caller = self.imagined_caller(Some(account), saying);
        caller.facts.root = false;
        caller.facts.principal = stand_in(&account.id, kind, &own.entity);
        caller.facts.groups.clone_from(&own.groups);
        caller.facts.principal_tags.extend(own.entity.tags.iter().cloned());
        caller.standing = Standing { own, session: None };
        Ok(Some(caller))
    }

    async fn imagined_principal(&self, principal: &str, saying: &Saying) -> Result<Caller> {
        if matches!(principal, "anonymous" | "*") {
            return Ok(self.imagined_caller(None, saying));
        }
        let unknown = || {
            invalid(format!(
                "{principal} is nobody here: give anonymous, the id of an account, or the ARN of \
                 a user or role."
            ))
        };
        let rest = principal.strip_prefix("arn:aws:iam::").unwrap_or(principal);
        let (account, path) = rest.split_once(':').unwrap_or((rest, "root"));
        let account = AccountId::parse(account).ok_or_else(unknown)?;
        let account = self.metadata.account(&account).await?.ok_or_else(unknown)?;
        if path == "root" {
            return Ok(self.imagined_caller(Some(&account), saying));
        }
        let (word, path) = path.split_once('/').ok_or_else(unknown)?;
        let kind = match word {
            "user" => EntityKind::User,
            "role" => EntityKind::Role,
            _ => return Err(unknown()),
        };
        let name = path.rsplit('/').next().unwrap_or_default();
        let found = self.imagined_entity(&account, (kind, name), saying).await?;
        found.ok_or_else(unknown)
    }

    /// Everybody there is after a place, with their places: at most [`ASKED_MAX`].
    async fn everybody_after(&self, after: Option<&Place>) -> Result<Vec<(Place, Who)>> {
        let mut found = Vec::new();
        if after.is_none() {
            found.push((Place::default(), Who::Anybody));
        }
        for account in self.metadata.accounts().await? {
            let place = |kind, name: &str| Place {
                account: account.id.to_string(),
                kind,
                name: name.to_lowercase(),
            };
            if after.is_some_and(|after| after.account.as_str() > account.id.as_str()) {
                continue;
            }
            found.push((place(1, ""), Who::Account(account.clone())));
            for (kind, number) in [(EntityKind::User, 2), (EntityKind::Role, 3)] {
                for entity in self.metadata.entities(&account.id, kind).await? {
                    let place = place(number, &entity.name);
                    found.push((place, Who::Entity(account.clone(), kind, entity.name)));
                }
            }
            found.retain(|(place, _)| after.is_none_or(|after| place > after));
            if found.len() > ASKED_MAX {
                break;
            }
        }
        found.truncate(ASKED_MAX);
        Ok(found)
    }
}

/// Where somebody stands among everybody: anybody first, then account by account.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    account: String,
    /// 1 the account itself, 2 a user, 3 a role.
    kind: u8,
    /// In lower case, as entities are ordered.
    name: String,
}

impl Place {
    fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once('/')?;
        let (name, account) = rest.split_once('/')?;
        let (name, account) = (name.to_owned(), account.to_owned());
        Some(Self { account, kind: kind.parse().ok()?, name })
    }

    /// No name has a slash in it.
    fn text(&self) -> String {
        format!("{}/{}/{}", self.kind, self.name, self.account)
    }
}

/// Somebody who is asked about.
enum Who {
    Anybody,
    Account(Account),
    Entity(Account, EntityKind, String),
}

impl Operation for Simulate {
    type Output = Explanation;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::AdminStore)
    }

    async fn run(self, _: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let caller = service.imagined_principal(&self.principal, &self.saying).await?;
        service.imagined(&caller, self.action, &self.resource).await
    }
}

impl Operation for WhoCan {
    type Output = AblePage;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::AdminStore)
    }

    async fn run(self, _: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let place = |text: &String| {
            Place::parse(text).ok_or_else(|| invalid(format!("{text} is no place to go on at.")))
        };
        let after = self.after.as_ref().map(place).transpose()?;
        let everybody = service.everybody_after(after.as_ref()).await?;
        let next = everybody.last().map(|(place, _)| place.text());
        let mut able = Vec::new();
        for (_, who) in everybody {
            let caller = match &who {
                Who::Anybody => Some(service.imagined_caller(None, &self.saying)),
                Who::Account(account) => Some(service.imagined_caller(Some(account), &self.saying)),
                Who::Entity(account, kind, name) => {
                    service.imagined_entity(account, (*kind, name), &self.saying).await?
                }
            };
            // Whoever went meanwhile may nothing.
            let Some(caller) = caller else { continue };
            let why = service.imagined(&caller, self.action, &self.resource).await?;
            let arn = caller.facts.principal.arn().unwrap_or_else(|| "anonymous".to_owned());
            able.extend(is_able(arn, why));
        }
        Ok(AblePage { able, next })
    }
}

/// Somebody who may, or might.
fn is_able(arn: String, why: Explanation) -> Option<Able> {
    let Ground::Decided(decision) = why.ground else { return None };
    let unmet = |effect: Effect| {
        let statements = why.statements.iter().filter(move |it| it.effect == effect);
        statements.filter_map(|it| it.unmet.clone())
    };
    let (perhaps, mut depends_on): (bool, Vec<String>) = match decision {
        Decision::Allowed(..) => (false, unmet(Effect::Deny).collect()),
        Decision::Denied(..) => return None,
        Decision::NotAllowed(_) => {
            let keys: Vec<_> = unmet(Effect::Allow).collect();
            if keys.is_empty() {
                return None;
            }
            (true, keys)
        }
    };
    depends_on.sort_unstable();
    depends_on.dedup();
    Some(Able { arn, perhaps, depends_on, why })
}
