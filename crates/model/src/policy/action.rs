//! The vocabulary of permission: one name per thing that may be allowed, shared by both protocols.
//!
//! Sources: "Actions, resources, and condition keys for Amazon S3" of the Service Authorization
//! Reference; "RAM policies" of OSS. Which operation needs which action stands in the gateway's
//! operation table.

use super::wildcard::{self, Token};

/// What an action is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// All of an account.
    Service,
    Bucket,
    Object,
    /// A user, group, role or managed policy, by its ARN.
    Iam,
    /// A role, or the caller itself.
    Sts,
}

macro_rules! actions {
    ($($level:ident { $($name:ident $s3:literal $oss:literal)* })*) => {
        /// What a caller wants to do. The words of the two policy languages for it differ.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Action { $($($name),*),* }

        impl Action {
            pub const ALL: &[Self] = &[$($(Self::$name),*),*];

            pub const fn name(self) -> &'static str {
                match self { $($(Self::$name => stringify!($name)),*),* }
            }

            /// After `s3:`; empty if S3 has no word for it.
            pub const fn s3_name(self) -> &'static str {
                match self { $($(Self::$name => $s3),*),* }
            }

            /// After `oss:`; empty if OSS has no word for it.
            pub const fn oss_name(self) -> &'static str {
                match self { $($(Self::$name => $oss),*),* }
            }

            pub const fn level(self) -> Level {
                match self { $($(Self::$name => Level::$level),*),* }
            }
        }
    };
}

#[rustfmt::skip]
actions! {
    Service {
        AdminAccounts "" ""
        AdminStore "" ""
        DescribeRegions "" "DescribeRegions"
        Explain "" ""
        GetAccountPublicAccessBlock "GetAccountPublicAccessBlock" "GetPublicAccessBlock"
        ListAllMyBuckets "ListAllMyBuckets" "ListBuckets"
        ListUserResources "" "ListUserResources"
        PutAccountPublicAccessBlock "PutAccountPublicAccessBlock" "PutPublicAccessBlock"
        DeleteAccountPublicAccessBlock "" "DeletePublicAccessBlock"
    }
    Bucket {
        CreateBucket "CreateBucket" "PutBucket"
        DeleteBucket "DeleteBucket" "DeleteBucket"
        DeleteBucketCors "" "DeleteBucketCors"
        DeleteBucketEncryption "" "DeleteBucketEncryption"
        DeleteBucketInventory "" "DeleteBucketInventory"
        DeleteBucketLifecycle "" "DeleteBucketLifecycle"
        DeleteBucketLogging "" "DeleteBucketLogging"
        DeleteBucketPolicy "DeleteBucketPolicy" "DeleteBucketPolicy"
        DeleteBucketPublicAccessBlock "" "DeleteBucketPublicAccessBlock"
        DeleteBucketReplication "" "DeleteBucketReplication"
        DeleteBucketTagging "" "DeleteBucketTagging"
        DeleteBucketWebsite "DeleteBucketWebsite" "DeleteBucketWebsite"
        GetAccelerateConfiguration "GetAccelerateConfiguration" "GetBucketTransferAcceleration"
        GetAccessMonitor "" "GetBucketAccessMonitor"
        GetAnalyticsConfiguration "GetAnalyticsConfiguration" ""
        GetArchiveDirectRead "" "GetBucketArchiveDirectRead"
        GetBucketAbac "GetBucketAbac" ""
        GetBucketAcl "GetBucketAcl" "GetBucketAcl"
        GetBucketCors "GetBucketCORS" "GetBucketCors"
        GetBucketInfo "" "GetBucketInfo"
        GetBucketLocation "GetBucketLocation" "GetBucketLocation"
        GetBucketLogging "GetBucketLogging" "GetBucketLogging"
        GetBucketMetadataTable "GetBucketMetadataTableConfiguration" ""
        GetBucketNotification "GetBucketNotification" ""
        GetBucketObjectLock "GetBucketObjectLockConfiguration" "GetBucketObjectWormConfiguration"
        GetBucketOverwriteConfig "" "GetBucketOverwriteConfig"
        GetBucketOwnershipControls "GetBucketOwnershipControls" ""
        GetBucketPolicy "GetBucketPolicy" "GetBucketPolicy"
        GetBucketPolicyStatus "GetBucketPolicyStatus" "GetBucketPolicyStatus"
        GetBucketPublicAccessBlock "GetBucketPublicAccessBlock" "GetBucketPublicAccessBlock"
        GetBucketQosInfo "" "GetBucketQosInfo"
        GetBucketReferer "" "GetBucketReferer"
        GetBucketReplicationLocation "" "GetBucketReplicationLocation"
        GetBucketReplicationProgress "" "GetBucketReplicationProgress"
        GetBucketRequestPayment "GetBucketRequestPayment" "GetBucketRequestPayment"
        GetBucketResourceGroup "" "GetBucketResourceGroup"
        GetBucketResponseHeader "" "GetBucketResponseHeader"
        GetBucketStat "" "GetBucketStat"
        GetBucketStorageCapacity "" "GetBucketStorageCapacity"
        GetBucketTagging "GetBucketTagging" "GetBucketTagging"
        GetBucketVersioning "GetBucketVersioning" "GetBucketVersioning"
        GetBucketWebsite "GetBucketWebsite" "GetBucketWebsite"
        GetBucketWorm "" "GetBucketWorm"
        GetEncryptionConfiguration "GetEncryptionConfiguration" "GetBucketEncryption"
        GetHttpsConfig "" "GetBucketHttpsConfig"
        GetIntelligentTiering "GetIntelligentTieringConfiguration" ""
        GetInventoryConfiguration "GetInventoryConfiguration" "GetBucketInventory"
        GetLifecycleConfiguration "GetLifecycleConfiguration" "GetBucketLifecycle"
        GetMetricsConfiguration "GetMetricsConfiguration" ""
        GetReplicationConfiguration "GetReplicationConfiguration" "GetBucketReplication"
        GetStyle "" "GetStyle"
        ListBucket "ListBucket" "ListObjects"
        ListBucketMultipartUploads "ListBucketMultipartUploads" "ListMultipartUploads"
        ListBucketVersions "ListBucketVersions" "ListObjectVersions"
        ListCname "" "ListCname"
        ListLiveChannel "" "ListLiveChannel"
        ListStyle "" "ListStyle"
        PutAccelerateConfiguration "PutAccelerateConfiguration" "PutBucketTransferAcceleration"
        PutAccessMonitor "" "PutBucketAccessMonitor"
        PutAnalyticsConfiguration "PutAnalyticsConfiguration" ""
        PutArchiveDirectRead "" "PutBucketArchiveDirectRead"
        PutBucketAbac "PutBucketAbac" ""
        PutBucketAcl "PutBucketAcl" "PutBucketAcl"
        PutBucketCors "PutBucketCORS" "PutBucketCors"
        PutBucketLogging "PutBucketLogging" "PutBucketLogging"
        PutBucketNotification "PutBucketNotification" ""
        PutBucketObjectLock "PutBucketObjectLockConfiguration" "PutBucketObjectWormConfiguration"
        PutBucketOverwriteConfig "" "PutBucketOverwriteConfig"
        PutBucketOwnershipControls "PutBucketOwnershipControls" ""
        PutBucketPolicy "PutBucketPolicy" "PutBucketPolicy"
        PutBucketPublicAccessBlock "PutBucketPublicAccessBlock" "PutBucketPublicAccessBlock"
        PutBucketQosInfo "" "PutBucketQosInfo"
        PutBucketReferer "" "PutBucketReferer"
        PutBucketRequestPayment "PutBucketRequestPayment" "PutBucketRequestPayment"
        PutBucketResourceGroup "" "PutBucketResourceGroup"
        PutBucketResponseHeader "" "PutBucketResponseHeader"
        PutBucketStorageCapacity "" "PutBucketStorageCapacity"
        PutBucketTagging "PutBucketTagging" "PutBucketTagging"
        PutBucketVersioning "PutBucketVersioning" "PutBucketVersioning"
        PutBucketWebsite "PutBucketWebsite" "PutBucketWebsite"
        PutBucketWorm "" "InitiateBucketWorm"
        PutCname "" "PutCname"
        PutEncryptionConfiguration "PutEncryptionConfiguration" "PutBucketEncryption"
        PutHttpsConfig "" "PutBucketHttpsConfig"
        PutIntelligentTiering "PutIntelligentTieringConfiguration" ""
        PutInventoryConfiguration "PutInventoryConfiguration" "PutBucketInventory"
        PutLifecycleConfiguration "PutLifecycleConfiguration" "PutBucketLifecycle"
        PutMetricsConfiguration "PutMetricsConfiguration" ""
        PutReplicationConfiguration "PutReplicationConfiguration" "PutBucketReplication"
        PutStyle "" "PutStyle"
    }
    Object {
        AbortMultipartUpload "AbortMultipartUpload" "AbortMultipartUpload"
        BypassGovernanceRetention "BypassGovernanceRetention" "BypassGovernanceRetention"
        DeleteLiveChannel "" "DeleteLiveChannel"
        DeleteObject "DeleteObject" "DeleteObject"
        DeleteObjectTagging "DeleteObjectTagging" "DeleteObjectTagging"
        DeleteObjectVersion "DeleteObjectVersion" "DeleteObjectVersion"
        DeleteObjectVersionTagging "DeleteObjectVersionTagging" "DeleteObjectVersionTagging"
        GetLiveChannel "" "GetLiveChannel"
        GetObject "GetObject" "GetObject"
        GetObjectAcl "GetObjectAcl" "GetObjectAcl"
        GetObjectAttributes "GetObjectAttributes" ""
        GetObjectLegalHold "GetObjectLegalHold" "GetObjectLegalHold"
        GetObjectRetention "GetObjectRetention" "GetObjectRetention"
        GetObjectTagging "GetObjectTagging" "GetObjectTagging"
        GetObjectTorrent "GetObjectTorrent" ""
        GetObjectVersion "GetObjectVersion" "GetObjectVersion"
        GetObjectVersionAcl "GetObjectVersionAcl" "GetObjectVersionAcl"
        GetObjectVersionAttributes "GetObjectVersionAttributes" ""
        GetObjectVersionForReplication "GetObjectVersionForReplication" ""
        GetObjectVersionTagging "GetObjectVersionTagging" "GetObjectVersionTagging"
        GetObjectVersionTorrent "GetObjectVersionTorrent" ""
        InitiateReplication "InitiateReplication" ""
        ListMultipartUploadParts "ListMultipartUploadParts" "ListParts"
        ObjectOwnerOverride "ObjectOwnerOverrideToBucketOwner" ""
        PostVodPlaylist "" "PostVodPlaylist"
        ProcessObject "" "ProcessImm"
        PutLiveChannel "" "PutLiveChannel"
        PutObject "PutObject" "PutObject"
        PutObjectAcl "PutObjectAcl" "PutObjectAcl"
        PutObjectLegalHold "PutObjectLegalHold" "PutObjectLegalHold"
        PutObjectRetention "PutObjectRetention" "PutObjectRetention"
        PutObjectTagging "PutObjectTagging" "PutObjectTagging"
        PutObjectVersionAcl "PutObjectVersionAcl" "PutObjectVersionAcl"
        PutObjectVersionTagging "PutObjectVersionTagging" "PutObjectVersionTagging"
        ReplicateDelete "ReplicateDelete" ""
        ReplicateObject "ReplicateObject" ""
        ReplicateTags "ReplicateTags" ""
        RestoreObject "RestoreObject" "RestoreObject"
        UpdateObjectEncryption "UpdateObjectEncryption" ""
    }
    Iam {
        AddClientIDToOpenIDConnectProvider "" ""
        AddUserToGroup "" ""
        AttachGroupPolicy "" ""
        AttachRolePolicy "" ""
        AttachUserPolicy "" ""
        CreateAccessKey "" ""
        CreateGroup "" ""
        CreateOpenIDConnectProvider "" ""
        CreatePolicy "" ""
        CreatePolicyVersion "" ""
        CreateRole "" ""
        CreateUser "" ""
        CreateVirtualMFADevice "" ""
        DeactivateMFADevice "" ""
        DeleteAccessKey "" ""
        DeleteGroup "" ""
        DeleteGroupPolicy "" ""
        DeleteOpenIDConnectProvider "" ""
        DeletePolicy "" ""
        DeletePolicyVersion "" ""
        DeleteRole "" ""
        DeleteRolePermissionsBoundary "" ""
        DeleteRolePolicy "" ""
        DeleteUser "" ""
        DeleteUserPermissionsBoundary "" ""
        DeleteUserPolicy "" ""
        DeleteVirtualMFADevice "" ""
        DetachGroupPolicy "" ""
        DetachRolePolicy "" ""
        DetachUserPolicy "" ""
        EnableMFADevice "" ""
        GetAccessKeyLastUsed "" ""
        GetAccountAuthorizationDetails "" ""
        GetAccountSummary "" ""
        GetGroup "" ""
        GetGroupPolicy "" ""
        GetMFADevice "" ""
        GetOpenIDConnectProvider "" ""
        GetPolicy "" ""
        GetPolicyVersion "" ""
        GetRole "" ""
        GetRolePolicy "" ""
        GetUser "" ""
        GetUserPolicy "" ""
        ListAccessKeys "" ""
        ListAccountAliases "" ""
        ListAttachedGroupPolicies "" ""
        ListAttachedRolePolicies "" ""
        ListAttachedUserPolicies "" ""
        ListEntitiesForPolicy "" ""
        ListGroupPolicies "" ""
        ListGroups "" ""
        ListGroupsForUser "" ""
        ListInstanceProfilesForRole "" ""
        ListMFADeviceTags "" ""
        ListMFADevices "" ""
        ListOpenIDConnectProviderTags "" ""
        ListOpenIDConnectProviders "" ""
        ListPolicies "" ""
        ListPolicyTags "" ""
        ListPolicyVersions "" ""
        ListRolePolicies "" ""
        ListRoleTags "" ""
        ListRoles "" ""
        ListUserPolicies "" ""
        ListUserTags "" ""
        ListUsers "" ""
        ListVirtualMFADevices "" ""
        PutGroupPolicy "" ""
        PutRolePermissionsBoundary "" ""
        PutRolePolicy "" ""
        PutUserPermissionsBoundary "" ""
        PutUserPolicy "" ""
        RemoveClientIDFromOpenIDConnectProvider "" ""
        RemoveUserFromGroup "" ""
        ResyncMFADevice "" ""
        SetDefaultPolicyVersion "" ""
        SimulateCustomPolicy "" ""
        SimulatePrincipalPolicy "" ""
        TagMFADevice "" ""
        TagOpenIDConnectProvider "" ""
        TagPolicy "" ""
        TagRole "" ""
        TagUser "" ""
        UntagMFADevice "" ""
        UntagOpenIDConnectProvider "" ""
        UntagPolicy "" ""
        UntagRole "" ""
        UntagUser "" ""
        UpdateAccessKey "" ""
        UpdateAssumeRolePolicy "" ""
        UpdateGroup "" ""
        UpdateOpenIDConnectProviderThumbprint "" ""
        UpdateRole "" ""
        UpdateRoleDescription "" ""
        UpdateUser "" ""
    }
    Sts {
        AssumeRole "" ""
        AssumeRoleWithWebIdentity "" ""
        GetCallerIdentity "" ""
        GetFederationToken "" ""
        GetSessionToken "" ""
        TagSession "" ""
    }
}

/// How many actions there are.
pub const ACTIONS: usize = Action::ALL.len();
const WORDS: usize = ACTIONS.div_ceil(64);

impl Action {
    /// Place in [`Action::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether it is about an object that is there, and so its owner's to allow. The others are
    /// the bucket owner's, whoever owns the object: to write in its place, to remove it and so on.
    ///
    /// Source: S3 "How Amazon S3 authorizes a request for an object operation".
    pub const fn is_of_object_owner(self) -> bool {
        matches!(self.level(), Level::Object)
            && !matches!(
                self,
                Self::AbortMultipartUpload
                    | Self::BypassGovernanceRetention
                    | Self::DeleteLiveChannel
                    | Self::DeleteObject
                    | Self::DeleteObjectVersion
                    | Self::GetLiveChannel
                    | Self::InitiateReplication
                    | Self::ListMultipartUploadParts
                    | Self::ObjectOwnerOverride
                    | Self::PostVodPlaylist
                    | Self::PutLiveChannel
                    | Self::PutObject
                    | Self::ReplicateDelete
                    | Self::ReplicateObject
                    | Self::ReplicateTags
                    | Self::RestoreObject
            )
    }

    /// Whether the tags of the object asked for have a say. Who may write in its place or remove it
    /// does not depend on them.
    ///
    /// Source: S3 "Tagging and access control policies".
    pub const fn sees_object_tags(self) -> bool {
        self.is_of_object_owner()
    }

    /// The action for a version named by its id instead of the latest one.
    pub const fn of_version(self) -> Self {
        match self {
            Self::DeleteObject => Self::DeleteObjectVersion,
            Self::DeleteObjectTagging => Self::DeleteObjectVersionTagging,
            Self::GetObject => Self::GetObjectVersion,
            Self::GetObjectAcl => Self::GetObjectVersionAcl,
            Self::GetObjectAttributes => Self::GetObjectVersionAttributes,
            Self::GetObjectTagging => Self::GetObjectVersionTagging,
            Self::GetObjectTorrent => Self::GetObjectVersionTorrent,
            Self::PutObjectAcl => Self::PutObjectVersionAcl,
            Self::PutObjectTagging => Self::PutObjectVersionTagging,
            other => other,
        }
    }

    /// As the policies of a protocol name it; in the other one's words where it has none.
    pub fn word_in(self, vocabulary: Vocabulary) -> String {
        match (vocabulary, self.oss_name()) {
            (Vocabulary::S3, _) | (Vocabulary::Oss, "") => self.word(),
            (Vocabulary::Oss, name) => format!("oss:{name}"),
        }
    }

    /// As a policy names it: in S3's words where it has them.
    pub fn word(self) -> String {
        match (self.s3_name(), self.oss_name()) {
            ("", "") => format!("{}:{}", self.vendor(), self.name()),
            ("", oss) => format!("oss:{oss}"),
            (s3, _) => format!("s3:{s3}"),
        }
    }

    /// What comes before and after the colon in a policy language's word, if it has one.
    fn names_in(self, vocabulary: Vocabulary) -> Option<(&'static str, &'static str)> {
        match (vocabulary, self.s3_name(), self.oss_name()) {
            (_, "", "") => Some((self.vendor(), self.name())),
            (Vocabulary::S3, "", _) | (Vocabulary::Oss, _, "") => None,
            (Vocabulary::S3, s3, _) => Some(("s3", s3)),
            (Vocabulary::Oss, _, oss) => Some(("oss", oss)),
        }
    }

    /// What its word begins with where neither protocol has one.
    const fn vendor(self) -> &'static str {
        match self.level() {
            Level::Iam => "iam",
            Level::Sts => "sts",
            Level::Service | Level::Bucket | Level::Object => "larder",
        }
    }
}

/// A set of actions: one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ActionSet([u64; WORDS]);

impl ActionSet {
    pub fn insert(&mut self, action: Action) {
        if let Some(word) = self.0.get_mut(action.index() / 64) {
            *word |= 1 << (action.index() % 64);
        }
    }

    pub fn contains(&self, action: Action) -> bool {
        self.0.get(action.index() / 64).is_some_and(|word| word >> (action.index() % 64) & 1 == 1)
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// All actions but these.
    #[must_use]
    pub fn inverted(self) -> Self {
        Action::ALL.iter().copied().filter(|action| !self.contains(*action)).collect()
    }

    pub fn iter(&self) -> impl Iterator<Item = Action> {
        Action::ALL.iter().copied().filter(|action| self.contains(*action))
    }
}

impl FromIterator<Action> for ActionSet {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        let mut set = Self::default();
        actions.into_iter().for_each(|action| set.insert(action));
        set
    }
}

/// The words of which policy language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vocabulary {
    S3,
    Oss,
}

/// The actions that a word of a policy stands for, such as `s3:Get*`; in any case of letters.
pub fn named(vocabulary: Vocabulary, word: &str) -> ActionSet {
    if !word.contains(['*', '?']) {
        return word.split_once(':').map_or_else(ActionSet::default, |(vendor, name)| {
            let same = |known: &str, given: &str| known.eq_ignore_ascii_case(given);
            let is_meant = |action: &Action| {
                action.names_in(vocabulary).is_some_and(|(own_vendor, own_name)| {
                    same(own_vendor, vendor) && same(own_name, name)
                })
            };
            Action::ALL.iter().copied().filter(is_meant).collect()
        });
    }
    let pattern = Token::pattern(&word.to_ascii_lowercase());
    let is_meant = |action: &Action| {
        action.names_in(vocabulary).is_some_and(|(vendor, name)| {
            wildcard::matches(&pattern, &format!("{vendor}:{}", name.to_ascii_lowercase()))
        })
    };
    Action::ALL.iter().copied().filter(is_meant).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_word_stands_for_the_actions_it_matches() {
        let names = |vocabulary, word: &str| -> Vec<&str> {
            named(vocabulary, word).iter().map(Action::name).collect()
        };
        assert_eq!(names(Vocabulary::S3, "s3:getbucketcors"), ["GetBucketCors"]);
        assert_eq!(names(Vocabulary::Oss, "oss:ListObjects"), ["ListBucket"]);
        assert_eq!(names(Vocabulary::S3, "s3:List*Uploads"), ["ListBucketMultipartUploads"]);
        assert_eq!(names(Vocabulary::S3, "s3:DeleteO?ject"), ["DeleteObject"]);
        for strange in ["s3:Nonsense", "oss:GetObject", "GetObject", "s3:", "iam:Nonsense", ""] {
            assert!(named(Vocabulary::S3, strange).is_empty(), "{strange}");
        }
        let all = named(Vocabulary::S3, "*");
        assert!(all.contains(Action::AdminStore) && all.contains(Action::GetObject));
        assert!(!named(Vocabulary::S3, "s3:*").contains(Action::AdminStore));
    }

    #[test]
    fn no_word_stands_for_two_actions() {
        for name in [Action::s3_name, Action::oss_name] {
            let mut seen = HashSet::new();
            for action in Action::ALL {
                assert!(name(*action).is_empty() || seen.insert(name(*action)), "{action:?}");
            }
        }
    }

    #[test]
    fn a_set_and_its_inverse_share_nothing() {
        let set = named(Vocabulary::S3, "s3:Get*");
        for action in Action::ALL {
            assert_ne!(set.contains(*action), set.inverted().contains(*action), "{action:?}");
        }
    }
}
