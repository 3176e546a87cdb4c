//! The policy of a bucket, and what keeps it from being public: set, shown, removed, and kept
//! compiled for those who decide over requests.

use std::sync::Arc;

use metadata::{Guard, NewDocument};
use model::{
    Condition,
    names::{AccountId, BucketId, BucketName},
    policy::{Action, Document, Kind, check_bucket_policy, is_public},
    records::{AccessBlock, Bucket, DocumentKind},
};

use crate::{
    Error, Need, Operation, Permit, Result, Service, audit, compiled::Compiled, named::UsersNow,
};

/// Gives a bucket a policy, in either language.
pub struct PutBucketPolicy {
    pub bucket: BucketName,
    pub text: String,
}

/// Shows the policy as it was put.
pub struct GetBucketPolicy {
    pub bucket: BucketName,
}

pub struct DeleteBucketPolicy {
    pub bucket: BucketName,
}

/// Tells whether the policy is public.
pub struct GetBucketPolicyStatus {
    pub bucket: BucketName,
}

/// Tells how far public access is blocked; `None` if that was never set, or taken back.
pub struct GetAccessBlock {
    pub bucket: BucketName,
}

/// Sets how far public access is blocked.
pub struct PutAccessBlock {
    pub bucket: BucketName,
    pub access_block: Option<AccessBlock>,
    /// Taking it back has an action of its own in OSS.
    pub action: Action,
}

/// Tells how far public access to all buckets of the caller's account is blocked.
pub struct GetAccountAccessBlock {
    /// The account the request names; `None` is the caller's.
    pub account: Option<String>,
}

/// Sets it; `None` takes it back.
pub struct PutAccountAccessBlock {
    pub account: Option<String>,
    pub access_block: Option<AccessBlock>,
    /// Taking it back has an action of its own in OSS.
    pub action: Action,
}

/// A policy in force.
#[derive(Debug)]
pub(crate) struct Policy {
    pub document: Document,
    pub public: bool,
}

/// Policies in force, by bucket.
pub(crate) type Policies = Compiled<BucketId, Policy>;

/// How often policies are read anew because they changed at that very moment.
pub(crate) const READS_MAX: u32 = 16;

impl Service {
    /// A bucket with the policy that was in force when it was read.
    pub(crate) async fn bucket_with_policy(
        &self,
        name: &BucketName,
    ) -> Result<Option<((Bucket, Guard), Option<Arc<Policy>>)>> {
        for _ in 0..READS_MAX {
            let Some((bucket, guard)) = self.metadata.bucket(name).await? else { return Ok(None) };
            let Some(revision) = bucket.document(DocumentKind::Policy) else {
                return Ok(Some(((bucket, guard), None)));
            };
            if let Some(policy) = self.policies.get(&bucket.id, revision) {
                return Ok(Some(((bucket, guard), Some(policy))));
            }
            let document = self.metadata.document::<String>(&bucket, DocumentKind::Policy).await?;
            if let Some(document) = document.filter(|document| document.revision == revision) {
                let compiled = compile(&document.value, Kind::Bucket, name.as_str())?;
                let compiled = compiled.meaning(&document.named);
                let public = is_public(&compiled);
                let bytes = document.value.len() + compiled.index_bytes();
                let policy = Arc::new(Policy { public, document: compiled });
                self.policies.keep(bucket.id, revision, &policy, bytes);
                return Ok(Some(((bucket, guard), Some(policy))));
            }
        }
        Err(Condition::SlowDown.into())
    }

    /// What an account keeps from all its buckets.
    pub(crate) async fn account_block(&self, account: &AccountId) -> Result<AccessBlock> {
        let found = self.metadata.account(account).await?;
        Ok(found.and_then(|account| account.access_block).unwrap_or(AccessBlock::NONE))
    }

    /// How far public access to a new bucket is blocked.
    pub(crate) fn new_access_block(&self) -> Option<AccessBlock> {
        self.block_public_access.then_some(AccessBlock::ALL)
    }
}

/// A policy as it was stored. One that cannot be read any more was written by another version of
/// this program: it denies everything. Of a bucket, only the owner, who can always replace the
/// policy, gets past that.
///
/// - `of`: whose it is, for the log.
pub(crate) fn compile(text: &str, kind: Kind, of: &str) -> Result<Document> {
    let document = Document::parse(text, kind).or_else(|error| {
        tracing::error!(of, error, "a stored policy cannot be read: it denies everything");
        let principal = if kind == Kind::Identity { "" } else { r#""Principal": "*", "# };
        let everything = r#""Effect": "Deny", "Action": "*", "Resource": "*""#;
        let deny_all =
            format!(r#"{{"Version": "2012-10-17", "Statement": {{{principal}{everything}}}}}"#);
        Document::parse(&deny_all, kind)
    });
    document.map_err(|error| Error::new(Condition::Internal, error))
}

pub(crate) fn malformed(detail: impl Into<String>) -> Error {
    Error::new(Condition::MalformedPolicy, detail)
}

impl Operation for PutBucketPolicy {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::PutBucketPolicy, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        let document = Document::parse(&self.text, Kind::Bucket).map_err(malformed)?;
        check_bucket_policy(&document, &bucket.name).map_err(malformed)?;
        let named = service.check_principals(&document).await?;
        let public = is_public(&document);
        if public && service.account_block(&bucket.owner).await?.block_public_policy {
            return Err(Condition::PublicPolicyBlockedByAccount.into());
        }
        let decide = |bucket: &Bucket| {
            if public && bucket.blocked().block_public_policy {
                Err(Condition::PublicPolicyBlocked)
            } else {
                Ok(())
            }
        };
        let kind = DocumentKind::Policy;
        let told = audit::policy_details(&self.text, &document);
        let by = permit.audit_with(Action::PutBucketPolicy, &bucket.name, &told);
        let document = NewDocument { kind, value: &self.text, named: &named };
        Ok(service.metadata.set_document(bucket, document, &by, decide).await?)
    }
}

impl Operation for GetBucketPolicy {
    type Output = String;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::GetBucketPolicy, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        let document = service.metadata.document::<String>(bucket, DocumentKind::Policy).await?;
        let document = document.ok_or(Condition::NoBucketPolicy)?;
        service.shown(&document.value, &document.named, &mut UsersNow::default()).await
    }
}

impl Operation for DeleteBucketPolicy {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::DeleteBucketPolicy, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        let by = permit.audit(Action::DeleteBucketPolicy, &bucket.name);
        Ok(service.metadata.delete_document(bucket, DocumentKind::Policy, &by).await?)
    }
}

impl Operation for GetBucketPolicyStatus {
    type Output = bool;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::GetBucketPolicyStatus, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, _: &Arc<Service>) -> Result<Self::Output> {
        permit.has_public_policy(&self.bucket).ok_or_else(|| Condition::NoBucketPolicy.into())
    }
}

impl Operation for GetAccessBlock {
    type Output = Option<AccessBlock>;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::GetBucketPublicAccessBlock, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, _: &Arc<Service>) -> Result<Self::Output> {
        Ok(permit.bucket(&self.bucket)?.0.access_block)
    }
}

impl Operation for PutAccessBlock {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(self.action, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        let told = audit::block_details(self.access_block);
        let by = permit.audit_with(self.action, &bucket.name, &told);
        Ok(service.metadata.set_access_block(bucket, self.access_block, &by).await?)
    }
}

/// The caller's account, if it is the one the request names.
fn own_account<'p, O>(permit: &'p Permit<'_, O>, named: Option<&str>) -> Result<&'p AccountId> {
    let own = permit.caller().account_id().ok_or(Condition::AccessDenied)?;
    if named.is_some_and(|named| named != own.as_str()) {
        let detail = "Access Denied: x-amz-account-id is not the account of the access key.";
        return Err(Error::new(Condition::AccessDenied, detail));
    }
    Ok(own)
}

impl Operation for GetAccountAccessBlock {
    type Output = Option<AccessBlock>;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::GetAccountPublicAccessBlock)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let own = own_account(&permit, self.account.as_deref())?;
        let found = service.metadata.account(own).await?;
        Ok(found.ok_or(Condition::NoSuchAccount)?.access_block)
    }
}

impl Operation for PutAccountAccessBlock {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(self.action)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let own = own_account(&permit, self.account.as_deref())?;
        let (by, arn) = (permit.caller(), format!("arn:aws:iam::{own}:root"));
        let told = audit::block_details(self.access_block);
        let by = audit::entry(by, &self.action.word(), &arn, &told);
        Ok(service.metadata.set_account_block(own, self.access_block, &by).await?)
    }
}
