//! Access control lists and ownership: set and shown. What they let through is in `model::acl`;
//! `authorize` asks them.

use std::sync::Arc;

use model::{
    Condition,
    acl::{
        Acl, Canned, GRANTS_MAX, Grant, Grantee, Named, Of, Ownership, Permission, WantedAcl, Word,
    },
    names::{AccountId, BucketName},
    policy::Action,
    records::{Account, Bucket, Version, Versioning},
};

use crate::{
    Caller, Error, Need, Operation, Permit, Result, Service,
    audit::acl_details,
    objects::{Target, Versioned, read},
};

pub struct GetBucketAcl {
    pub bucket: BucketName,
}

pub struct PutBucketAcl {
    pub bucket: BucketName,
    pub acl: WantedAcl,
}

pub struct GetObjectAcl {
    pub target: Target,
}

pub struct PutObjectAcl {
    pub target: Target,
    pub acl: WantedAcl,
}

/// Tells whose the objects are that others write; `None` if that was taken back.
pub struct GetOwnership {
    pub bucket: BucketName,
}

/// Sets it, or takes it back.
pub struct PutOwnership {
    pub bucket: BucketName,
    pub ownership: Option<Ownership>,
}

/// A list, with everybody in it by name.
#[derive(Clone, Debug)]
pub struct ShownAcl {
    pub owner: Account,
    pub grants: Vec<(ShownGrantee, Permission)>,
    /// It in OSS's word; `None` is what the bucket says.
    pub word: Option<Word>,
}

#[derive(Clone, Debug)]
pub enum ShownGrantee {
    Account(Account),
    Group(Grantee),
}

/// The list of a version, and which one that is.
pub struct ObjectAcl {
    pub acl: ShownAcl,
    pub version: Version,
    pub versioning: Versioning,
}

/// Whether a bucket may have this list, or an object in it.
///
/// # Errors
/// [`Condition::PublicAclBlocked`]; [`Condition::AclNotSupported`] for a list of grants where all
/// objects are the bucket owner's.
pub(crate) fn check(bucket: &Bucket, acl: Option<&Acl>) -> Result<(), Condition> {
    let Some(acl) = acl else { return Ok(()) };
    if !bucket.heeds(acl) {
        return Err(Condition::AclNotSupported);
    }
    match acl.is_public() && bucket.blocked().block_public_acls {
        true => Err(Condition::PublicAclBlocked),
        false => Ok(()),
    }
}

impl Service {
    /// As [`check`], and whether the block of the bucket's account lets it be.
    ///
    /// # Errors
    /// [`Condition::PublicAclBlockedByAccount`] besides.
    pub(crate) async fn check_acl(&self, bucket: &Bucket, acl: Option<&Acl>) -> Result<()> {
        check(bucket, acl)?;
        let public = acl.is_some_and(Acl::is_public);
        if public && self.account_block(&bucket.owner).await?.block_public_acls {
            return Err(Condition::PublicAclBlockedByAccount.into());
        }
        Ok(())
    }

    /// Whose a new object is, and its list.
    ///
    /// # Errors
    /// As [`check`], and for grants to nobody known.
    pub(crate) async fn own(
        &self,
        bucket: &Bucket,
        caller: &Caller,
        wanted: Option<&WantedAcl>,
    ) -> Result<(AccountId, Option<Acl>)> {
        let writer = caller.account_id().unwrap_or(&bucket.owner);
        let gives_up = wanted == Some(&WantedAcl::Canned(Canned::BucketOwnerFullControl));
        let owner = match bucket.ownership() {
            Ownership::BucketOwnerEnforced => &bucket.owner,
            Ownership::BucketOwnerPreferred if gives_up => &bucket.owner,
            Ownership::BucketOwnerPreferred | Ownership::ObjectWriter => writer,
        };
        let acl = match wanted {
            Some(wanted) => self.understand(bucket, owner, wanted, Of::Object).await?,
            None if *owner == bucket.owner => None,
            None => Some(Acl::Grants(Canned::Private.grants(owner, None))),
        };
        self.check_acl(bucket, acl.as_ref()).await?;
        Ok((owner.clone(), acl))
    }

    /// The list of a bucket that is to be made.
    ///
    /// # Errors
    /// As [`check`], in words of its own.
    pub(crate) async fn new_bucket_acl(
        &self,
        bucket: &Bucket,
        wanted: &WantedAcl,
    ) -> Result<Option<Acl>> {
        // Every new bucket is private, also where no list is taken later.
        if *wanted == WantedAcl::Canned(Canned::Private) {
            return Ok(None);
        }
        let word = matches!(wanted, WantedAcl::Word(_));
        let renamed = |condition| match condition {
            Condition::AclNotSupported => Condition::BucketAclNotSupported,
            Condition::PublicAclBlocked if !word => Condition::BucketAclBlocked,
            Condition::PublicAclBlockedByAccount if !word => Condition::BucketAclBlockedByAccount,
            other => other,
        };
        let rename = |error: Error| Error { condition: renamed(error.condition), ..error };
        let acl = self.understand(bucket, &bucket.owner, wanted, Of::Bucket).await;
        let acl = acl.map_err(rename)?;
        self.check_acl(bucket, acl.as_ref()).await.map_err(rename)?;
        Ok(acl)
    }

    /// The list as it is kept; `None` is nobody but the owner, or what the bucket's word says.
    async fn understand(
        &self,
        bucket: &Bucket,
        owner: &AccountId,
        wanted: &WantedAcl,
        of: Of,
    ) -> Result<Option<Acl>> {
        let enforced = !bucket.has_other_owners();
        let grants = match wanted {
            WantedAcl::Word(None | Some(Word::Private)) if of == Of::Bucket => return Ok(None),
            WantedAcl::Word(word) => return Ok(word.map(Acl::Word)),
            // Source: S3 "Disabling ACLs for all new buckets and enforcing Object Ownership".
            WantedAcl::Canned(Canned::BucketOwnerFullControl) if enforced => return Ok(None),
            WantedAcl::Canned(_) if enforced => return Err(Condition::AclNotSupported.into()),
            WantedAcl::Canned(canned) => {
                canned.grants(owner, (of == Of::Object).then_some(&bucket.owner))
            }
            WantedAcl::Grants { owner: named, grants } => {
                self.resolve(owner, named.as_deref(), grants).await?
            }
        };
        if enforced {
            let only_owner = grants == Canned::Private.grants(owner, None);
            return if only_owner { Ok(None) } else { Err(Condition::AclNotSupported.into()) };
        }
        Ok(Some(Acl::Grants(grants)))
    }

    /// Finds out who is meant by grants.
    async fn resolve(
        &self,
        owner: &AccountId,
        named_owner: Option<&str>,
        named: &[(Named, Permission)],
    ) -> Result<Vec<Grant>> {
        if named.len() > GRANTS_MAX {
            let detail = format!("An access control list has at most {GRANTS_MAX} grants.");
            return Err(Error::new(Condition::MalformedAcl, detail));
        }
        let accounts = self.metadata.accounts().await?;
        let owned = accounts.iter().find(|account| account.id == *owner);
        if let Some(named) = named_owner
            && owned.is_none_or(|account| account.canonical_id != named)
        {
            let detail = "The owner of a bucket or object cannot be changed by its ACL.";
            return Err(Error::new(Condition::AccessDenied, detail));
        }
        let find = |grantee: &Named| {
            let mut meant = accounts.iter().filter(|account| is_named(account, grantee));
            match (grantee, meant.next(), meant.next()) {
                (Named::Group(group), ..) => Ok(group.clone()),
                (_, Some(account), None) => Ok(Grantee::Account(account.id.clone())),
                (Named::Canonical(id), ..) => {
                    let error = Error::new(Condition::InvalidArgument, "Invalid id");
                    let error = error.field("ArgumentName", "CanonicalUser/ID");
                    Err(error.field("ArgumentValue", id.as_str()))
                }
                (Named::Email(_), None, _) => Err(Condition::UnresolvableEmail.into()),
                (Named::Email(_), Some(_), Some(_)) => Err(Condition::AmbiguousEmail.into()),
            }
        };
        let grant = |(grantee, permission): &(Named, Permission)| {
            find(grantee).map(|grantee| Grant { grantee, permission: *permission })
        };
        named.iter().map(grant).collect()
    }

    /// A list with everybody in it by name.
    async fn show(
        &self,
        bucket: &Bucket,
        owner: &AccountId,
        acl: Option<&Acl>,
        of: Of,
    ) -> Result<ShownAcl> {
        let accounts = self.metadata.accounts().await?;
        let account = |id: &AccountId| accounts.iter().find(|account| account.id == *id).cloned();
        let inherited = bucket.acl.as_ref().filter(|acl| matches!(acl, Acl::Word(_)));
        let in_force = acl.or(inherited).filter(|acl| bucket.heeds(acl));
        let grants = match in_force {
            Some(acl) => acl.grants(owner, of),
            None => Canned::Private.grants(owner, None),
        };
        let named = |Grant { grantee, permission }: Grant| {
            let grantee = match grantee {
                // Whose account is gone is nobody.
                Grantee::Account(id) => ShownGrantee::Account(account(&id)?),
                group => ShownGrantee::Group(group),
            };
            Some((grantee, permission))
        };
        let owner = account(owner).or_else(|| account(&bucket.owner));
        Ok(ShownAcl {
            owner: owner.ok_or_else(|| Error::new(Condition::Internal, "the owner is unknown"))?,
            grants: grants.into_iter().filter_map(named).collect(),
            word: acl.filter(|acl| bucket.heeds(acl)).map(Acl::word),
        })
    }

    /// The accounts that own any of these versions, but for the bucket's own.
    pub(crate) async fn other_owners(
        &self,
        bucket: &Bucket,
        versions: impl Iterator<Item = &Version>,
    ) -> Result<Vec<Account>> {
        let mut ids: Vec<&AccountId> =
            versions.filter_map(|version| bucket.other_owner(version)).collect();
        ids.sort_unstable();
        ids.dedup();
        let mut owners = Vec::with_capacity(ids.len());
        for id in ids {
            owners.extend(self.metadata.account(id).await?);
        }
        Ok(owners)
    }
}

/// Whether a grant names this account.
pub(crate) fn is_named(account: &Account, named: &Named) -> bool {
    match named {
        Named::Canonical(id) => account.canonical_id == *id,
        Named::Email(email) => {
            account.email.as_ref().is_some_and(|it| it.eq_ignore_ascii_case(email))
        }
        Named::Group(_) => false,
    }
}

impl Operation for GetBucketAcl {
    type Output = ShownAcl;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::GetBucketAcl, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        service.show(bucket, &bucket.owner, bucket.acl.as_ref(), Of::Bucket).await
    }
}

impl Operation for PutBucketAcl {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::PutBucketAcl, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        let acl = service.understand(bucket, &bucket.owner, &self.acl, Of::Bucket).await?;
        service.check_acl(bucket, acl.as_ref()).await?;
        let decide = |bucket: &Bucket| check(bucket, acl.as_ref());
        let told = acl_details(acl.as_ref());
        let by = permit.audit_with(Action::PutBucketAcl, &bucket.name, &told);
        Ok(service.metadata.set_bucket_acl(bucket, acl.as_ref(), &by, decide).await?)
    }
}

impl Operation for GetObjectAcl {
    type Output = ObjectAcl;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::target(self.target.action(Action::GetObjectAcl), &self.target)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let found = read::find(service, &permit, &self.target).await?;
        let (bucket, version) = (&found.bucket, found.version);
        let owner = bucket.other_owner(&version).unwrap_or(&bucket.owner);
        let acl = service.show(bucket, owner, version.acl.as_ref(), Of::Object).await?;
        Ok(ObjectAcl { acl, versioning: bucket.versioning, version })
    }
}

impl Operation for PutObjectAcl {
    type Output = Versioned;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::target(self.target.action(Action::PutObjectAcl), &self.target)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let found = read::find(service, &permit, &self.target).await?;
        let (bucket, version) = (&found.bucket, found.version);
        let owner = bucket.other_owner(&version).unwrap_or(&bucket.owner);
        let acl = service.understand(bucket, owner, &self.acl, Of::Object).await?;
        service.check_acl(bucket, acl.as_ref()).await?;
        let change = |bucket: &Bucket, as_it_is: Version| {
            check(bucket, acl.as_ref())?;
            permit.check_same(&self.target, &version, &as_it_is)?;
            Ok(Version { acl: acl.clone(), ..as_it_is })
        };
        let Target { key, version: selector, .. } = &self.target;
        let version = service.metadata.change_version(bucket, key, *selector, change).await?;
        Ok(Versioned { version, versioning: bucket.versioning })
    }
}

impl Operation for GetOwnership {
    type Output = Option<Ownership>;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::GetBucketOwnershipControls, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, _: &Arc<Service>) -> Result<Self::Output> {
        Ok(permit.bucket(&self.bucket)?.0.object_ownership)
    }
}

impl Operation for PutOwnership {
    type Output = ();

    fn needs(&self) -> Vec<Need<'_>> {
        Need::bucket(Action::PutBucketOwnershipControls, &self.bucket)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let (bucket, _) = permit.bucket(&self.bucket)?;
        let enforced = self.ownership.unwrap_or_default() == Ownership::BucketOwnerEnforced;
        let decide = |bucket: &Bucket| {
            // Whoever relies on such a list is not to lose it unawares.
            let private = Acl::Grants(Canned::Private.grants(&bucket.owner, None));
            let shares = matches!(&bucket.acl, Some(acl @ Acl::Grants(_)) if *acl != private);
            if enforced && shares { Err(Condition::BucketAclNotSupported) } else { Ok(()) }
        };
        let ownership = self.ownership;
        let told = ownership.map_or("none", Ownership::name).to_owned();
        let told = [("ObjectOwnership", told)];
        let by = permit.audit_with(Action::PutBucketOwnershipControls, &bucket.name, &told);
        Ok(service.metadata.set_object_ownership(bucket, ownership, &by, decide).await?)
    }
}
