//! Buckets: one owner and one region each.

use model::{
    Condition,
    audit::AuditEntry,
    limits::BUCKETS_PER_ACCOUNT_MAX,
    names::{AccountId, BucketId, BucketName},
    records::{AccessBlock, Bucket, Versioning},
};

use crate::{
    Error, Metadata, Result,
    engine::{Direction, ScanRange},
    keys,
    transaction::{Draft, Try, decode_row},
    usage::Scope,
};

/// What became of a wish for a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    New(Bucket),
    /// The name is taken, by whomever.
    Taken(Bucket),
}

impl Metadata {
    /// Creates a bucket; `wanted.id` is given here.
    ///
    /// - `by`: what the audit trail tells of it.
    ///
    /// # Errors
    /// [`Condition::TooManyBuckets`]; [`Condition::NoSuchAccount`] when the owner went meanwhile.
    pub async fn create_bucket(&self, wanted: &Bucket, by: &AuditEntry) -> Result<Created> {
        self.transact(async || {
            if let Some((bucket, _)) = self.bucket(&wanted.name).await? {
                return Ok(Try::Done(Created::Taken(bucket)));
            }
            let id = BucketId(u64::from_be_bytes(self.random()));
            let bucket = Bucket { id, ..wanted.clone() };
            let mut draft = Draft::default();
            draft.expect_row(&keys::bucket(&bucket.name), None);
            self.draft_bucket(&mut draft, &bucket).await?;
            draft.audit(by);
            Ok(Try::Commit(draft, Created::New(bucket)))
        })
        .await
    }

    /// Puts the rows of a new bucket into a draft that expects its name to be free.
    pub(crate) async fn draft_bucket(&self, draft: &mut Draft, bucket: &Bucket) -> Result<()> {
        let owner = keys::account(&bucket.owner);
        let account = self.engine.get(&owner).await?.ok_or(Condition::NoSuchAccount)?;
        draft.expect_row(&owner, Some(&account));
        self.count_bucket(draft, &bucket.owner, 1).await?;
        draft.expect_row(&keys::bucket_id(bucket.id), None);
        draft.put(keys::bucket(&bucket.name), bucket);
        draft.put(keys::bucket_id(bucket.id), &bucket.name);
        draft.put(keys::owned(&bucket.owner, bucket.name.as_str()), &());
        Ok(())
    }

    /// Deletes a bucket that holds no version, marker or upload.
    ///
    /// # Errors
    /// [`Condition::BucketNotEmpty`], [`Condition::NoSuchBucket`].
    pub async fn delete_bucket(&self, known: &Bucket, by: &AuditEntry) -> Result<()> {
        self.transact(async || {
            let mut draft = Draft::reclaiming();
            let bucket = self.rebind(&mut draft, known).await?;
            for family in [keys::CURRENT, keys::HISTORY, keys::UPLOAD] {
                let range = keys::within(keys::join(family, &[&bucket.id.0.to_be_bytes()]));
                if !self.engine.scan(&range, 1, Direction::Forward).await?.rows.is_empty() {
                    return Err(Condition::BucketNotEmpty.into());
                }
                draft.expect_empty(range);
            }
            draft.delete(keys::bucket(&bucket.name));
            bucket
                .documents
                .iter()
                .for_each(|set| draft.delete(keys::document(bucket.id, set.kind)));
            draft.delete(keys::owned(&bucket.owner, bucket.name.as_str()));
            self.count_bucket(&mut draft, &bucket.owner, -1).await?;
            Scope::Bucket(bucket.id).keys().into_iter().for_each(|key| draft.delete(key));
            draft.audit(by);
            Ok(Try::Commit(draft, ()))
        })
        .await
    }

    /// Counts a bucket in (`1`) or out (`-1`).
    ///
    /// An account that nobody counted yet, as earlier versions did not, is counted on the way:
    /// then everybody who does so expects that nobody else did.
    async fn count_bucket(&self, draft: &mut Draft, owner: &AccountId, sign: i64) -> Result<()> {
        let row = Scope::buckets_key(owner);
        let mut amount = sign;
        if self.engine.get(&row).await?.is_none() {
            draft.expect_row(&row, None);
            let (owned, _) = self.owned(owner, "", "", usize::MAX).await?;
            amount += i64::try_from(owned.len()).unwrap_or(i64::MAX / 2);
        }
        match i64::try_from(BUCKETS_PER_ACCOUNT_MAX) {
            Ok(most) if sign > 0 => {
                draft.add_up_to(row, amount, most, Condition::TooManyBuckets);
            }
            _ => draft.add(row, amount),
        }
        Ok(())
    }

    /// The bucket whose name comes after `after`, whoever owns it; the first one without that.
    pub async fn next_bucket(&self, after: Option<&BucketName>) -> Result<Option<Bucket>> {
        let mut range = keys::within(vec![keys::BUCKET]);
        if let Some(after) = after {
            range.start = keys::bucket(after);
            range.start.push(0);
        }
        let page = self.engine.scan(&range, 1, Direction::Forward).await?;
        page.rows.first().map(|(key, row)| decode_row(key, row)).transpose()
    }

    /// Whether a bucket holds a version or delete marker.
    pub async fn holds_versions(&self, bucket: &Bucket) -> Result<bool> {
        for family in [keys::CURRENT, keys::HISTORY] {
            let range = keys::within(keys::join(family, &[&bucket.id.0.to_be_bytes()]));
            if !self.engine.scan(&range, 1, Direction::Forward).await?.rows.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Switches versioning. A bucket once versioned is only ever suspended.
    ///
    /// - `mfa_delete`: whether it takes a second factor from now on; `None` leaves that.
    pub async fn set_versioning(
        &self,
        known: &Bucket,
        versioning: Versioning,
        mfa_delete: Option<bool>,
        by: &AuditEntry,
    ) -> Result<()> {
        let change = |bucket: Bucket| {
            if bucket.mfa_delete != known.mfa_delete {
                // Whether a factor was wanted was decided on what holds no more.
                return Err(Condition::WriteConflict);
            }
            let mfa_delete = mfa_delete.or(bucket.mfa_delete);
            Ok(Bucket { versioning, mfa_delete, ..bucket })
        };
        self.change_bucket(known, by, change).await
    }

    /// Sets how far public access is blocked.
    pub async fn set_access_block(
        &self,
        known: &Bucket,
        access_block: Option<AccessBlock>,
        by: &AuditEntry,
    ) -> Result<()> {
        self.change_bucket(known, by, |bucket| Ok(Bucket { access_block, ..bucket })).await
    }

    /// Changes the bucket's own record.
    ///
    /// - `by`: what the audit trail tells of it, if it changes.
    ///
    /// # Errors
    /// What `change` says of the bucket as it is in that very commit.
    pub(crate) async fn change_bucket(
        &self,
        known: &Bucket,
        by: &AuditEntry,
        change: impl Fn(Bucket) -> Result<Bucket, Condition>,
    ) -> Result<()> {
        self.transact(async || {
            let mut draft = Draft::default();
            let bucket = self.rebind(&mut draft, known).await?;
            let changed = change(bucket.clone())?;
            if changed == bucket {
                return Ok(Try::Done(()));
            }
            draft.put(keys::bucket(&bucket.name), &changed);
            draft.audit(by);
            Ok(Try::Commit(draft, ()))
        })
        .await
    }

    /// The owner's buckets in order of name: those that begin with `prefix` and sort after `after`,
    /// at most `limit`; and whether there are more.
    pub async fn buckets(
        &self,
        owner: &AccountId,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<(Vec<Bucket>, bool)> {
        let (names, more) = self.owned(owner, prefix, after, limit).await?;
        let mut buckets = Vec::with_capacity(names.len());
        for names in names.chunks(500) {
            let rows: Vec<_> = names.iter().map(keys::bucket).collect();
            for (key, row) in rows.iter().zip(self.engine.get_many(&rows).await?) {
                if let Some(row) = row {
                    buckets.push(decode_row(key, &row)?);
                }
            }
        }
        Ok((buckets, more))
    }

    async fn owned(
        &self,
        owner: &AccountId,
        prefix: &str,
        after: &str,
        limit: usize,
    ) -> Result<(Vec<BucketName>, bool)> {
        let all = keys::owned(owner, "");
        let ScanRange { mut start, end } = keys::within(keys::owned(owner, prefix));
        let mut beyond = keys::owned(owner, after);
        beyond.push(0);
        start = start.max(beyond);
        let mut names = Vec::new();
        let mut rest = Some(ScanRange { start, end });
        while let Some(range) = rest {
            let page = self.engine.scan(&range, 500, Direction::Forward).await?;
            for (key, _) in &page.rows {
                if names.len() >= limit {
                    return Ok((names, true));
                }
                let name = key.get(all.len()..).and_then(|name| std::str::from_utf8(name).ok());
                let name = name.and_then(|name| BucketName::parse(name).ok());
                names.push(name.ok_or(Error::Damaged { family: 'O' })?);
            }
            rest = page.next;
        }
        Ok((names, false))
    }
}
