//! The decision: an explicit deny wins, then an allow, else no.

use std::net::IpAddr;

use super::Action;
use crate::names::{AccountId, BucketName, ObjectKey};

/// Who asks, as far as a policy may tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    Anonymous,
    /// The account itself, by one of its keys.
    Account(AccountId),
    /// The server's own background work, by its worker's name.
    System(&'static str),
}

/// Everything a policy may ask about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub principal: Principal,
    /// The principal is the store's root account.
    pub root: bool,
    /// The socket's peer, or the forwarded address behind a configured proxy.
    pub source: Option<IpAddr>,
    pub now_ms: i64,
    /// Whether the request came over TLS.
    pub secure: bool,
    pub user_agent: Option<String>,
    pub referer: Option<String>,
    /// The access key that signed the request.
    pub access_key: Option<String>,
    /// Whether a second factor was shown, and how long ago.
    pub mfa_age_seconds: Option<i64>,
    /// Tags of the object asked for; `None` until a statement needs them and they are loaded.
    pub object_tags: Option<Vec<(String, String)>>,
}

impl Facts {
    /// What is known of the server's own work.
    pub fn system(worker: &'static str, now_ms: i64) -> Self {
        Self {
            principal: Principal::System(worker),
            root: false,
            source: None,
            now_ms,
            secure: true,
            user_agent: None,
            referer: None,
            access_key: None,
            mfa_age_seconds: None,
            object_tags: None,
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'r> {
    /// All of an account: listing and creating buckets.
    Service,
    Bucket(&'r BucketName),
    Object(&'r BucketName, &'r ObjectKey),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Allow,
    Deny,
}

/// Whom a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principals {
    Everybody,
    AnyAccount,
    Accounts(Vec<AccountId>),
    System,
}

/// What a statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actions {
    All,
    Some(Vec<Action>),
}

/// Where a statement applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resources {
    All,
    /// The account's own level: listing and creating buckets.
    Service,
    /// The bucket and all in it.
    Bucket(BucketName),
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    pub effect: Effect,
    pub principals: Principals,
    pub actions: Actions,
    pub resources: Resources,
}

/// What the statements lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Allowed,
    /// A statement forbids it.
    Denied,
    /// No statement speaks of it: also a no.
    NotAllowed,
}

impl Statement {
    fn speaks_of(&self, facts: &Facts, action: Action, resource: Resource<'_>) -> bool {
        let principal = match (&self.principals, &facts.principal) {
            (Principals::Everybody, _)
            | (Principals::AnyAccount, Principal::Account(_))
            | (Principals::System, Principal::System(_)) => true,
            (Principals::Accounts(accounts), Principal::Account(account)) => {
                accounts.contains(account)
            }
            _ => false,
        };
        let action = match &self.actions {
            Actions::All => true,
            Actions::Some(actions) => actions.contains(&action),
        };
        let resource = match (&self.resources, resource) {
            (Resources::All, _) | (Resources::Service, Resource::Service) => true,
            (Resources::Bucket(own), Resource::Bucket(bucket) | Resource::Object(bucket, _)) => {
                own == bucket
            }
            (Resources::Bucket(_), Resource::Service) | (Resources::Service, _) => false,
        };
        principal && action && resource
    }
}

/// Decides one action on one resource.
pub fn evaluate(
    statements: &[Statement],
    facts: &Facts,
    action: Action,
    resource: Resource<'_>,
) -> Decision {
    let mut decision = Decision::NotAllowed;
    for statement in statements {
        if statement.speaks_of(facts, action, resource) {
            match statement.effect {
                Effect::Deny => return Decision::Denied,
                Effect::Allow => decision = Decision::Allowed,
            }
        }
    }
    decision
}

/// The implicit right: an account may do everything in its own buckets.
pub fn owner_statement(owner: &AccountId, bucket: &BucketName) -> Statement {
    Statement {
        effect: Effect::Allow,
        principals: Principals::Accounts(vec![owner.clone()]),
        actions: Actions::All,
        resources: Resources::Bucket(bucket.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(id: &str) -> AccountId {
        AccountId::parse(id).expect("an id")
    }

    fn facts(principal: Principal) -> Facts {
        Facts { principal, ..Facts::system("", 0) }
    }

    #[test]
    fn the_owner_may_do_everything_in_its_bucket_and_others_nothing() {
        let own = BucketName::parse("own").expect("a name");
        let other = BucketName::parse("other").expect("a name");
        let key = ObjectKey::parse("k").expect("a key");
        let statements = [owner_statement(&account("1"), &own)];
        let decide = |principal: Principal, resource: Resource<'_>| {
            evaluate(&statements, &facts(principal), Action::GetObject, resource)
        };
        let owner = || Principal::Account(account("1"));
        assert_eq!(decide(owner(), Resource::Object(&own, &key)), Decision::Allowed);
        assert_eq!(decide(owner(), Resource::Bucket(&own)), Decision::Allowed);
        assert_eq!(decide(owner(), Resource::Bucket(&other)), Decision::NotAllowed);
        assert_eq!(decide(owner(), Resource::Service), Decision::NotAllowed);
        for principal in
            [Principal::Anonymous, Principal::Account(account("2")), Principal::System("w")]
        {
            let decision = decide(principal.clone(), Resource::Object(&own, &key));
            assert_eq!(decision, Decision::NotAllowed, "{principal:?}");
        }
    }

    #[test]
    fn a_deny_wins_whatever_the_order() {
        let bucket = BucketName::parse("own").expect("a name");
        let allow = owner_statement(&account("1"), &bucket);
        let deny = Statement {
            effect: Effect::Deny,
            principals: Principals::Everybody,
            actions: Actions::Some(vec![Action::DeleteObject]),
            resources: Resources::All,
        };
        let facts = facts(Principal::Account(account("1")));
        for statements in [[allow.clone(), deny.clone()], [deny, allow]] {
            let decide = |action| evaluate(&statements, &facts, action, Resource::Bucket(&bucket));
            assert_eq!(decide(Action::DeleteObject), Decision::Denied);
            assert_eq!(decide(Action::GetObject), Decision::Allowed);
        }
    }
}
