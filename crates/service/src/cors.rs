//! What pages of other sites may do with a bucket: set, shown, removed.

use std::sync::Arc;

use metadata::NewDocument;
use model::{
    Condition,
    cors::{Cors, Fault},
    names::BucketName,
    policy::Action,
    records::DocumentKind,
};

use crate::{Error, Need, Operation, Permit, Result, Service};

pub struct PutBucketCors {
    pub bucket: BucketName,
    pub cors: Cors,
}

pub struct GetBucketCors {
    pub bucket: BucketName,
}

pub struct DeleteBucketCors {
    pub bucket: BucketName,
    /// S3 asks for the right to set it.
    pub action: Action,
}

impl Service {
    /// The rules of a bucket, for whoever asks: a browser does before anybody signs.
    ///
    /// # Errors
    /// When metadata cannot be read.
    pub async fn cors(&self, bucket: &BucketName) -> Result<Option<Cors>> {
        let Some((bucket, _)) = self.metadata.bucket(bucket).await? else { return Ok(None) };
        if bucket.document(DocumentKind::Cors).is_none() {
            return Ok(None);
        }
        let document = self.metadata.document(&bucket, DocumentKind::Cors).await?;
        Ok(document.map(|document| document.value))
    }
}

impl Operation for PutBucketCors {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::PutBucketCors, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        self.cors.check().map_err(|fault| match fault {
            Fault::Malformed => Condition::MalformedXml.into(),
            Fault::Invalid(detail) => Error::new(Condition::InvalidRequest, detail),
        })?;
        let document = NewDocument::of(DocumentKind::Cors, &self.cors);
        let decide = |_: &_| Ok(());
        let told = [("Rules", self.cors.rules.len().to_string())];
        let by = permit.audit_with(Action::PutBucketCors, &bucket.name, &told);
        Ok(service.metadata.set_document(bucket, document, &by, decide).await?)
    }
}

impl Operation for GetBucketCors {
    type Output = Cors;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::GetBucketCors, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        let document = service.metadata.document(bucket, DocumentKind::Cors).await?;
        Ok(document.ok_or(Condition::NoCorsRules)?.value)
    }
}

impl Operation for DeleteBucketCors {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(self.action, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        let by = permit.audit(self.action, &bucket.name);
        Ok(service.metadata.delete_document(bucket, DocumentKind::Cors, &by).await?)
    }
}
