//! What is set for a bucket beyond its own record: one row for each document.
//!
//! The bucket's record names the revision of each, so that whoever read the bucket knows which
//! documents were in force then, and a change holds for everybody who reads the bucket after it.

use minicbor::{Decode, Encode};
use model::{
    Condition,
    audit::AuditEntry,
    entities::NamedEntity,
    records::{Bucket, BucketDocument, DocumentKind, SetDocument},
};

use crate::{
    Metadata, Result,
    codec::encode,
    keys,
    transaction::{Draft, Try},
};

/// A document as it is to be.
#[derive(Clone, Copy, Debug)]
pub struct NewDocument<'d, T> {
    pub kind: DocumentKind,
    pub value: &'d T,
    /// Of a policy: the users and roles it names. Which they are is noted along with it.
    pub named: &'d [NamedEntity],
}

impl<'d, T> NewDocument<'d, T> {
    /// One that names nobody.
    pub const fn of(kind: DocumentKind, value: &'d T) -> Self {
        Self { kind, value, named: &[] }
    }
}

impl Metadata {
    /// Sets a document in place of the one there is.
    ///
    /// - `by`: what the audit trail tells of it.
    /// - `decide`: whether the bucket, as it is in that very commit, may have it.
    ///
    /// # Errors
    /// [`Condition::NoSuchBucket`], [`Condition::MalformedPolicy`] if it names somebody who is not
    /// there, and what `decide` says.
    pub async fn set_document<T: Encode<()>>(
        &self,
        known: &Bucket,
        NewDocument { kind, value, named }: NewDocument<'_, T>,
        by: &AuditEntry,
        decide: impl Fn(&Bucket) -> Result<(), Condition>,
    ) -> Result<()> {
        self.transact(async || {
            let mut draft = Draft::default();
            let mut bucket = self.rebind(&mut draft, known).await?;
            decide(&bucket)?;
            let named = self.note_named(&mut draft, named).await?;
            let row = keys::document(bucket.id, kind);
            let mut document = BucketDocument { revision: 0, value, named };
            if let Some(revision) = bucket.document(kind) {
                document.revision = revision;
                let there = self.engine.get(&row).await?;
                if there.is_some_and(|there| there.value == encode(&document)) {
                    return Ok(Try::Done(()));
                }
            }
            document.revision = u64::from_be_bytes(self.random());
            bucket.documents.retain(|set| set.kind != kind);
            bucket.documents.push(SetDocument { kind, revision: document.revision });
            draft.put(row, &document);
            draft.put(keys::bucket(&bucket.name), &bucket);
            draft.audit(by);
            Ok(Try::Commit(draft, ()))
        })
        .await
    }

    /// Removes a document; that there is none is no error.
    pub async fn delete_document(
        &self,
        known: &Bucket,
        kind: DocumentKind,
        by: &AuditEntry,
    ) -> Result<()> {
        self.transact(async || {
            let mut draft = Draft::default();
            let mut bucket = self.rebind(&mut draft, known).await?;
            if bucket.document(kind).is_none() {
                return Ok(Try::Done(()));
            }
            bucket.documents.retain(|set| set.kind != kind);
            draft.delete(keys::document(bucket.id, kind));
            draft.put(keys::bucket(&bucket.name), &bucket);
            draft.audit(by);
            Ok(Try::Commit(draft, ()))
        })
        .await
    }

    /// Reads a document, with the revision it is of: not the one that `bucket` names if it was
    /// changed since that was read.
    pub async fn document<T: for<'b> Decode<'b, ()>>(
        &self,
        bucket: &Bucket,
        kind: DocumentKind,
    ) -> Result<Option<BucketDocument<T>>> {
        let found = self.record(&keys::document(bucket.id, kind)).await?;
        Ok(found.map(|(document, _)| document))
    }
}

#[cfg(test)]
mod tests {
    use model::{
        names::{AccountId, BucketId, BucketName},
        records::Versioning,
    };

    use super::*;
    use crate::codec::decode;

    /// A bucket as it was written before buckets had documents.
    #[derive(Encode)]
    struct Before {
        #[n(0)]
        id: BucketId,
        #[n(1)]
        name: BucketName,
        #[n(2)]
        owner: AccountId,
        #[n(3)]
        created_ms: i64,
        #[n(4)]
        region: String,
        #[n(5)]
        location: Option<String>,
        #[n(6)]
        versioning: Versioning,
        #[n(7)]
        storage_class: Option<String>,
        #[n(8)]
        redundancy: Option<String>,
    }

    #[test]
    fn a_policy_written_before_names_were_noted_has_none_noted() {
        #[derive(Encode)]
        struct Before {
            #[n(0)]
            revision: u64,
            #[n(1)]
            value: String,
        }
        let before = encode(&Before { revision: 5, value: "text".into() });
        let document: BucketDocument<String> = decode(keys::DOCUMENT, &before).expect("it decodes");
        assert_eq!((document.revision, document.named), (5, Vec::new()));
    }

    #[test]
    fn a_bucket_written_before_there_were_documents_has_none() {
        let before = Before {
            id: BucketId(7),
            name: BucketName::parse("bkt").expect("a name"),
            owner: AccountId::parse("1").expect("an id"),
            created_ms: 5,
            region: "home".into(),
            location: None,
            versioning: Versioning::Suspended,
            storage_class: None,
            redundancy: None,
        };
        let bucket: Bucket = decode(keys::BUCKET, &encode(&before)).expect("it decodes");
        assert_eq!((bucket.id, bucket.versioning), (BucketId(7), Versioning::Suspended));
        assert_eq!((bucket.documents.as_slice(), bucket.access_block), (&[][..], None));
    }
}
