//! The keys of conditions and variables, and what a request answers to each.
//!
//! Sources: "AWS global condition context keys"; the condition keys of "Actions, resources, and
//! condition keys for Amazon S3"; "RAM policies" of OSS.

use std::{borrow::Cow, net::IpAddr};

use chrono::{DateTime, SecondsFormat};

use super::{Action, Context, Level, Principal, Resource};
use crate::{names::VersionSelector, tags::Tag};

macro_rules! keys {
    ($($name:ident: $($word:literal)*;)*) => {
        /// What a condition asks about.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Key {
            $($name,)*
            PrincipalTag(String),
            ExistingObjectTag(String),
            RequestObjectTag(String),
            RequestTag(String),
            /// Nothing is known of it, unless another identity provider says something.
            Unknown(String),
        }

        const WORDS: &[(&str, Key)] = &[$($(($word, Key::$name),)*)*];
    };
}

keys! {
    Acl: "s3:x-amz-acl" "oss:x-oss-acl";
    AccessKey: "acs:AccessId";
    AuthType: "s3:authType";
    ContentSha256: "s3:x-amz-content-sha256";
    CopySource: "s3:x-amz-copy-source" "oss:x-oss-copy-source";
    CurrentTime: "aws:CurrentTime" "acs:CurrentTime";
    Delimiter: "s3:delimiter" "oss:Delimiter";
    Encryption: "s3:x-amz-server-side-encryption" "oss:x-oss-server-side-encryption";
    EncryptionKey: "s3:x-amz-server-side-encryption-aws-kms-key-id";
    EpochTime: "aws:EpochTime";
    ExternalId: "sts:ExternalId";
    GrantFullControl: "s3:x-amz-grant-full-control";
    GrantRead: "s3:x-amz-grant-read";
    GrantReadAcp: "s3:x-amz-grant-read-acp";
    GrantWrite: "s3:x-amz-grant-write";
    GrantWriteAcp: "s3:x-amz-grant-write-acp";
    Groups: "larder:groups";
    IfMatch: "s3:if-match";
    IfNoneMatch: "s3:if-none-match";
    MaxKeys: "s3:max-keys" "oss:MaxKeys";
    MetadataDirective: "s3:x-amz-metadata-directive";
    MfaAge: "aws:MultiFactorAuthAge";
    MfaPresent: "aws:MultiFactorAuthPresent" "acs:MFAPresent";
    PermissionsBoundary: "iam:PermissionsBoundary";
    PolicyArn: "iam:PolicyARN";
    Prefix: "s3:prefix" "oss:Prefix";
    ObjectAcl: "oss:x-oss-object-acl";
    PrincipalAccount: "aws:PrincipalAccount";
    PrincipalArn: "aws:PrincipalArn";
    PrincipalIsService: "aws:PrincipalIsAWSService" "aws:ViaAWSService";
    PrincipalType: "aws:PrincipalType";
    Referer: "aws:Referer";
    RequestObjectTagKeys: "s3:RequestObjectTagKeys";
    ResourceAccount: "aws:ResourceAccount" "s3:ResourceAccount";
    RoleSessionName: "sts:RoleSessionName";
    SecureTransport: "aws:SecureTransport" "acs:SecureTransport";
    SignatureAge: "s3:signatureAge";
    SignatureVersion: "s3:signatureversion";
    SourceIp: "aws:SourceIp" "acs:SourceIp";
    StorageClass: "s3:x-amz-storage-class" "oss:x-oss-storage-class";
    TagKeys: "aws:TagKeys";
    TlsVersion: "s3:TlsVersion" "acs:TLSVersion";
    TokenIssueTime: "aws:TokenIssueTime";
    UserAgent: "aws:UserAgent" "acs:UserAgent";
    UserId: "aws:userid";
    UserName: "aws:username";
    VersionId: "s3:VersionId";
    WebsiteRedirect: "s3:x-amz-website-redirect-location";
}

impl Key {
    /// The keys that stand for a header of the request: its name after `x-amz-` or `x-oss-`.
    pub const HEADERS: &'static [(&'static str, Self)] = &[
        ("acl", Self::Acl),
        ("content-sha256", Self::ContentSha256),
        ("copy-source", Self::CopySource),
        ("grant-full-control", Self::GrantFullControl),
        ("grant-read", Self::GrantRead),
        ("grant-read-acp", Self::GrantReadAcp),
        ("grant-write", Self::GrantWrite),
        ("grant-write-acp", Self::GrantWriteAcp),
        ("metadata-directive", Self::MetadataDirective),
        ("object-acl", Self::ObjectAcl),
        ("server-side-encryption", Self::Encryption),
        ("server-side-encryption-aws-kms-key-id", Self::EncryptionKey),
        ("storage-class", Self::StorageClass),
        ("website-redirect-location", Self::WebsiteRedirect),
    ];

    /// The keys that stand for a parameter of a listing.
    pub const LISTING: &'static [(&'static str, Self)] =
        &[("prefix", Self::Prefix), ("delimiter", Self::Delimiter), ("max-keys", Self::MaxKeys)];

    /// As a policy names it.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Self::PrincipalTag(tag) => format!("aws:PrincipalTag/{tag}").into(),
            Self::ExistingObjectTag(tag) => format!("s3:ExistingObjectTag/{tag}").into(),
            Self::RequestObjectTag(tag) => format!("s3:RequestObjectTag/{tag}").into(),
            Self::Unknown(name) => name.into(),
            known => {
                let found = WORDS.iter().find(|(_, key)| key == known);
                found.map_or("", |(word, _)| word).into()
            }
        }
    }

    /// What of a value may be shown: the address of a page may hold what opens it.
    pub fn shown(&self, value: String) -> String {
        match (self, value.split_once('?')) {
            (Self::Referer, Some((page, _))) => format!("{page}?…"),
            _ => value,
        }
    }

    /// Whether its value is known to few: it is not shown to others.
    pub const fn is_secret(&self) -> bool {
        matches!(self, Self::ExternalId)
    }

    /// Whether it tells more of whoever asks than whom they are: tags, groups, how they signed in.
    pub const fn is_private(&self) -> bool {
        use Key::{Groups, MfaAge, MfaPresent, PrincipalTag, TokenIssueTime, Unknown};
        // What is known of an unknown one another identity provider said.
        let also = matches!(self, PrincipalTag(_) | Unknown(_));
        also || matches!(self, Groups | MfaAge | MfaPresent | TokenIssueTime)
    }

    /// Whether a tag of the object itself answers it.
    pub const fn is_object_tag(&self) -> bool {
        matches!(self, Self::ExistingObjectTag(_))
    }

    /// The key of this name, in any case of letters; the names of tags keep theirs.
    pub fn parse(name: &str) -> Self {
        if let Some((_, key)) = WORDS.iter().find(|(word, _)| word.eq_ignore_ascii_case(name)) {
            return key.clone();
        }
        let Some((family, tag)) = name.split_once('/').filter(|(_, tag)| !tag.is_empty()) else {
            return Self::Unknown(name.to_owned());
        };
        let tag = tag.to_owned();
        match family.to_ascii_lowercase().as_str() {
            "aws:principaltag" => Self::PrincipalTag(tag),
            "aws:requesttag" => Self::RequestTag(tag),
            "s3:existingobjecttag" | "oss:existingobjecttag" => Self::ExistingObjectTag(tag),
            "s3:requestobjecttag" | "oss:requestobjecttag" => Self::RequestObjectTag(tag),
            _ => Self::Unknown(name.to_owned()),
        }
    }
}

/// What a request answers to a key.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'v> {
    Text(Cow<'v, str>),
    Address(IpAddr),
    Number(i64),
    Flag(bool),
    /// Milliseconds since 1970.
    Time(i64),
}

impl Value<'_> {
    /// As operators on text compare it.
    #[inline]
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Address(address) => address.to_string().into(),
            Self::Number(number) => number.to_string().into(),
            Self::Flag(flag) => flag.to_string().into(),
            Self::Time(ms) => DateTime::from_timestamp_millis(*ms)
                .unwrap_or_default()
                .to_rfc3339_opts(SecondsFormat::Secs, true)
                .into(),
        }
    }
}

/// The values of a key: none, one or several.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Values<'v> {
    #[default]
    None,
    One(Value<'v>),
    Several(Vec<Value<'v>>),
}

impl<'v> Values<'v> {
    fn text(text: impl Into<Cow<'v, str>>) -> Self {
        Self::one(Value::Text(text.into()))
    }

    fn one(value: Value<'v>) -> Self {
        Self::One(value)
    }

    fn several<'t: 'v>(texts: impl Iterator<Item = &'t str>) -> Self {
        Self::Several(texts.map(|text| Value::Text(text.into())).collect())
    }

    pub fn as_slice(&self) -> &[Value<'v>] {
        match self {
            Self::None => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        }
    }
}

impl<'c> Context<'c> {
    /// What is known of the request under a key.
    pub fn values(&self, key: &'c Key) -> Values<'c> {
        let facts = self.facts;
        let text = |text: Option<&'c String>| text.map(|text| Values::text(text.as_str()));
        let flag = |flag: bool| Some(Values::one(Value::Flag(flag)));
        let number = |number: Option<i64>| number.map(|number| Values::one(Value::Number(number)));
        let found = match key {
            Key::AccessKey => text(facts.access_key.as_ref()),
            Key::AuthType => facts.signature.map(|it| Values::text(it.place)),
            Key::SignatureVersion => facts.signature.map(|it| Values::text(it.version)),
            Key::SignatureAge => number(facts.signature.and_then(|it| it.age_ms)),
            Key::CurrentTime => Some(Values::one(Value::Time(facts.now_ms))),
            Key::EpochTime => number(Some(facts.now_ms.div_euclid(1000))),
            Key::ExternalId => text(facts.external_id.as_ref()),
            Key::RoleSessionName => text(facts.session_name.as_ref()),
            Key::TokenIssueTime => {
                facts.token_issued_ms.map(|issued_ms| Values::one(Value::Time(issued_ms)))
            }
            Key::MfaAge => number(facts.mfa_age_seconds),
            // Keys that never end say nothing of it. Source: "AWS global condition context keys".
            Key::MfaPresent => match (facts.mfa_age_seconds, facts.token_issued_ms) {
                (None, None) => None,
                (age, _) => flag(age.is_some()),
            },
            Key::SecureTransport => flag(facts.secure),
            Key::SourceIp => facts.source.map(|source| Values::one(Value::Address(source))),
            Key::TlsVersion => facts.tls_version.map(Values::text),
            Key::UserAgent => text(facts.user_agent.as_ref()),
            Key::Referer => text(facts.referer.as_ref()),
            Key::ResourceAccount => self.owner.map(|owner| Values::text(owner.as_str())),
            Key::VersionId => match self.version {
                VersionSelector::Latest => None,
                VersionSelector::Null => Some(Values::text("null")),
                VersionSelector::Id(id) => Some(Values::text(id.to_string())),
            },
            Key::Groups => Some(Values::several(facts.groups.iter().map(String::as_str))),
            Key::TagKeys if !self.tags_entities() => None,
            Key::RequestObjectTagKeys => Some(names(self.request_tags())),
            Key::TagKeys => Some(names(&facts.request_tags)),
            Key::PrincipalTag(name) => text(tag(&facts.principal_tags, name, true)),
            Key::RequestTag(_) if !self.tags_entities() => None,
            Key::RequestTag(name) => text(tag(&facts.request_tags, name, true)),
            Key::RequestObjectTag(name) => text(tag(self.request_tags(), name, false)),
            Key::ExistingObjectTag(name) => {
                self.object_tags().and_then(|tags| text(tag(tags, name, false)))
            }
            Key::PrincipalAccount
            | Key::PrincipalArn
            | Key::PrincipalIsService
            | Key::PrincipalType
            | Key::UserId
            | Key::UserName => of_principal(&facts.principal, key),
            Key::Prefix | Key::Delimiter | Key::MaxKeys if !self.lists() => None,
            Key::Prefix if let Resource::Listed(_, key) = self.resource => {
                Some(Values::text(key.as_str()))
            }
            Key::Unknown(name) => {
                let said = facts.web.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                said.map(|(_, values)| Values::several(values.iter().map(String::as_str)))
            }
            said => {
                let mut request = facts.request.iter();
                request.find(|(known, _)| known == said).map(|(_, text)| Values::text(&**text))
            }
        };
        found.unwrap_or_default()
    }

    /// The tags that the request gives to an object.
    fn request_tags(&self) -> &'c [Tag] {
        self.request_tags.unwrap_or(&self.facts.request_tags)
    }

    /// The tags of the object asked for, if they are known and have a say.
    fn object_tags(&self) -> Option<&'c [Tag]> {
        let known = self.object_tags.or(self.facts.object_tags.as_deref());
        known.filter(|_| self.action.sees_object_tags())
    }

    /// Whether the tags of the request are of a user, a role or a session.
    fn tags_entities(&self) -> bool {
        matches!(self.action.level(), Level::Iam | Level::Sts)
    }

    fn lists(&self) -> bool {
        use Action::{ListBucket, ListBucketMultipartUploads, ListBucketVersions};
        matches!(self.action, ListBucket | ListBucketMultipartUploads | ListBucketVersions)
    }
}

fn names(tags: &[Tag]) -> Values<'_> {
    Values::several(tags.iter().map(|(name, _)| name.as_str()))
}

fn tag<'t>(tags: &'t [Tag], name: &str, any_case: bool) -> Option<&'t String> {
    let is_meant = |known: &str| known == name || any_case && known.eq_ignore_ascii_case(name);
    tags.iter().find(|(known, _)| is_meant(known)).map(|(_, value)| value)
}

fn of_principal<'p>(principal: &'p Principal, key: &Key) -> Option<Values<'p>> {
    let account = principal.account();
    match (key, principal) {
        (Key::PrincipalIsService, _) => {
            Some(Values::one(Value::Flag(matches!(principal, Principal::System(_)))))
        }
        (Key::PrincipalAccount, _) => account.map(|account| Values::text(account.as_str())),
        (Key::PrincipalArn, _) => principal.arn().map(Values::text),
        (Key::PrincipalType, Principal::Anonymous) => Some(Values::text("Anonymous")),
        (Key::PrincipalType, Principal::Account(_)) => Some(Values::text("Account")),
        (Key::PrincipalType, Principal::User { .. }) => Some(Values::text("User")),
        (Key::PrincipalType, Principal::Session { .. }) => Some(Values::text("AssumedRole")),
        (Key::PrincipalType, Principal::Federated { .. }) => Some(Values::text("FederatedUser")),
        (Key::UserId, principal) => principal.user_id().map(Values::text),
        (Key::UserName, Principal::User { name, .. }) => {
            // Quicker than a search made for long texts.
            let slash = name.bytes().rposition(|byte| byte == b'/');
            Some(Values::text(name.get(slash.map_or(0, |at| at + 1)..).unwrap_or_default()))
        }
        _ => None,
    }
}
