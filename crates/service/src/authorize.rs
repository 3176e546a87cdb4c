//! The one choke point: only this file makes a [`Permit`].

use std::{marker::PhantomData, sync::Arc};

use model::{
    Condition,
    acl::{self, Acl, Of, WantedAcl},
    audit::AuditEntry,
    names::{AccountId, BucketName, ObjectKey, VersionId, VersionSelector},
    policy::{
        Action, Context, Decision, Document, Facts, Layer, Layers, Resource, Wish, assume,
        evaluate, might_allow,
    },
    records::{AccessBlock, Bucket, Initiator, Version},
};

use crate::{
    Caller, Error, Operation, Result, Service, acls, audit,
    explain::{Asker, Explanation, Question},
    objects::Target,
    policies::Policy,
    uploads::UploadTarget,
};

/// A bucket as it was found.
struct Found {
    /// With its version: every commit expects the one it writes to.
    row: (Bucket, metadata::Guard),
    policy: Option<Arc<Policy>>,
    /// What the blocks of bucket and account keep from everybody else.
    blocked: AccessBlock,
}

impl Found {
    async fn find(service: &Service, caller: &Caller, name: &BucketName) -> Result<Self> {
        let found = service.bucket_with_policy(name).await?;
        let (row, policy) = found.ok_or_else(|| no_such_bucket(name))?;
        // No block binds the owner in what is its own.
        let own = caller.account_id() == Some(&row.0.owner) && !row.0.has_other_owners();
        let blocked = match own {
            true => AccessBlock::NONE,
            false => row.0.blocked().and(service.account_block(&row.0.owner).await?),
        };
        Ok(Self { row, policy, blocked })
    }

    fn bucket(&self) -> &Bucket {
        &self.row.0
    }

    fn named<'f>(all: &'f [Self], name: &BucketName) -> Option<&'f Self> {
        all.iter().find(|found| found.bucket().name == *name)
    }

    /// Whether access control lists that make public count.
    fn lets_public_acls(&self) -> bool {
        !self.blocked.ignore_public_acls
    }

    fn layers(&self, lists: Lists) -> Layers<'_> {
        let public = self.policy.as_ref().is_some_and(|policy| policy.public);
        Layers {
            acl: lists.allow,
            acl_kept_off: lists.kept_off,
            resource: self.policy.as_ref().map(|policy| &policy.document),
            restricted: self.restricts_public() && public,
            ..Layers::default()
        }
    }

    /// A public policy counts for its own account only.
    fn restricts_public(&self) -> bool {
        self.blocked.restrict_public_buckets
    }
}

/// What access control lists say to a question.
#[derive(Clone, Copy, Default)]
struct Lists {
    allow: bool,
    /// One would allow it, but for this.
    kept_off: Option<Layer>,
}

impl Lists {
    /// What a list says.
    ///
    /// - `lets`: whether it lets the caller through, with or without its public grants.
    fn of(found: &Found, acl: &Acl, lets: impl Fn(bool) -> bool) -> Self {
        let (heeded, public) = (found.bucket().heeds(acl), found.lets_public_acls());
        if heeded && lets(public) {
            return Self { allow: true, kept_off: None };
        }
        let layer = if heeded { Layer::AccessBlock } else { Layer::Ownership };
        Self { allow: false, kept_off: lets(true).then_some(layer) }
    }
}

/// What a need came to.
pub(crate) struct Ruling {
    pub decision: Decision,
    lists: Lists,
    /// The version that was looked at, if it mattered.
    asked: Option<Asked>,
    /// The other account that owns it.
    object_owner: Option<AccountId>,
}

/// One thing an operation needs to be allowed.
#[derive(Clone, Copy)]
pub struct Need<'n> {
    pub action: Action,
    pub resource: Resource<'n>,
    /// The version of the object that is named.
    pub version: VersionSelector,
    /// The resource is read as the source of a copy.
    pub source: bool,
    /// It is enough that it may be allowed for something in the bucket: what is meant is asked for
    /// one by one later.
    pub somewhere: bool,
    /// The object is written with this list by this very request: who may write it by a list may do
    /// this to it too.
    pub written: Option<&'n WantedAcl>,
}

/// A version that a decision depended on.
struct Asked {
    bucket: BucketName,
    key: ObjectKey,
    selector: VersionSelector,
    depends_on: DependsOn,
}

/// What of a version mattered.
enum DependsOn {
    /// Whose it is: of the bucket's owner if `None`, as is what is not there.
    Owner(Option<AccountId>),
    /// Which one it is, for its own list decided; `None` where there was none.
    List(Option<VersionId>),
}

impl<'n> Need<'n> {
    fn one(action: Action, resource: Resource<'n>) -> Self {
        let version = VersionSelector::Latest;
        Self { action, resource, version, source: false, somewhere: false, written: None }
    }

    pub fn service(action: Action) -> Vec<Self> {
        vec![Self::one(action, Resource::Service)]
    }

    /// A bucket that is to be made.
    pub fn new_bucket(bucket: &'n BucketName) -> Vec<Self> {
        Self::of_new_bucket(&[Action::CreateBucket], bucket)
    }

    /// Several rights to a bucket that is to be made.
    pub fn of_new_bucket(actions: &[Action], bucket: &'n BucketName) -> Vec<Self> {
        actions.iter().map(|action| Self::one(*action, Resource::New(bucket))).collect()
    }

    pub fn bucket(action: Action, bucket: &'n BucketName) -> Vec<Self> {
        vec![Self::one(action, Resource::Bucket(bucket))]
    }

    /// The list of what begins with a key.
    fn listed(bucket: &'n BucketName, key: &'n ObjectKey) -> Self {
        Self::one(Action::ListBucket, Resource::Listed(bucket, key))
    }

    pub fn object(action: Action, bucket: &'n BucketName, key: &'n ObjectKey) -> Vec<Self> {
        vec![Self::one(action, Resource::Object(bucket, key))]
    }

    /// An object, perhaps by the id of a version.
    pub fn target(action: Action, target: &'n Target) -> Vec<Self> {
        vec![Self::of(action, target)]
    }

    fn of(action: Action, target: &'n Target) -> Self {
        let need = Self::one(action, Resource::Object(&target.bucket, &target.key));
        Self { version: target.version, ..need }
    }

    /// Something in the bucket that the request names in its body.
    pub fn somewhere(action: Action, bucket: &'n BucketName) -> Vec<Self> {
        vec![Self { somewhere: true, ..Self::one(action, Resource::Bucket(bucket)) }]
    }

    /// Writing an object, perhaps with an access control list.
    pub fn write(
        bucket: &'n BucketName,
        key: &'n ObjectKey,
        acl: Option<&'n WantedAcl>,
    ) -> Vec<Self> {
        let mut needs = Self::object(Action::PutObject, bucket, key);
        if acl.is_some_and(WantedAcl::shares) {
            let need = Self::one(Action::PutObjectAcl, Resource::Object(bucket, key));
            needs.push(Self { written: acl, ..need });
        }
        needs
    }

    /// Whether the owner of the object that is there decides, not that of the bucket.
    fn asks_object_owner(&self, bucket: &Bucket) -> bool {
        bucket.has_other_owners() && self.action.is_of_object_owner() && self.written.is_none()
    }

    /// The action by which access control lists decide.
    fn acl_action(&self) -> Action {
        if self.written.is_some() { Action::PutObject } else { self.action }
    }

    /// Adds the right to read the source of a copy.
    pub fn and_source(mut needs: Vec<Self>, source: &'n Target) -> Vec<Self> {
        needs.push(Self { source: true, ..Self::of(source.read_action(), source) });
        needs
    }
}

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

    /// Checks that a version is the one whose owner or own access control list let the request
    /// through.
    ///
    /// # Errors
    /// [`Condition::SlowDown`] if another one took its place meanwhile: it was not asked.
    pub(crate) fn check_version(&self, target: &Target, version: &Version) -> Result<()> {
        let other_owner = || self.bucket(&target.bucket).map(|(it, _)| it.other_owner(version));
        let same = |asked: &&Asked| {
            asked.bucket == target.bucket
                && asked.key == target.key
                && asked.selector == target.version
        };
        let holds = |asked: &Asked| match &asked.depends_on {
            DependsOn::Owner(owner) => other_owner().is_ok_and(|it| it == owner.as_ref()),
            DependsOn::List(id) => *id == Some(version.id),
        };
        let hold = self.asked.iter().filter(same).all(holds);
        if hold { Ok(()) } else { Err(Condition::SlowDown.into()) }
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
        let ruling = rule(service, &buckets, caller, need).await?;
        let allowed = match ruling.decision {
            Decision::Allowed(..) => true,
            Decision::Denied(..) => false,
            Decision::NotAllowed(_) => is_gift(service, &buckets, need).await?,
        };
        if !allowed {
            let why = explain(&buckets, caller, need, &ruling);
            return Err(Error::from(Condition::AccessDenied).because(why));
        }
        asked.extend(ruling.asked);
    }
    Ok(Permit { caller, buckets, asked, operation: PhantomData })
}

/// Whether a list that comes with an object gives nothing to anybody but the bucket's owner: that
/// takes no more than the right to write the object, as with `bucket-owner-full-control`.
///
/// Source: S3 "Policy examples for ACLs".
async fn is_gift(service: &Service, buckets: &[Found], need: &Need<'_>) -> Result<bool> {
    let (Some(WantedAcl::Grants { grants, .. }), Resource::Object(name, _)) =
        (need.written, need.resource)
    else {
        return Ok(false);
    };
    let Some(found) = Found::named(buckets, name) else { return Ok(false) };
    let owner = service.owner(found.bucket()).await?;
    Ok(grants.iter().all(|(named, _)| acls::is_named(&owner, named)))
}

/// The right to look at or change the users, groups, roles and policies of the caller's account.
pub(crate) struct Granted<'c> {
    caller: &'c Caller,
    account: &'c AccountId,
    /// What it was given for.
    action: Action,
    arn: String,
    /// What else is to be told of a change.
    details: Vec<(&'static str, String)>,
}

impl<'c> Granted<'c> {
    /// Gives it to whoever may do `action` with the resource of this ARN.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub fn give(caller: &'c Caller, action: Action, arn: &str) -> Result<Self> {
        Self::give_with(caller, &caller.facts, action, arn)
    }

    /// As [`Self::give`], with more known of the request.
    ///
    /// # Errors
    /// `AccessDenied`.
    pub fn give_with(caller: &'c Caller, facts: &Facts, action: Action, arn: &str) -> Result<Self> {
        let account = caller.account_id().ok_or(Condition::AccessDenied)?;
        let resource = Resource::Arn(arn);
        let context = Context { owner: Some(account), ..Context::new(facts, action, resource) };
        let layers = caller.standing.join(Layers::default());
        let decision = evaluate(&layers, &context);
        if decision.is_allowed() {
            let arn = arn.to_owned();
            return Ok(Self { caller, account, action, arn, details: Vec::new() });
        }
        let why = Explanation::of(caller, &Question::plain(&context, &layers, decision));
        Err(not_authorized(facts, action, arn).because(why))
    }

    pub fn account(&self) -> &'c AccountId {
        self.account
    }

    /// Adds what the audit trail is to tell of the change: never a secret.
    pub fn telling(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.details.push((name, value.into()));
        self
    }

    /// What the audit trail tells of the change.
    pub fn audit(&self) -> AuditEntry {
        audit::entry(self.caller, &self.action.word(), &self.arn, &self.details)
    }
}

/// IAM says who may not do what.
pub(crate) fn not_authorized(facts: &Facts, action: Action, arn: &str) -> Error {
    let who = facts.principal.caller_arn().unwrap_or_else(|| "anonymous".to_owned());
    let action = action.word();
    let detail = format!("User: {who} is not authorized to perform: {action} on resource: {arn}");
    Error::new(Condition::AccessDenied, detail)
}

fn no_such_bucket(name: &BucketName) -> Error {
    Error::from(Condition::NoSuchBucket).field("BucketName", name.as_str())
}

/// Says what a question would come to, without an operation that asks it.
pub(crate) async fn imagine(
    service: &Service,
    caller: &Caller,
    action: Action,
    resource: Resource<'_>,
) -> Result<Explanation> {
    let mut buckets = Vec::new();
    if let Resource::Bucket(name) | Resource::Object(name, _) = resource {
        buckets.push(Found::find(service, caller, name).await?);
    }
    let need = Need::one(action, resource);
    let ruling = rule(service, &buckets, caller, &need).await?;
    Ok(explain(&buckets, caller, &need, &ruling))
}

/// The same of a user, group, role or managed policy of an account.
///
/// - `trust`: the policy of the role that is to be taken on.
pub(crate) fn imagine_iam(
    caller: &Caller,
    action: Action,
    (arn, owner): (&str, &AccountId),
    trust: Option<&Document>,
) -> Explanation {
    let context = Context::new(&caller.facts, action, Resource::Arn(arn));
    let context = Context { owner: Some(owner), ..context };
    let layers = caller.standing.join(Layers { resource: trust, ..Layers::default() });
    let decide = if action == Action::AssumeRole { assume } else { evaluate };
    let decision = decide(&layers, &context);
    let question = Question { decide, ..Question::plain(&context, &layers, decision) };
    Explanation::of(caller, &question)
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

/// Decides over all policies and lists in force.
async fn rule(
    service: &Service,
    buckets: &[Found],
    caller: &Caller,
    need: &Need<'_>,
) -> Result<Ruling> {
    let facts = &caller.facts;
    let (layers, owner, lists) = layers(buckets, facts, need);
    if need.somewhere {
        let may = owner.is_some_and(|owner| might_allow(&layers, owner, facts, need.action));
        let decision = match may {
            true => Decision::Allowed(Layer::Resource, None),
            false => Decision::NotAllowed(layers.acl_kept_off.unwrap_or(Layer::Resource)),
        };
        return Ok(Ruling { decision, lists, asked: None, object_owner: None });
    }
    let decision = decide_over(layers, owner, caller, need);
    let ruling = Ruling { decision, lists, asked: None, object_owner: None };
    let Resource::Object(name, key) = need.resource else { return Ok(ruling) };
    let Some(found) = Found::named(buckets, name) else { return Ok(ruling) };
    let owner_decides = need.asks_object_owner(found.bucket());
    let look = match decision {
        Decision::Allowed(..) => owner_decides,
        // Where no list lets others through nothing needs to be read.
        Decision::NotAllowed(_) => owner_decides || acl::may_let(need.acl_action()),
        Decision::Denied(..) => false,
    };
    if look {
        ask_object(service, buckets, caller, (found, need, key), ruling).await
    } else {
        Ok(ruling)
    }
}

/// Says why a need came to what it came to.
fn explain(buckets: &[Found], caller: &Caller, need: &Need<'_>, ruling: &Ruling) -> Explanation {
    let facts = &caller.facts;
    let (mut layers, owner, _) = layers(buckets, facts, need);
    layers.acl = ruling.lists.allow;
    layers.acl_kept_off = ruling.lists.kept_off;
    let layers = caller.standing.join(layers);
    let Need { action, resource, version, somewhere, .. } = *need;
    let any = ObjectKey::parse("*").ok();
    let (resource, found) = match (resource, &any) {
        (Resource::Bucket(name), Some(any)) if somewhere => {
            (Resource::Object(name, any), Found::named(buckets, name))
        }
        (Resource::Bucket(name) | Resource::Object(name, _), _) => {
            (resource, Found::named(buckets, name))
        }
        _ => (resource, None),
    };
    let no_public = found.is_some_and(Found::restricts_public);
    let object_owner = ruling.object_owner.as_ref();
    let context = Context { facts, action, resource, version, owner, object_owner };
    let question = Question {
        context: &context,
        layers: &layers,
        decision: ruling.decision,
        wish: Wish { anywhere: somewhere, no_public },
        decide: evaluate,
    };
    Explanation::of(caller, &question)
}

/// Looks at the object itself: whose it is, and what its access control list says.
///
/// - `ruling`: what all else came to, as if the object were the bucket owner's.
async fn ask_object(
    service: &Service,
    buckets: &[Found],
    caller: &Caller,
    (found, need, key): (&Found, &Need<'_>, &ObjectKey),
    ruling: Ruling,
) -> Result<Ruling> {
    let facts = &caller.facts;
    let (bucket, action) = (found.bucket(), need.acl_action());
    let version = service.metadata.version(bucket, key, need.version).await?;
    let object = version.as_ref().filter(|version| version.object.is_some());
    let asked = |depends_on| Asked {
        bucket: bucket.name.clone(),
        key: key.clone(),
        selector: need.version,
        depends_on,
    };
    let by_list = || asked(DependsOn::List(version.as_ref().map(|version| version.id)));
    let other = object.filter(|_| need.asks_object_owner(bucket));
    let other = other.and_then(|version| bucket.other_owner(version));
    if other.is_none() && ruling.decision.is_allowed() {
        return Ok(Ruling { asked: Some(asked(DependsOn::Owner(None))), ..ruling });
    }
    let lists = match object {
        Some(version) => object_says(found, version, facts, action),
        // Who may list learns that there is none.
        None if acl::is_read(action) => {
            let list = Need::listed(&bucket.name, key);
            let told = decide(buckets, caller, &list);
            let asked = told.is_allowed().then(by_list);
            let decision = if asked.is_some() { told } else { ruling.decision };
            return Ok(Ruling { decision, asked, ..ruling });
        }
        None => word_says(found, facts, action),
    };
    let lists = if ruling.lists.allow { ruling.lists } else { lists };
    let Need { action, resource, version: selector, .. } = *need;
    let context = Context::new(facts, action, resource);
    let owner = Some(&bucket.owner);
    let context = Context { version: selector, owner, object_owner: other, ..context };
    let layers = caller.standing.join(found.layers(lists));
    let decision = evaluate(&layers, &context);
    let object_owner = other.cloned();
    let asked = match decision {
        Decision::Allowed(Layer::Acl, _) => Some(by_list()),
        Decision::Allowed(..) => Some(asked(DependsOn::Owner(object_owner.clone()))),
        Decision::NotAllowed(_) | Decision::Denied(..) => None,
    };
    Ok(Ruling { decision, lists, asked, object_owner })
}

/// The bucket's list, if it is one word, which counts for its objects too.
fn bucket_word(bucket: &Bucket) -> Option<&Acl> {
    bucket.acl.as_ref().filter(|acl| matches!(acl, Acl::Word(_)))
}

/// What the bucket's word says of its objects.
fn word_says(found: &Found, facts: &Facts, action: Action) -> Lists {
    let lets = |acl: &Acl, public| acl.lets(facts, action, Of::Object, public);
    let word = bucket_word(found.bucket());
    word.map(|acl| Lists::of(found, acl, |public| lets(acl, public))).unwrap_or_default()
}

fn object_says(found: &Found, version: &Version, facts: &Facts, action: Action) -> Lists {
    // A bucket's list that is no word says nothing of reading its objects.
    let Some(acl) = &version.acl else { return word_says(found, facts, action) };
    Lists::of(found, acl, |public| acl.lets(facts, action, Of::Object, public))
}

/// Decides over all policies in force.
fn decide(buckets: &[Found], caller: &Caller, need: &Need<'_>) -> Decision {
    let (layers, owner, _) = layers(buckets, &caller.facts, need);
    decide_over(layers, owner, caller, need)
}

/// The same, where what the resource has is at hand.
fn decide_over(
    layers: Layers<'_>,
    owner: Option<&AccountId>,
    caller: &Caller,
    need: &Need<'_>,
) -> Decision {
    let Need { action, resource, version, .. } = *need;
    let context = Context::new(&caller.facts, action, resource);
    evaluate(&caller.standing.join(layers), &Context { version, owner, ..context })
}

/// The policies that have a say over a resource, and the account it belongs to.
fn layers<'b>(
    buckets: &'b [Found],
    facts: &Facts,
    need: &Need<'_>,
) -> (Layers<'b>, Option<&'b AccountId>, Lists) {
    let nothing = || (Layers::default(), None, Lists::default());
    let (Resource::Bucket(name) | Resource::Listed(name, _) | Resource::Object(name, _)) =
        need.resource
    else {
        return nothing();
    };
    let Some(found) = Found::named(buckets, name) else { return nothing() };
    let bucket = found.bucket();
    let action = need.acl_action();
    let lists = bucket.acl.as_ref().map_or_else(Lists::default, |acl| {
        Lists::of(found, acl, |public| {
            acl.lets(facts, action, Of::Bucket, public)
                || need.somewhere && acl.lets(facts, action, Of::Object, public)
        })
    });
    (found.layers(lists), Some(&bucket.owner), lists)
}
