//! Which pages may show what is in a bucket: set, shown, and asked of requests without a signature
//! of their own.

use std::sync::Arc;

use metadata::NewDocument;
use model::{
    Condition,
    names::BucketName,
    policy::{Action, Facts, Principal},
    records::{Bucket, DocumentKind},
    referer::RefererRules,
};

use crate::{Error, Need, Operation, Permit, Result, Service};

pub struct PutBucketReferer {
    pub bucket: BucketName,
    pub rules: RefererRules,
}

pub struct GetBucketReferer {
    pub bucket: BucketName,
}

impl Service {
    /// Refuses requests from pages that the bucket's rules do not let through. Only what a page
    /// can send is asked: anonymous requests and URLs that somebody signed.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub(crate) async fn check_referer(&self, bucket: &Bucket, facts: &Facts) -> Result<()> {
        let by_url = facts.signature.is_some_and(|signature| signature.place == PRESIGNED);
        let asked = by_url || facts.principal == Principal::Anonymous;
        if !asked || bucket.document(DocumentKind::Referer).is_none() {
            return Ok(());
        }
        let rules = self.referer_rules(bucket).await?;
        match rules.lets(facts.referer.as_deref()) {
            true => Ok(()),
            false => {
                let detail = "You are denied by bucket referer policy.";
                Err(Error::new(Condition::AccessDenied, detail))
            }
        }
    }

    async fn referer_rules(&self, bucket: &Bucket) -> Result<RefererRules> {
        let document = self.metadata.document(bucket, DocumentKind::Referer).await?;
        Ok(document.map(|document| document.value).unwrap_or_default())
    }
}

/// Where the signature of a signed URL stands, as policies call it.
const PRESIGNED: &str = "REST-QUERY-STRING";

impl Operation for PutBucketReferer {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::PutBucketReferer, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        if !self.rules.fits() {
            let detail = "The lists of referers have too many entries or are too long.";
            return Err(Error::new(Condition::InvalidArgument, detail));
        }
        let document = NewDocument::of(DocumentKind::Referer, &self.rules);
        let decide = |_: &_| Ok(());
        let by = permit.audit(Action::PutBucketReferer, &bucket.name);
        Ok(service.metadata.set_document(bucket, document, &by, decide).await?)
    }
}

impl Operation for GetBucketReferer {
    type Output = RefererRules;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::GetBucketReferer, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        service.referer_rules(bucket).await
    }
}
