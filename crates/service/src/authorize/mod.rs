//! The one choke point: only this file makes a [`Permit`].

mod granted;
mod need;
mod rule;

use std::marker::PhantomData;

use model::{
    Condition,
    acl::WantedAcl,
    names::BucketName,
    policy::{Action, Context, Decision, Resource, evaluate},
    records::{Bucket, Initiator, Version},
};

pub use self::need::Need;
use self::rule::{Asked, DependsOn, Found, Lists, Ruling, decide, explain, rule};
pub(crate) use self::{
    granted::{Granted, imagine_iam, not_authorized},
    rule::imagine,
};
use crate::{
    Caller, Error, Operation, Result, Service, acls,
    explain::{Asker, Explanation},
    objects::Target,
    uploads::UploadTarget,
};

/// The right to run one operation `O`, once.
///
/// ```compile_fail
/// // A permit cannot be made outside this file:
/// use service::{Permit, buckets::StatBucket};
/// let permit = Permit::<StatBucket> {
///     caller: todo!(), buckets: vec![], asked: vec![], operation: todo!(),
/// };
/// ```
pub struct Permit<'c, O: ?Sized> {
    caller: &'c Caller,
    buckets: Vec<Found>,
    asked: Vec<Asked>,
    operation: PhantomData<fn() -> Box<O>>,
}

impl<O: ?Sized> Permit<'_, O> {
    pub fn caller(&self) -> &Caller {
        self.caller
    }

    /// The bucket of this name the permit was given for.
    ///
    /// # Errors
    /// [`Condition::NoSuchBucket`] when the operation did not need it.
    pub fn bucket(&self, name: &BucketName) -> Result<&(Bucket, metadata::Guard)> {
        let found = Found::named(&self.buckets, name);
        found.map(|found| &found.row).ok_or_else(|| Condition::NoSuchBucket.into())
    }

    /// Whether the bucket's policy is public; `None` if it has none.
    pub(crate) fn has_public_policy(&self, name: &BucketName) -> Option<bool> {
        let found = Found::named(&self.buckets, name)?;
        found.policy.as_ref().map(|policy| policy.public)
    }

    /// Whether the caller may learn that there is no such object: by a list of what begins so.
    pub(crate) fn allows_to_miss(&self, target: &Target) -> bool {
        let list = Need::listed(&target.bucket, &target.key);
        decide(&self.buckets, self.caller, &list).is_allowed()
    }

    /// Asks for one more object within the buckets of this permit, as batch operations do.
    ///
    /// # Errors
    /// When the object's access control list cannot be read.
    pub async fn allows_target(
        &self,
        service: &Service,
        action: Action,
        target: &Target,
    ) -> Result<bool> {
        let need = Need::of(action, target);
        Ok(rule(service, &self.buckets, self.caller, &need).await?.decision.is_allowed())
    }

    /// Asks for one more thing within the buckets of this permit, which turned out to be needed.
    ///
    /// - `version`: of the object that it is about, as it was found.
    ///
    /// # Errors
    /// [`Condition::AccessDenied`]; [`Condition::SlowDown`] if another version was asked.
    pub(crate) async fn demand(
        &self,
        service: &Service,
        need: &Need<'_>,
        version: Option<&Version>,
    ) -> Result<()> {
        let asked = demand(service, &self.buckets, self.caller, need).await?;
        match asked.zip(version) {
            Some((asked, version)) if !self.holds(&asked, version) => {
                Err(Condition::SlowDown.into())
            }
            _ => Ok(()),
        }
    }

    /// Whether one more thing is allowed with a version that was found.
    ///
    /// # Errors
    /// When the object cannot be looked at.
    pub(crate) async fn allows_version(
        &self,
        service: &Service,
        need: &Need<'_>,
        version: &Version,
    ) -> Result<bool> {
        let Ruling { decision, asked, .. } =
            rule(service, &self.buckets, self.caller, need).await?;
        let same = asked.is_none_or(|asked| self.holds(&asked, version));
        Ok(decision.is_allowed() && same)
    }

    /// Whether what a decision depended on is so in this version.
    fn holds(&self, asked: &Asked, version: &Version) -> bool {
        match &asked.depends_on {
            DependsOn::Owner(owner) => {
                let found = self.bucket(&asked.bucket);
                found.is_ok_and(|(bucket, _)| bucket.other_owner(version) == owner.as_ref())
            }
            DependsOn::Itself(said) => said.as_ref().is_some_and(|said| said.is_by(version)),
        }
    }

    /// Checks that the caller may touch this upload: whoever has no right to the bucket by being of
    /// its account touches only the uploads of its own account, or of the anonymous what those
    /// began; others too if the bucket's policy allows to abort uploads or list their parts.
    ///
    /// Source: S3 "Multipart upload API and permissions".
    ///
    /// # Errors
    /// [`Condition::AccessDenied`].
    pub(crate) fn check_upload(
        &self,
        action: Action,
        target: &UploadTarget,
        initiator: Option<&Initiator>,
    ) -> Result<()> {
        let Some(found) = Found::named(&self.buckets, &target.bucket) else {
            return Err(Condition::NoSuchBucket.into());
        };
        let (own, bucket) = (self.caller.account_id(), found.bucket());
        let theirs = initiator.is_none_or(|it| *it == Initiator::of(own));
        if theirs || own == Some(&bucket.owner) {
            return Ok(());
        }
        let resource = Resource::Object(&target.bucket, &target.key);
        if matches!(action, Action::AbortMultipartUpload | Action::ListMultipartUploadParts) {
            let layers = self.caller.standing.join(found.layers(Lists::default()));
            let context = Context::new(&self.caller.facts, action, resource);
            let context = Context { owner: Some(&bucket.owner), ..context };
            if evaluate(&layers, &context).is_allowed() {
                return Ok(());
            }
        }
        let detail = "Somebody else began the upload.";
        Err(stranger(self.caller, bucket, resource.arn(), detail))
    }

    /// Remembers why the caller may not do this, for a request that goes on without it.
    ///
    /// # Errors
    /// When the object's access control list cannot be read.
    pub async fn note_refusal(
        &self,
        service: &Service,
        action: Action,
        target: &Target,
    ) -> Result<()> {
        let need = Need::of(action, target);
        let ruling = rule(service, &self.buckets, self.caller, &need).await?;
        let why = explain(&self.buckets, self.caller, &need, &ruling);
        service.denials.keep(&self.caller.request_id, why);
        Ok(())
    }

    /// Checks that a version that is to be changed is the one that was found, and as
    /// [`Self::check_version`].
    ///
    /// # Errors
    /// [`Condition::SlowDown`].
    pub(crate) fn check_same(
        &self,
        target: &Target,
        found: &Version,
        as_it_is: &Version,
    ) -> Result<(), Condition> {
        // Another one took its place: nobody was asked about that.
        if found.id != as_it_is.id {
            return Err(Condition::SlowDown);
        }
        self.check_version(target, as_it_is)
    }

    /// Checks that a version is the one whose owner, own access control list or tags let the
    /// request through.
    ///
    /// # Errors
    /// [`Condition::SlowDown`] if another one took its place meanwhile, or if it was given another
    /// list or other tags: they were not asked.
    pub(crate) fn check_version(
        &self,
        target: &Target,
        version: &Version,
    ) -> Result<(), Condition> {
        let same = |asked: &&Asked| {
            asked.bucket == target.bucket
                && asked.key == target.key
                && asked.selector == target.version
        };
        let hold = self.asked.iter().filter(same).all(|asked| self.holds(asked, version));
        if hold { Ok(()) } else { Err(Condition::SlowDown) }
    }
}

/// Gives the permit to run `operation`, or says why not.
pub(crate) async fn authorize<'c, O: Operation>(
    service: &Service,
    caller: &'c Caller,
    operation: &O,
) -> Result<Permit<'c, O>> {
    let needs = operation.needs();
    let mut buckets: Vec<Found> = Vec::new();
    for need in &needs {
        let (Resource::Bucket(name) | Resource::Object(name, _)) = need.resource else { continue };
        if Found::named(&buckets, name).is_none() {
            let found = Found::find(service, caller, name).await?;
            service.check_referer(found.bucket(), &caller.facts).await?;
            buckets.push(found);
        }
        let bucket = Found::named(&buckets, name).map(Found::bucket);
        let expected =
            if need.source { &caller.expected_source_owner } else { &caller.expected_owner };
        if let (Some(bucket), Some(expected)) = (bucket, expected)
            && bucket.owner.as_str() != expected
        {
            return Err(not_expected(caller, bucket));
        }
    }
    let mut asked = Vec::new();
    for need in &needs {
        asked.extend(demand(service, &buckets, caller, need).await?);
    }
    Ok(Permit { caller, buckets, asked, operation: PhantomData })
}

/// Checks that one thing is allowed; the version that was asked comes back, if one was.
async fn demand(
    service: &Service,
    buckets: &[Found],
    caller: &Caller,
    need: &Need<'_>,
) -> Result<Option<Asked>> {
    let ruling = rule(service, buckets, caller, need).await?;
    let allowed = match ruling.decision {
        Decision::Allowed(..) => true,
        Decision::Denied(..) => false,
        Decision::NotAllowed(_) => is_gift(service, buckets, need).await?,
    };
    if allowed {
        return Ok(ruling.asked);
    }
    let why = explain(buckets, caller, need, &ruling);
    Err(Error::from(Condition::AccessDenied).because(why))
}

/// Whether a list that comes with an object gives nothing to anybody but the bucket's owner: that
/// takes no more than the right to write the object, as with `bucket-owner-full-control`.
///
/// Source: S3 "Policy examples for ACLs".
async fn is_gift(service: &Service, buckets: &[Found], need: &Need<'_>) -> Result<bool> {
    let (Some(WantedAcl::Grants { grants, .. }), Resource::Object(name, _)) =
        (need.list, need.resource)
    else {
        return Ok(false);
    };
    let Some(found) = Found::named(buckets, name) else { return Ok(false) };
    let owner = service.owner(found.bucket()).await?;
    Ok(grants.iter().all(|(named, _)| acls::is_named(&owner, named)))
}

/// The bucket belongs to somebody else than the request says.
fn not_expected(caller: &Caller, bucket: &Bucket) -> Error {
    let resource = format!("arn:aws:s3:::{}", bucket.name);
    stranger(caller, bucket, resource, "The request expects another bucket owner.")
}

/// Refuses what no policy has a say in.
///
/// - `detail`: told to whoever asks for the reason, not to whoever is refused.
fn stranger(caller: &Caller, bucket: &Bucket, resource: String, detail: &str) -> Error {
    let why = Error::new(Condition::AccessDenied, detail);
    let told = Explanation::refused(Asker::of(caller), &why, caller.facts.now_ms);
    let (owner, resource) = (Some(bucket.owner.clone()), Some(resource));
    Error::from(Condition::AccessDenied).because(Explanation { owner, resource, ..told })
}
