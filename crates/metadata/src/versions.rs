//! Versions of keys: the current one in a family of its own, all others in the history.
//!
//! Invariants: the row in `C` is the key's latest version and never a delete marker; without such a
//! row the latest is the newest in `H`, if any, and then it is a marker. At most one version is
//! null; when it is in `H`, the row in `n` tells its order.

use model::{
    Condition,
    acl::Acl,
    limits::COMMIT_TRIES_MAX,
    names::{AccountId, ObjectKey, VersionId, VersionSelector},
    records::{Bucket, Garbage, ObjectData, Version, Versioning},
    tags::Tags,
};

use crate::{
    Error, Guard, Metadata, NewContent, Result,
    engine::{Direction, Row, ScanRange},
    keys,
    transaction::{Draft, Try, decode_row},
    usage::Change,
};

/// A version about to be written.
#[derive(Clone, Debug)]
pub struct NewVersion<'a> {
    pub key: &'a ObjectKey,
    pub owner: &'a AccountId,
    /// `None` writes a delete marker.
    pub object: Option<&'a ObjectData>,
    /// The object's content.
    pub content: Option<NamedContent<'a>>,
    pub acl: Option<&'a Acl>,
    pub tags: Option<&'a Tags>,
    pub now_ms: i64,
}

/// The content that a new version names.
#[derive(Clone, Debug)]
pub enum NamedContent<'a> {
    /// It comes along.
    New(&'a NewContent),
    /// It is there already. What was read to decide that it can be shared must not have changed.
    Shared(&'a Guard),
}

/// A version as written, and the bucket's versioning at that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenVersion {
    pub version: Version,
    pub versioning: Versioning,
}

/// What became of a wish to remove one version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    pub version: Option<Version>,
}

/// What is known of a key before it changes.
struct Head {
    current: Option<(Version, Guard)>,
    /// The newest in the history; not looked for when there is a current one.
    newest: Option<Version>,
    /// The null version, when it is in the history.
    null: Option<(Version, Guard)>,
}

impl Head {
    /// The latest version, marker or not.
    fn latest(&self) -> Option<&Version> {
        self.current.as_ref().map(|(version, _)| version).or(self.newest.as_ref())
    }

    /// Whether the null version fits below the latest one: else it came while they were read.
    fn is_of_one_moment(&self) -> bool {
        let Some((null, _)) = &self.null else { return true };
        match (&self.current, &self.newest) {
            (Some((current, _)), _) => null.id.order < current.id.order,
            (None, Some(newest)) => null.id.order <= newest.id.order,
            (None, None) => false,
        }
    }
}

impl Metadata {
    /// The version of a key a request names; it may be a delete marker.
    pub async fn version(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        selector: VersionSelector,
    ) -> Result<Option<Version>> {
        match selector {
            VersionSelector::Latest => match self.current(bucket, key).await? {
                Some((version, _)) => Ok(Some(version)),
                None => Ok(self.newest(bucket, key, None).await?.map(|(version, _)| version)),
            },
            VersionSelector::Null => self.null_version(bucket, key).await,
            VersionSelector::Id(id) => {
                let history = keys::history(bucket.id, key, id.order);
                let [current, older] = self.current_and(bucket, key, history).await?;
                for (key, row) in [current, older].into_iter().flatten() {
                    let version: Version = decode_row(&key, &row)?;
                    // The null version goes by the name `null` only.
                    if version.id == id && !version.null {
                        return Ok(Some(version));
                    }
                }
                Ok(None)
            }
        }
    }

    async fn null_version(&self, bucket: &Bucket, key: &ObjectKey) -> Result<Option<Version>> {
        for _ in 0..COMMIT_TRIES_MAX {
            let order = keys::null_order(bucket.id, key);
            let [current, order] = self.current_and(bucket, key, order).await?;
            if let Some((key, row)) = current {
                let version: Version = decode_row(&key, &row)?;
                if version.null {
                    return Ok(Some(version));
                }
            }
            let Some((order_key, order)) = order else { return Ok(None) };
            let row = keys::history(bucket.id, key, decode_row(&order_key, &order)?);
            let version = self.record::<Version>(&row).await?.map(|(version, _)| version);
            if version.as_ref().is_some_and(|version| version.null) {
                return Ok(version);
            }
            // It moved meanwhile.
        }
        Err(Error::Busy)
    }

    /// The current row and another one, with their keys, read at one moment: a version that moves
    /// between the families is in one of them.
    async fn current_and(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        other: Vec<u8>,
    ) -> Result<[Option<(Vec<u8>, Row)>; 2]> {
        let keys = [keys::current(bucket.id, key.as_str().as_bytes()), other];
        let mut rows = self.engine.get_many(&keys).await?.into_iter();
        Ok(keys.map(|key| Some((key, rows.next()??))))
    }

    async fn current(&self, bucket: &Bucket, key: &ObjectKey) -> Result<Option<(Version, Guard)>> {
        self.record(&keys::current(bucket.id, key.as_str().as_bytes())).await
    }

    /// The newest version in the history, leaving out one.
    async fn newest(
        &self,
        bucket: &Bucket,
        key: &ObjectKey,
        without: Option<VersionId>,
    ) -> Result<Option<(Version, Guard)>> {
        if bucket.versioning == Versioning::Unversioned {
            return Ok(None);
        }
        let mut rest = Some(keys::within(keys::history_of(bucket.id, key)));
        while let Some(range) = rest {
            let page = self.engine.scan(&range, 2, Direction::Forward).await?;
            for (key, row) in page.rows {
                let version: Version = decode_row(&key, &row)?;
                if Some(version.id) != without {
                    return Ok(Some((version, Guard { key, version: row.version })));
                }
            }
            rest = page.next;
        }
        Ok(None)
    }

    /// The null version in the history, and the row that tells where it is.
    async fn null(&self, bucket: &Bucket, key: &ObjectKey) -> Result<Option<(Version, Guard)>> {
        if bucket.versioning == Versioning::Unversioned {
            return Ok(None);
        }
        let row = keys::null_order(bucket.id, key);
        for _ in 0..COMMIT_TRIES_MAX {
            let Some((order, guard)) = self.record::<u64>(&row).await? else { return Ok(None) };
            let version = self.record::<Version>(&keys::history(bucket.id, key, order)).await?;
            if let Some((version, _)) = version.filter(|(version, _)| version.null) {
                return Ok(Some((version, guard)));
            }
            // Another one took its place meanwhile.
        }
        Err(Error::Busy)
    }

    async fn head(&self, bucket: &Bucket, key: &ObjectKey) -> Result<Head> {
        for _ in 0..COMMIT_TRIES_MAX {
            let current = self.current(bucket, key).await?;
            let newest = match current {
                Some(_) => None,
                None => self.newest(bucket, key, None).await?.map(|(version, _)| version),
            };
            let current_is_null = current.as_ref().is_some_and(|(version, _)| version.null);
            let null = if current_is_null { None } else { self.null(bucket, key).await? };
            let head = Head { current, newest, null };
            if head.is_of_one_moment() {
                return Ok(head);
            }
        }
        Err(Error::Busy)
    }

    /// Writes a version as the latest one. `decide` sees what would be replaced (never a marker).
    ///
    /// In an unversioned bucket a delete marker is not stored: the object is just removed.
    ///
    /// # Errors
    /// What `decide` returns; [`Condition::NoSuchBucket`] when the bucket went meanwhile.
    pub async fn write_version(
        &self,
        known: &Bucket,
        new: &NewVersion<'_>,
        decide: impl Fn(&Bucket, Option<&Version>) -> Result<(), Condition>,
    ) -> Result<WrittenVersion> {
        self.transact(async || {
            let mut draft = draft_for(new);
            let bucket = self.rebind(&mut draft, known).await?;
            let version = self.draft_version(&mut draft, &bucket, new, &decide).await?;
            let written = WrittenVersion { version, versioning: bucket.versioning };
            Ok(Try::Commit(draft, written))
        })
        .await
    }

    /// Puts the rows of a new version into a draft that expects the bucket already.
    pub(crate) async fn draft_version(
        &self,
        draft: &mut Draft,
        bucket: &Bucket,
        new: &NewVersion<'_>,
        decide: &impl Fn(&Bucket, Option<&Version>) -> Result<(), Condition>,
    ) -> Result<Version> {
        let head = self.head(bucket, new.key).await?;
        decide(bucket, head.current.as_ref().map(|(version, _)| version))?;
        let mut change = Change::new(bucket);
        let version = self.next_version(bucket, new, head.latest());

        self.displace(draft, bucket, new, &head, &mut change);
        let row = keys::current(bucket.id, new.key.as_str().as_bytes());
        match (&version.object, bucket.versioning) {
            (Some(object), _) => {
                draft.put(row, &version);
                change.version(&version, 1);
                match &new.content {
                    Some(NamedContent::New(content)) => self.add_content(draft, content),
                    Some(NamedContent::Shared(as_read)) => {
                        self.share_content(draft, object, as_read).await?;
                    }
                    None => return Err(Condition::Internal.into()),
                }
            }
            (None, Versioning::Unversioned) => {
                if head.current.is_some() {
                    draft.delete(row);
                }
            }
            (None, _) => {
                if head.current.is_some() {
                    draft.delete(row);
                }
                let order = version.id.order;
                draft.put(keys::history(bucket.id, new.key, order), &version);
                change.version(&version, 1);
                if version.null {
                    draft.put(keys::null_order(bucket.id, new.key), &order);
                }
            }
        }
        draft.count(change);
        Ok(version)
    }

    fn next_version(
        &self,
        bucket: &Bucket,
        new: &NewVersion<'_>,
        latest: Option<&Version>,
    ) -> Version {
        let order = latest.map_or(1, |latest| latest.id.order.saturating_add(1));
        let after = latest.map_or(i64::MIN, |latest| latest.modified_ms.saturating_add(1));
        Version {
            id: VersionId { order, random: u64::from_be_bytes(self.random()) },
            null: bucket.versioning != Versioning::Enabled,
            modified_ms: new.now_ms.max(after),
            object: new.object.cloned(),
            owner: new.owner.clone(),
            acl: new.acl.cloned(),
            tags: new.tags.cloned().unwrap_or_default(),
        }
    }

    /// Moves what the new version displaces into the history, or removes it where the new one
    /// takes its place as the null version.
    fn displace(
        &self,
        draft: &mut Draft,
        bucket: &Bucket,
        new: &NewVersion<'_>,
        head: &Head,
        change: &mut Change,
    ) {
        let unversioned = bucket.versioning == Versioning::Unversioned;
        let replaces_null = bucket.versioning != Versioning::Enabled;
        let row = keys::current(bucket.id, new.key.as_str().as_bytes());
        match &head.current {
            Some((current, guard)) => {
                draft.expect(guard);
                if current.null && replaces_null {
                    self.discard(draft, change, current, new.now_ms);
                } else {
                    let order = current.id.order;
                    draft.put(keys::history(bucket.id, new.key, order), current);
                    if current.null {
                        draft.put(keys::null_order(bucket.id, new.key), &order);
                    }
                }
            }
            None => {
                draft.expect_row(&row, None);
                if !unversioned {
                    draft.expect_empty(newer(bucket, new.key, head.latest()));
                }
            }
        }
        match &head.null {
            Some((null, guard)) if replaces_null => {
                draft.expect(guard);
                draft.delete(keys::history(bucket.id, new.key, null.id.order));
                if new.object.is_some() {
                    draft.delete(keys::null_order(bucket.id, new.key));
                }
                self.discard(draft, change, null, new.now_ms);
            }
            None if replaces_null && !unversioned => {
                draft.expect_row(&keys::null_order(bucket.id, new.key), None);
            }
            _ => {}
        }
    }

    /// Counts a version out and queues its content.
    fn discard(&self, draft: &mut Draft, change: &mut Change, version: &Version, now_ms: i64) {
        change.version(version, -1);
        if let Some(object) = &version.object {
            self.enqueue(draft, &Garbage::Content(object.content), now_ms);
        }
    }

    /// Adds a reference to a content that another version names.
    ///
    /// # Errors
    /// [`Error::Busy`] when the row of `as_read` changed since.
    async fn share_content(
        &self,
        draft: &mut Draft,
        object: &ObjectData,
        as_read: &Guard,
    ) -> Result<()> {
        let row = keys::content(object.content);
        let content = self.engine.get(&row).await?.ok_or(Condition::NoSuchKey)?;
        draft.expect_row(&row, Some(&content));
        if as_read.key != row {
            draft.expect(as_read);
        }
        let now = self.engine.get(&as_read.key).await?;
        if now.is_none_or(|now| now.version != as_read.version) {
            return Err(Error::Busy);
        }
        draft.add(keys::references(object.content), 1);
        Ok(())
    }

    /// Changes what is said of one version, which stays what it is besides.
    ///
    /// - `change`: what it is to be, of the version as it is in that very commit.
    ///
    /// # Errors
    /// [`Condition::NoSuchKey`], [`Condition::MethodNotAllowed`] for a delete marker,
    /// [`Condition::NoSuchBucket`], and what `change` says.
    pub async fn change_version(
        &self,
        known: &Bucket,
        key: &ObjectKey,
        selector: VersionSelector,
        change: impl Fn(&Bucket, Version) -> Result<Version, Condition>,
    ) -> Result<Version> {
        self.transact(async || {
            let mut draft = Draft::default();
            let bucket = self.rebind(&mut draft, known).await?;
            let version = self.version(&bucket, key, selector).await?;
            let version = version.ok_or(Condition::NoSuchKey)?;
            if version.object.is_none() {
                return Err(Condition::MethodNotAllowed.into());
            }
            let current = keys::current(bucket.id, key.as_str().as_bytes());
            let history = keys::history(bucket.id, key, version.id.order);
            for row in [current, history.clone()] {
                let found = self.record::<Version>(&row).await?;
                if let Some((found, guard)) = found.filter(|(found, _)| found.id == version.id) {
                    let changed = change(&bucket, found)?;
                    draft.expect(&guard);
                    draft.put(row, &changed);
                    return Ok(Try::Commit(draft, changed));
                }
            }
            // It moved meanwhile: this fails if it is in the history now, and the next try finds
            // it, or that it is gone.
            draft.expect_row(&history, None);
            Ok(Try::Commit(draft, version))
        })
        .await
    }

    /// Removes one version for good. `decide` sees it, if it is there.
    ///
    /// When the latest goes, the newest object behind it becomes current.
    ///
    /// # Errors
    /// What `decide` returns; [`Condition::NoSuchBucket`] when the bucket went meanwhile.
    pub async fn remove_version(
        &self,
        known: &Bucket,
        key: &ObjectKey,
        selector: VersionSelector,
        now_ms: i64,
        decide: impl Fn(Option<&Version>) -> Result<(), Condition>,
    ) -> Result<Removed> {
        self.transact(async || {
            let mut draft = Draft::reclaiming();
            let bucket = self.rebind(&mut draft, known).await?;
            let head = self.head(&bucket, key).await?;
            let row = keys::current(bucket.id, key.as_str().as_bytes());
            match &head.current {
                Some((_, guard)) => draft.expect(guard),
                None => draft.expect_row(&row, None),
            }
            let version = self.version(&bucket, key, selector).await?;
            decide(version.as_ref())?;
            let Some(version) = version else { return Ok(Try::Done(Removed::default())) };

            let is_current =
                head.current.as_ref().is_some_and(|(current, _)| current.id == version.id);
            if is_current {
                draft.delete(row);
            } else {
                let history = keys::history(bucket.id, key, version.id.order);
                let found = self.record::<Version>(&history).await?;
                let same = found.filter(|(found, _)| found.id == version.id);
                let Some((_, guard)) = same else {
                    // It went; or it became current, or another one got its order: then this
                    // fails, and the next try sees it.
                    draft.expect_row(&history, None);
                    return Ok(Try::Commit(draft, Removed::default()));
                };
                draft.expect(&guard);
                draft.delete(history);
                if version.null {
                    draft.delete(keys::null_order(bucket.id, key));
                }
            }
            if is_current || head.current.is_none() {
                self.uncover(&mut draft, &bucket, key, &version, is_current).await?;
            }
            let mut change = Change::new(&bucket);
            self.discard(&mut draft, &mut change, &version, now_ms);
            draft.count(change);
            Ok(Try::Commit(draft, Removed { version: Some(version) }))
        })
        .await
    }

    /// Makes the newest version behind `removed` the current one if it is an object.
    async fn uncover(
        &self,
        draft: &mut Draft,
        bucket: &Bucket,
        key: &ObjectKey,
        removed: &Version,
        replaces_current: bool,
    ) -> Result<()> {
        let next = self.newest(bucket, key, Some(removed.id)).await?;
        let Some((next, guard)) = next else { return Ok(()) };
        // A marker too: if it goes meanwhile, what is behind it has to become current.
        draft.expect(&guard);
        if next.object.is_none() {
            return Ok(());
        }
        draft.expect_empty(newer(bucket, key, Some(removed)));
        draft.delete(guard.key);
        // Two null versions cannot be: they were read at two moments, and the commit will fail.
        if next.null && !removed.null {
            draft.delete(keys::null_order(bucket.id, key));
        }
        let row = keys::current(bucket.id, key.as_str().as_bytes());
        if replaces_current {
            draft.undelete(&row);
        }
        draft.put(row, &next);
        Ok(())
    }
}

/// Where the history rows of versions newer than `latest` would be: a commit that relies on it as
/// the latest expects none there.
fn newer(bucket: &Bucket, key: &ObjectKey, latest: Option<&Version>) -> ScanRange {
    let all = keys::within(keys::history_of(bucket.id, key));
    match latest {
        Some(latest) => ScanRange { end: keys::history(bucket.id, key, latest.id.order), ..all },
        None => all,
    }
}

fn draft_for(new: &NewVersion<'_>) -> Draft {
    if new.object.is_none() { Draft::reclaiming() } else { Draft::default() }
}

#[cfg(test)]
mod tests;
