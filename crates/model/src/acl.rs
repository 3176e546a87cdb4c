//! Access control lists: who is let at a bucket or an object besides its owner.
//!
//! S3 has lists of grants, OSS one word. Both are kept as they were set. What they let through is
//! decided here; which of them count, in `service::authorize`.

use minicbor::{Decode, Encode};

use crate::{
    names::AccountId,
    policy::{Action, Facts},
};

/// Grants of one list. Source: S3 "Access control list (ACL) overview".
pub const GRANTS_MAX: usize = 100;

/// An access control list as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Acl {
    /// S3's: also what it lets the owner do is in it.
    #[n(0)]
    Grants(#[n(0)] Vec<Grant>),
    /// OSS's: the owner may do everything.
    #[n(1)]
    Word(#[n(0)] Word),
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Grant {
    #[n(0)]
    pub grantee: Grantee,
    #[n(1)]
    pub permission: Permission,
}

/// Who is let in.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Grantee {
    #[n(0)]
    Account(#[n(0)] AccountId),
    /// S3's group `AllUsers`.
    #[n(1)]
    Everybody,
    /// S3's group `AuthenticatedUsers`: whoever has a key here.
    #[n(2)]
    Authenticated,
    /// S3's group `LogDelivery`: nobody asks in its name here.
    #[n(3)]
    LogDelivery,
}

/// What one grant permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Permission {
    #[n(0)]
    Read,
    #[n(1)]
    Write,
    #[n(2)]
    ReadAcp,
    #[n(3)]
    WriteAcp,
    #[n(4)]
    FullControl,
}

/// OSS's whole list. Of an object, none of them means what the bucket's says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Word {
    #[n(0)]
    Private,
    #[n(1)]
    PublicRead,
    #[n(2)]
    PublicReadWrite,
}

/// Whose objects are that somebody else wrote, and whether lists of grants count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Ownership {
    /// The bucket owner's; lists of grants do not count and are not taken.
    #[default]
    #[n(0)]
    BucketOwnerEnforced,
    /// The bucket owner's if the writer gives it full control.
    #[n(1)]
    BucketOwnerPreferred,
    #[n(2)]
    ObjectWriter,
}

impl Ownership {
    const ALL: [Self; 3] =
        [Self::BucketOwnerEnforced, Self::BucketOwnerPreferred, Self::ObjectWriter];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == text)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::BucketOwnerEnforced => "BucketOwnerEnforced",
            Self::BucketOwnerPreferred => "BucketOwnerPreferred",
            Self::ObjectWriter => "ObjectWriter",
        }
    }
}

impl Permission {
    const ALL: [Self; 5] =
        [Self::FullControl, Self::Read, Self::Write, Self::ReadAcp, Self::WriteAcp];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == text)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::FullControl => "FULL_CONTROL",
            Self::Read => "READ",
            Self::Write => "WRITE",
            Self::ReadAcp => "READ_ACP",
            Self::WriteAcp => "WRITE_ACP",
        }
    }
}

/// S3's ready-made lists. Source: S3 "Canned ACL".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canned {
    Private,
    PublicRead,
    PublicReadWrite,
    AuthenticatedRead,
    /// Nobody of that service is here: as private.
    AwsExecRead,
    BucketOwnerRead,
    BucketOwnerFullControl,
    LogDeliveryWrite,
}

impl Canned {
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "private" => Self::Private,
            "public-read" => Self::PublicRead,
            "public-read-write" => Self::PublicReadWrite,
            "authenticated-read" => Self::AuthenticatedRead,
            "aws-exec-read" => Self::AwsExecRead,
            "bucket-owner-read" => Self::BucketOwnerRead,
            "bucket-owner-full-control" => Self::BucketOwnerFullControl,
            "log-delivery-write" => Self::LogDeliveryWrite,
            _ => return None,
        })
    }

    /// The list it stands for.
    ///
    /// - `owner`: of the bucket or object.
    /// - `bucket_owner`: `None` for the list of a bucket, where its words mean nothing.
    pub fn grants(self, owner: &AccountId, bucket_owner: Option<&AccountId>) -> Vec<Grant> {
        let grant = |grantee, permission| Grant { grantee, permission };
        let own = grant(Grantee::Account(owner.clone()), Permission::FullControl);
        // Groups come before accounts: there are clients that count on it.
        let mut grants = Vec::new();
        let other = bucket_owner.filter(|other| *other != owner).cloned().map(Grantee::Account);
        match self {
            Self::Private | Self::AwsExecRead => {}
            Self::PublicRead => grants.push(grant(Grantee::Everybody, Permission::Read)),
            Self::PublicReadWrite => {
                grants.push(grant(Grantee::Everybody, Permission::Read));
                grants.push(grant(Grantee::Everybody, Permission::Write));
            }
            Self::AuthenticatedRead => {
                grants.push(grant(Grantee::Authenticated, Permission::Read));
            }
            Self::BucketOwnerRead => {
                let read = other.map(|other| grant(other, Permission::Read));
                return [own].into_iter().chain(read).collect();
            }
            Self::BucketOwnerFullControl => {
                let full = other.map(|other| grant(other, Permission::FullControl));
                return [own].into_iter().chain(full).collect();
            }
            Self::LogDeliveryWrite => {
                grants.push(grant(Grantee::LogDelivery, Permission::Write));
                grants.push(grant(Grantee::LogDelivery, Permission::ReadAcp));
            }
        }
        grants.push(own);
        grants
    }
}

/// What a list is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    Bucket,
    Object,
}

/// The permission of a list that lets an action through.
///
/// Source: S3 "Mapping of ACL permissions and access policy permissions".
const fn permission_for(action: Action, of: Of) -> Option<Permission> {
    use Action::{
        AbortMultipartUpload, DeleteObject, GetBucketAcl, GetObject, GetObjectAcl,
        GetObjectTorrent, GetObjectVersion, GetObjectVersionAcl, GetObjectVersionTorrent,
        ListBucket, ListBucketMultipartUploads, ListBucketVersions, ListMultipartUploadParts,
        PutBucketAcl, PutObject, PutObjectAcl, PutObjectVersionAcl,
    };
    Some(match (of, action) {
        (Of::Bucket, ListBucket | ListBucketVersions | ListBucketMultipartUploads)
        | (Of::Object, GetObject | GetObjectVersion)
        | (Of::Object, GetObjectTorrent | GetObjectVersionTorrent) => Permission::Read,
        (
            Of::Bucket,
            PutObject | DeleteObject | AbortMultipartUpload | ListMultipartUploadParts,
        ) => Permission::Write,
        (Of::Bucket, GetBucketAcl) | (Of::Object, GetObjectAcl | GetObjectVersionAcl) => {
            Permission::ReadAcp
        }
        (Of::Bucket, PutBucketAcl) | (Of::Object, PutObjectAcl | PutObjectVersionAcl) => {
            Permission::WriteAcp
        }
        _ => return None,
    })
}

/// Whether an object's list can let an action through.
pub const fn may_let(action: Action) -> bool {
    permission_for(action, Of::Object).is_some()
        || matches!(permission_for(action, Of::Bucket), Some(Permission::Write))
}

/// Whether an action reads an object's bytes.
pub const fn is_read(action: Action) -> bool {
    matches!(permission_for(action, Of::Object), Some(Permission::Read))
}

impl Grantee {
    pub const fn is_public(&self) -> bool {
        matches!(self, Self::Everybody | Self::Authenticated)
    }

    fn includes(&self, facts: &Facts) -> bool {
        match (self, facts.principal.account()) {
            (Self::Everybody, _) | (Self::Authenticated, Some(_)) => true,
            (Self::Account(granted), Some(account)) => granted == account,
            _ => false,
        }
    }
}

impl Acl {
    /// Whether it lets in people who are not named.
    pub fn is_public(&self) -> bool {
        match self {
            Self::Grants(grants) => grants.iter().any(|grant| grant.grantee.is_public()),
            Self::Word(word) => *word != Word::Private,
        }
    }

    /// Whether it lets an action through.
    ///
    /// - `public`: whether grants to people who are not named count.
    pub fn lets(&self, facts: &Facts, action: Action, of: Of, public: bool) -> bool {
        match self {
            Self::Grants(grants) => {
                let Some(wanted) = permission_for(action, of) else { return false };
                grants.iter().any(|Grant { grantee, permission }| {
                    (*permission == wanted || *permission == Permission::FullControl)
                        && (public || !grantee.is_public())
                        && grantee.includes(facts)
                })
            }
            // It is about objects, and each may have one of its own.
            Self::Word(word) => public && of == Of::Object && word.lets(action),
        }
    }

    /// It in the other protocol's one word.
    pub fn word(&self) -> Word {
        let public = |wanted: Permission| match self {
            Self::Grants(grants) => grants.iter().any(|Grant { grantee, permission }| {
                *grantee == Grantee::Everybody
                    && (*permission == wanted || *permission == Permission::FullControl)
            }),
            Self::Word(_) => false,
        };
        match self {
            Self::Word(word) => *word,
            Self::Grants(_) if !public(Permission::Read) => Word::Private,
            Self::Grants(_) if public(Permission::Write) => Word::PublicReadWrite,
            Self::Grants(_) => Word::PublicRead,
        }
    }

    /// It as a list of grants that says no more than it lets through.
    pub fn grants(&self, owner: &AccountId, of: Of) -> Vec<Grant> {
        match (self, of) {
            (Self::Grants(grants), _) => grants.clone(),
            (Self::Word(Word::Private), _) | (Self::Word(Word::PublicRead), Of::Bucket) => {
                Canned::Private.grants(owner, None)
            }
            (Self::Word(Word::PublicReadWrite), Of::Bucket) => {
                let everybody = Grantee::Everybody;
                let write = Grant { grantee: everybody, permission: Permission::Write };
                let mut grants = Canned::Private.grants(owner, None);
                grants.push(write);
                grants
            }
            (Self::Word(_), Of::Object) => Canned::PublicRead.grants(owner, None),
        }
    }
}

impl Word {
    const ALL: [Self; 3] = [Self::Private, Self::PublicRead, Self::PublicReadWrite];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == text)
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::PublicRead => "public-read",
            Self::PublicReadWrite => "public-read-write",
        }
    }

    /// Reading never is listing: who may read may not learn what there is to be read.
    fn lets(self, action: Action) -> bool {
        use Action::{
            AbortMultipartUpload, DeleteObject, GetObject, GetObjectVersion,
            ListMultipartUploadParts, PutObject,
        };
        match action {
            GetObject | GetObjectVersion => self != Self::Private,
            PutObject | DeleteObject | AbortMultipartUpload | ListMultipartUploadParts => {
                self == Self::PublicReadWrite
            }
            _ => false,
        }
    }
}

/// An access control list as somebody wants it, before it is known who is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedAcl {
    Canned(Canned),
    /// OSS's; `None` leaves it to the bucket.
    Word(Option<Word>),
    Grants {
        /// The owner a document names, by its canonical id.
        owner: Option<String>,
        grants: Vec<(Named, Permission)>,
    },
}

impl WantedAcl {
    /// Whether it lets in anybody but the owners of object and bucket, or may do so: then who
    /// writes an object with it needs the right to set lists too.
    pub const fn shares(&self) -> bool {
        !matches!(
            self,
            Self::Canned(
                Canned::Private | Canned::BucketOwnerRead | Canned::BucketOwnerFullControl
            ) | Self::Word(None | Some(Word::Private))
        )
    }
}

/// A grantee as a request names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    Canonical(String),
    Email(String),
    Group(Grantee),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Principal;

    fn account(id: &str) -> AccountId {
        AccountId::parse(id).expect("an id")
    }

    fn facts(id: Option<&str>) -> Facts {
        let principal = id.map_or(Principal::Anonymous, |id| Principal::Account(account(id)));
        Facts { principal, ..Facts::system("", 0) }
    }

    #[test]
    fn a_permission_lets_through_its_actions_for_its_grantee_only() {
        let anna = || Grantee::Account(account("anna"));
        let (bucket, object) = (Of::Bucket, Of::Object);
        for (grantee, permission, who, action, of, expected) in [
            (anna(), Permission::Read, Some("anna"), Action::GetObject, object, true),
            (anna(), Permission::Read, Some("anna"), Action::ListBucket, bucket, true),
            (anna(), Permission::Read, Some("anna"), Action::ListBucket, object, false),
            (anna(), Permission::Read, Some("anna"), Action::GetObject, bucket, false),
            (anna(), Permission::Read, Some("ben"), Action::GetObject, object, false),
            (anna(), Permission::Read, None, Action::GetObject, object, false),
            (anna(), Permission::Read, Some("anna"), Action::GetObjectAcl, object, false),
            (anna(), Permission::FullControl, Some("anna"), Action::PutObjectAcl, object, true),
            (anna(), Permission::FullControl, Some("anna"), Action::DeleteBucket, bucket, false),
            (anna(), Permission::Write, Some("anna"), Action::PutObject, bucket, true),
            (anna(), Permission::Write, Some("anna"), Action::PutObject, object, false),
            (Grantee::Everybody, Permission::Read, None, Action::GetObject, object, true),
            (Grantee::Authenticated, Permission::Read, None, Action::GetObject, object, false),
            (
                Grantee::Authenticated,
                Permission::Read,
                Some("ben"),
                Action::GetObject,
                object,
                true,
            ),
            (Grantee::LogDelivery, Permission::Read, Some("ben"), Action::GetObject, object, false),
        ] {
            let acl = Acl::Grants(vec![Grant { grantee, permission }]);
            let lets = acl.lets(&facts(who), action, of, true);
            assert_eq!(lets, expected, "{acl:?} {who:?} {action:?} {of:?}");
        }
    }

    #[test]
    fn grants_to_everybody_count_only_where_public_ones_do() {
        let ben = facts(Some("ben"));
        for grantee in [Grantee::Everybody, Grantee::Authenticated] {
            let acl = Acl::Grants(vec![Grant { grantee, permission: Permission::Read }]);
            assert!(acl.is_public() && acl.lets(&ben, Action::GetObject, Of::Object, true));
            assert!(!acl.lets(&ben, Action::GetObject, Of::Object, false));
        }
        let word = Acl::Word(Word::PublicRead);
        assert!(!word.lets(&ben, Action::GetObject, Of::Object, false));
    }

    #[test]
    fn a_word_for_reading_never_lets_anybody_list() {
        for (word, action, expected) in [
            (Word::PublicRead, Action::GetObject, true),
            (Word::PublicRead, Action::PutObject, false),
            (Word::PublicReadWrite, Action::PutObject, true),
            (Word::PublicReadWrite, Action::GetObject, true),
            (Word::PublicReadWrite, Action::ListBucket, false),
            (Word::PublicReadWrite, Action::PutObjectAcl, false),
            (Word::Private, Action::GetObject, false),
        ] {
            let lets = Acl::Word(word).lets(&facts(None), action, Of::Object, true);
            assert_eq!(lets, expected, "{word:?} {action:?}");
        }
    }

    #[test]
    fn a_ready_made_list_names_the_bucket_owner_once() {
        let (anna, ben) = (account("anna"), account("ben"));
        let full = |id: &AccountId| Grant {
            grantee: Grantee::Account(id.clone()),
            permission: Permission::FullControl,
        };
        let canned = Canned::BucketOwnerFullControl;
        assert_eq!(canned.grants(&anna, Some(&ben)), [full(&anna), full(&ben)]);
        assert_eq!(canned.grants(&anna, Some(&anna)), [full(&anna)]);
        assert_eq!(canned.grants(&anna, None), [full(&anna)]);
    }

    #[test]
    fn each_protocol_reads_what_the_other_set() {
        let anna = account("anna");
        for (canned, word) in [
            (Canned::Private, Word::Private),
            (Canned::PublicRead, Word::PublicRead),
            (Canned::PublicReadWrite, Word::PublicReadWrite),
            (Canned::AuthenticatedRead, Word::Private),
        ] {
            assert_eq!(Acl::Grants(canned.grants(&anna, None)).word(), word);
        }
        let read = Acl::Word(Word::PublicRead);
        assert_eq!(read.grants(&anna, Of::Object), Canned::PublicRead.grants(&anna, None));
        // As a bucket's, READ would be the right to list.
        assert_eq!(read.grants(&anna, Of::Bucket), Canned::Private.grants(&anna, None));
    }
}
