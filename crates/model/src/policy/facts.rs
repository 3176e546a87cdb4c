//! What is known of a request when it is decided.

use std::{net::IpAddr, sync::Arc};

use super::{Action, keys::Key};
use crate::{
    names::{AccountId, BucketName, ObjectKey, VersionSelector},
    tags::Tag,
};

/// Who asks, as far as a policy may tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    Anonymous,
    /// The account itself, by one of its keys.
    Account(AccountId),
    /// A user of an account.
    User {
        account: AccountId,
        /// With the path in front of it, if it has one: `division/name`.
        name: String,
        /// Never given to another user.
        id: String,
    },
    /// Somebody who took on a role.
    Session {
        account: AccountId,
        role: String,
        role_id: String,
        session: String,
    },
    /// Somebody to whom a user lent a part of its rights, by a name of the user's choice.
    Federated {
        account: AccountId,
        name: String,
    },
    /// Somebody whom another identity provider knows, by the ARN of that: before a role is taken
    /// on.
    Web(String),
    /// The server's own background work, by its worker's name.
    System(&'static str),
}

impl Principal {
    /// What stays the same whatever its keys and sessions are: an id, or "" for the account itself.
    pub fn lasting(&self) -> &str {
        match self {
            Self::Anonymous | Self::Account(_) => "",
            Self::User { id, .. } => id,
            Self::Session { role_id, .. } => role_id,
            Self::Federated { .. } => "federated",
            Self::Web(arn) => arn,
            Self::System(name) => name,
        }
    }

    /// The account it belongs to.
    pub fn account(&self) -> Option<&AccountId> {
        match self {
            Self::Account(account)
            | Self::User { account, .. }
            | Self::Session { account, .. }
            | Self::Federated { account, .. } => Some(account),
            Self::Anonymous | Self::Web(_) | Self::System(_) => None,
        }
    }

    /// As policies name it; a session by its role, as `aws:PrincipalArn` does.
    pub fn arn(&self) -> Option<String> {
        match self {
            Self::Account(account) => Some(format!("arn:aws:iam::{account}:root")),
            Self::User { account, name, .. } => Some(format!("arn:aws:iam::{account}:user/{name}")),
            Self::Session { account, role, .. } => {
                Some(format!("arn:aws:iam::{account}:role/{role}"))
            }
            Self::Federated { account, name } => {
                Some(format!("arn:aws:sts::{account}:federated-user/{name}"))
            }
            Self::Anonymous | Self::Web(_) | Self::System(_) => None,
        }
    }

    /// As errors and `GetCallerIdentity` name it: a session by its own name too.
    pub fn caller_arn(&self) -> Option<String> {
        match self {
            Self::Session { account, role, session, .. } => {
                let role = role.rsplit('/').next().unwrap_or_default();
                Some(format!("arn:aws:sts::{account}:assumed-role/{role}/{session}"))
            }
            other => other.arn(),
        }
    }

    /// What `aws:userid` says of it.
    pub fn user_id(&self) -> Option<String> {
        match self {
            Self::Anonymous => Some("anonymous".to_owned()),
            Self::Account(account) => Some(account.to_string()),
            Self::User { id, .. } => Some(id.clone()),
            Self::Session { role_id, session, .. } => Some(format!("{role_id}:{session}")),
            Self::Federated { account, name } => Some(format!("{account}:{name}")),
            Self::Web(_) | Self::System(_) => None,
        }
    }
}

/// How a request was signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// `REST-HEADER`, `REST-QUERY-STRING` or `POST`.
    pub place: &'static str,
    /// The first word of the signature, such as `AWS4-HMAC-SHA256`.
    pub version: &'static str,
    /// How long ago a presigned request was signed.
    pub age_ms: Option<i64>,
}

/// Everything a policy may ask about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    pub principal: Principal,
    /// The principal is the store's root account.
    pub root: bool,
    /// The account's other id, of 64 hexadecimal digits.
    pub canonical_id: Option<String>,
    /// Names of the groups the principal is in.
    pub groups: Arc<[String]>,
    pub principal_tags: Vec<(String, String)>,
    /// The socket's peer, or the forwarded address behind a configured proxy.
    pub source: Option<IpAddr>,
    pub now_ms: i64,
    /// Whether the request came over TLS.
    pub secure: bool,
    /// The version of TLS, as `1.3`, if it is known.
    pub tls_version: Option<&'static str>,
    pub user_agent: Option<String>,
    pub referer: Option<String>,
    /// The access key that signed the request.
    pub access_key: Option<String>,
    pub signature: Option<Signature>,
    /// Whether a second factor was shown, and how long ago.
    pub mfa_age_seconds: Option<i64>,
    /// When the temporary credentials were issued, if they are such.
    pub token_issued_ms: Option<i64>,
    /// What whoever takes on a role says about that.
    pub external_id: Option<String>,
    pub session_name: Option<String>,
    /// What the request itself says, in headers and parameters.
    pub request: Vec<(Key, String)>,
    /// The tags the request wants to set: of a user, a role or a session, or in a question about a
    /// request that nobody made.
    pub request_tags: Vec<Tag>,
    /// What an identity provider says of the caller, by names of keys in any case of letters.
    pub web: Vec<(String, Vec<String>)>,
    /// In a question about a request that nobody made: the tags of the object.
    pub object_tags: Option<Vec<Tag>>,
}

impl Facts {
    /// What is known of the server's own work.
    pub fn system(worker: &'static str, now_ms: i64) -> Self {
        Self {
            principal: Principal::System(worker),
            root: false,
            canonical_id: None,
            groups: Arc::default(),
            principal_tags: Vec::new(),
            source: None,
            now_ms,
            secure: true,
            tls_version: None,
            user_agent: None,
            referer: None,
            access_key: None,
            signature: None,
            mfa_age_seconds: None,
            token_issued_ms: None,
            external_id: None,
            session_name: None,
            request: Vec::new(),
            request_tags: Vec::new(),
            web: Vec::new(),
            object_tags: None,
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource<'r> {
    /// All of an account: listing and creating buckets.
    Service,
    /// A bucket that is to be: it belongs to nobody yet.
    New(&'r BucketName),
    Bucket(&'r BucketName),
    /// A bucket whose list would tell of this key: what a listing calls the prefix is the key.
    Listed(&'r BucketName, &'r ObjectKey),
    Object(&'r BucketName, &'r ObjectKey),
    /// A user, group, role or managed policy.
    Arn(&'r str),
}

/// One question: who wants to do what with what.
#[derive(Clone, Copy, Debug)]
pub struct Context<'c> {
    pub facts: &'c Facts,
    pub action: Action,
    pub resource: Resource<'c>,
    /// The version of the object that was named.
    pub version: VersionSelector,
    /// The account the resource belongs to, of an object the bucket's; `None` at the account's own
    /// level.
    pub owner: Option<&'c AccountId>,
    /// The other account that the object asked for belongs to, if one does.
    pub object_owner: Option<&'c AccountId>,
    /// The tags of the object asked for; `None` if there is none, or if no statement asks.
    pub object_tags: Option<&'c [Tag]>,
    /// The tags that the request gives to an object.
    pub request_tags: Option<&'c [Tag]>,
}
