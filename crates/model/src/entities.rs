//! Users, groups, roles and managed policies, as they are stored. The field numbers are persisted:
//! never reuse or renumber one.
//!
//! The words are those of AWS IAM. What the policies mean is in [`crate::policy`].

use minicbor::{Decode, Encode};

use crate::{names::AccountId, totp::Counter};

macro_rules! built_in {
    ($effect:literal, $actions:literal) => {
        concat!(
            r#"{"Version": "2012-10-17", "Statement": [{"Effect": ""#,
            $effect,
            r#"", "Action": "#,
            $actions,
            r#", "Resource": "*"}]}"#
        )
    };
}

macro_rules! allow {
    ($actions:literal) => {
        built_in!("Allow", $actions)
    };
}

/// What an account gives rights to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum EntityKind {
    #[n(0)]
    User,
    #[n(1)]
    Group,
    #[n(2)]
    Role,
}

impl EntityKind {
    pub const ALL: [Self; 3] = [Self::User, Self::Group, Self::Role];

    /// As ARNs name it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Role => "role",
        }
    }
}

/// A user, a group or a role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct Entity {
    #[n(0)]
    pub name: String,
    /// Begins and ends with a slash.
    #[n(1)]
    pub path: String,
    /// Never given to another one.
    #[n(2)]
    pub id: String,
    #[n(3)]
    pub created_ms: i64,
    /// Policies of its own: name and text.
    #[n(4)]
    pub inline: Vec<(String, String)>,
    /// ARNs of managed policies.
    #[n(5)]
    pub attached: Vec<String>,
    /// ARN of the managed policy that says the most it may.
    #[n(6)]
    pub boundary: Option<String>,
    #[n(7)]
    pub tags: Vec<(String, String)>,
    /// Of a user: names of the groups it is in.
    #[n(8)]
    pub groups: Vec<String>,
    /// Of a user: its access keys.
    #[n(9)]
    pub keys: Vec<String>,
    #[n(10)]
    pub role: Option<RoleFacts>,
}

/// What only a role has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct RoleFacts {
    /// The policy that says who may take it on.
    #[n(0)]
    pub trust: String,
    #[n(1)]
    pub description: Option<String>,
    #[n(2)]
    pub session_seconds_max: u32,
    /// Users and roles that the policy names, as they were when it was written.
    #[cbor(n(3), default)]
    pub named: Vec<NamedEntity>,
}

/// A user or role as a policy names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Encode, Decode)]
pub struct NamedEntity {
    #[n(0)]
    pub account: AccountId,
    #[n(1)]
    pub kind: EntityKind,
    /// With its path; a role that is named by a session without.
    #[n(2)]
    pub name: String,
    /// The one that was called so when the policy was written: nobody else is meant, whatever its
    /// name. `None` means whoever is called so.
    #[n(3)]
    pub id: Option<String>,
}

impl NamedEntity {
    /// The name without its path.
    pub fn last_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }
}

impl Entity {
    pub fn arn(&self, account: &AccountId, kind: EntityKind) -> String {
        format!("arn:aws:iam::{account}:{}{}{}", kind.word(), self.path, self.name)
    }

    /// The name with the path in front, as principals have it.
    pub fn full_name(&self) -> String {
        format!("{}{}", self.path.trim_start_matches('/'), self.name)
    }
}

/// A policy that several entities share.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ManagedPolicy {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub path: String,
    #[n(2)]
    pub id: String,
    #[n(3)]
    pub created_ms: i64,
    #[n(4)]
    pub updated_ms: i64,
    #[n(5)]
    pub description: Option<String>,
    #[n(6)]
    pub tags: Vec<(String, String)>,
    /// In order of number.
    #[n(7)]
    pub versions: Vec<PolicyVersion>,
    /// The number of the version in force.
    #[n(8)]
    pub default_version: u32,
    /// The number of the latest version ever made.
    #[n(9)]
    pub latest_version: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct PolicyVersion {
    #[n(0)]
    pub number: u32,
    #[n(1)]
    pub text: String,
    #[n(2)]
    pub created_ms: i64,
}

impl ManagedPolicy {
    pub fn arn(&self, account: &AccountId) -> String {
        format!("arn:aws:iam::{account}:policy{}{}", self.path, self.name)
    }

    pub fn version(&self, number: u32) -> Option<&PolicyVersion> {
        self.versions.iter().find(|version| version.number == number)
    }
}

/// Somebody else who knows users, by tokens of OpenID Connect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct OidcProvider {
    /// As tokens name their issuer.
    #[n(0)]
    pub url: String,
    /// For whom its tokens may be.
    #[n(1)]
    pub client_ids: Vec<String>,
    /// Kept and shown: which certificates count is the matter of the server's operator.
    #[n(2)]
    pub thumbprints: Vec<String>,
    #[n(3)]
    pub created_ms: i64,
    #[n(4)]
    pub tags: Vec<(String, String)>,
}

impl OidcProvider {
    /// The URL without its scheme: host and path, as ARNs and conditions name it.
    pub fn place(&self) -> &str {
        self.url.split_once("://").map_or(&*self.url, |(_, place)| place)
    }

    pub fn arn(&self, account: &AccountId) -> String {
        format!("arn:aws:iam::{account}:oidc-provider/{}", self.place())
    }

    /// The place in the ARN of a provider of this account.
    pub fn place_in<'a>(account: &AccountId, arn: &'a str) -> Option<&'a str> {
        arn.strip_prefix(&format!("arn:aws:iam::{account}:oidc-provider/"))
    }
}

/// When and for what an access key was used last, to within a quarter of an hour.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct KeyUse {
    #[n(0)]
    pub at_ms: i64,
    #[n(1)]
    pub service: String,
    #[n(2)]
    pub region: String,
}

/// Whose second factor a device is.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum MfaHolder {
    /// The account itself.
    #[n(0)]
    Account,
    /// A user, by name.
    #[n(1)]
    User(#[n(0)] String),
}

/// A device that shows one-time codes.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct MfaDevice {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub path: String,
    #[n(2)]
    pub created_ms: i64,
    /// Sealed under the store's master key.
    #[cbor(n(3), with = "minicbor::bytes")]
    pub sealed_seed: Vec<u8>,
    /// `None` until it is enabled, and after it was deactivated.
    #[n(4)]
    pub holder: Option<MfaHolder>,
    #[n(5)]
    pub enabled_ms: Option<i64>,
    /// Stays when the device is deactivated, so that no code counts again.
    #[n(6)]
    pub counter: Counter,
    #[n(7)]
    pub tags: Vec<(String, String)>,
}

impl MfaDevice {
    /// What names it everywhere: an ARN.
    pub fn serial(&self, account: &AccountId) -> String {
        format!("arn:aws:iam::{account}:mfa{}{}", self.path, self.name)
    }
}

/// Policies every account has, by their names at AWS: name, id and text.
pub const BUILT_IN_POLICIES: &[(&str, &str, &str)] = &[
    ("AdministratorAccess", "ANPAAAAAAAAAAAADMINIS", allow!("\"*\"")),
    ("AmazonS3FullAccess", "ANPAAAAAAAAAAAAS3FULL", allow!("[\"s3:*\", \"oss:*\"]")),
    ("AmazonS3ReadOnlyAccess", "ANPAAAAAAAAAAAAS3READ", allow!("[\"s3:Get*\", \"s3:List*\"]")),
    ("AWSDenyAll", "ANPAAAAAAAAAAADENYALL", built_in!("Deny", "\"*\"")),
    ("IAMFullAccess", "ANPAAAAAAAAAAAIAMFULL", allow!("\"iam:*\"")),
    (
        "IAMReadOnlyAccess",
        "ANPAAAAAAAAAAAIAMREAD",
        allow!("[\"iam:Get*\", \"iam:List*\", \"iam:Simulate*\"]"),
    ),
];
