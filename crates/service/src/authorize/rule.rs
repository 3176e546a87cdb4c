//! What a need comes to, over all policies and lists in force.

use std::sync::Arc;

use model::{
    Condition,
    acl::{self, Acl, Of},
    names::{AccountId, BucketName, ObjectKey, VersionId, VersionSelector},
    policy::{
        Action, Context, Decision, Facts, Layer, Layers, Resource, Wish, evaluate, might_allow,
    },
    records::{AccessBlock, Bucket, Version},
    tags::{Tag, Tags},
};

use super::Need;
use crate::{
    Caller, Error, Result, Service,
    explain::{Explanation, Question},
    policies::Policy,
};

/// A bucket as it was found.
pub(super) struct Found {
    /// With its version: every commit expects the one it writes to.
    pub row: (Bucket, metadata::Guard),
    pub policy: Option<Arc<Policy>>,
    /// What the blocks of bucket and account keep from everybody else.
    blocked: AccessBlock,
}

impl Found {
    pub async fn find(service: &Service, caller: &Caller, name: &BucketName) -> Result<Self> {
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

    pub fn bucket(&self) -> &Bucket {
        &self.row.0
    }

    pub fn named<'f>(all: &'f [Self], name: &BucketName) -> Option<&'f Self> {
        all.iter().find(|found| found.bucket().name == *name)
    }

    /// Whether access control lists that make public count.
    fn lets_public_acls(&self) -> bool {
        !self.blocked.ignore_public_acls
    }

    pub fn layers(&self, lists: Lists) -> Layers<'_> {
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
pub(super) struct Lists {
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
pub(super) struct Ruling {
    pub decision: Decision,
    lists: Lists,
    /// The version that was looked at, if it mattered.
    pub asked: Option<Asked>,
    /// The other account that owns it.
    object_owner: Option<AccountId>,
    /// Its tags, if a statement asks for them.
    object_tags: Option<Vec<Tag>>,
}

impl Ruling {
    fn of(decision: Decision) -> Self {
        let lists = Lists::default();
        Self { decision, lists, asked: None, object_owner: None, object_tags: None }
    }
}

/// A version that a decision depended on.
pub(super) struct Asked {
    pub bucket: BucketName,
    pub key: ObjectKey,
    pub selector: VersionSelector,
    pub depends_on: DependsOn,
}

/// What of a version mattered.
pub(super) enum DependsOn {
    /// Whose it is: of the bucket's owner if `None`, as is what is not there.
    Owner(Option<AccountId>),
    /// What it says itself, for its list or its tags decided; `None` where there was none.
    Itself(Option<Said>),
}

/// What a version says of who may do what with it.
pub(super) struct Said {
    id: VersionId,
    acl: Option<Acl>,
    tags: Tags,
}

impl Said {
    fn by(version: &Version) -> Self {
        Self { id: version.id, acl: version.acl.clone(), tags: version.tags.clone() }
    }

    pub fn is_by(&self, version: &Version) -> bool {
        self.id == version.id && self.acl == version.acl && self.tags == version.tags
    }
}

impl<'n> Need<'n> {
    /// Whether what is meant may belong to the caller, in a bucket of somebody else.
    fn may_be_of_an_owner(&self, buckets: &[Found], caller: &Caller) -> bool {
        let Resource::Bucket(bucket) = self.resource else { return false };
        let others = Found::named(buckets, bucket).is_some_and(|it| it.bucket().has_other_owners());
        others && self.action.is_of_object_owner() && caller.account_id().is_some()
    }

    /// The object it is about and its bucket, if it is about one.
    fn object_within<'f>(&self, buckets: &'f [Found]) -> Option<(&'f Found, &'n ObjectKey)> {
        let Resource::Object(bucket, key) = self.resource else { return None };
        Found::named(buckets, bucket).map(|found| (found, key))
    }

    /// The question, but for whose everything is.
    fn context<'c>(&self, facts: &'c Facts, object_tags: Option<&'c [Tag]>) -> Context<'c>
    where
        'n: 'c,
    {
        Context {
            version: self.version,
            object_tags,
            request_tags: self.tags,
            ..Context::new(facts, self.action, self.resource)
        }
    }

    /// Whether the tags of the object that is there may decide.
    fn depends_on_tags(&self, facts: &Facts, layers: &Layers<'_>) -> bool {
        !self.written && facts.object_tags.is_none() && layers.ask_object_tags(self.action)
    }

    /// Whether the owner of the object that is there decides, not that of the bucket.
    fn asks_object_owner(&self, bucket: &Bucket) -> bool {
        bucket.has_other_owners() && self.action.is_of_object_owner() && !self.written
    }

    /// The action by which access control lists decide.
    fn acl_action(&self) -> Action {
        if self.written { Action::PutObject } else { self.action }
    }
}

/// Decides over all policies and lists in force.
pub(super) async fn rule(
    service: &Service,
    buckets: &[Found],
    caller: &Caller,
    need: &Need<'_>,
) -> Result<Ruling> {
    let facts = &caller.facts;
    let (layers, owner, lists) = layers(buckets, facts, need);
    if need.somewhere {
        let may = owner.is_some_and(|owner| might_allow(&layers, owner, facts, need.action))
            || need.may_be_of_an_owner(buckets, caller);
        let decision = match may {
            true => Decision::Allowed(Layer::Resource, None),
            false => Decision::NotAllowed(layers.acl_kept_off.unwrap_or(Layer::Resource)),
        };
        return Ok(Ruling { lists, ..Ruling::of(decision) });
    }
    let Some((found, key)) = need.object_within(buckets) else {
        let decision = decide_over(layers, owner, caller, need, None);
        return Ok(Ruling { lists, ..Ruling::of(decision) });
    };
    let by_tags = need.depends_on_tags(facts, &caller.standing.join(layers));
    let mut looked = Looked { found, need, key, version: None, by_tags };
    if by_tags {
        looked.look(service).await?;
    }
    let decision = decide_over(layers, owner, caller, need, looked.tags());
    let ruling = Ruling {
        lists,
        asked: (by_tags && decision.is_allowed()).then(|| looked.itself()),
        object_tags: looked.tags().map(<[Tag]>::to_vec),
        ..Ruling::of(decision)
    };
    let owner_decides = need.asks_object_owner(found.bucket());
    let look = match decision {
        Decision::Allowed(..) => owner_decides,
        // Where no list lets others through nothing needs to be read.
        Decision::NotAllowed(_) => owner_decides || acl::may_let(need.acl_action()),
        Decision::Denied(..) => false,
    };
    if !look {
        return Ok(ruling);
    }
    if !by_tags {
        looked.look(service).await?;
    }
    Ok(ask_object(buckets, caller, &looked, ruling))
}

/// The object that a need is about, as it was found.
struct Looked<'l> {
    found: &'l Found,
    need: &'l Need<'l>,
    key: &'l ObjectKey,
    version: Option<Version>,
    /// Its tags have a say.
    by_tags: bool,
}

impl Looked<'_> {
    async fn look(&mut self, service: &Service) -> Result<()> {
        let bucket = self.found.bucket();
        self.version = service.metadata.version(bucket, self.key, self.need.version).await?;
        Ok(())
    }

    /// `None` is a delete marker too.
    fn object(&self) -> Option<&Version> {
        self.version.as_ref().filter(|version| version.object.is_some())
    }

    /// The tags that have a say.
    fn tags(&self) -> Option<&[Tag]> {
        self.object().filter(|_| self.by_tags).map(|version| version.tags.as_slice())
    }

    fn asked(&self, depends_on: DependsOn) -> Asked {
        Asked {
            bucket: self.found.bucket().name.clone(),
            key: self.key.clone(),
            selector: self.need.version,
            depends_on,
        }
    }

    /// That it decided itself.
    fn itself(&self) -> Asked {
        self.asked(DependsOn::Itself(self.version.as_ref().map(Said::by)))
    }

    /// That only its owner mattered, unless its tags did too.
    fn owner(&self, other: Option<&AccountId>) -> Asked {
        match self.by_tags {
            true => self.itself(),
            false => self.asked(DependsOn::Owner(other.cloned())),
        }
    }
}

/// Says why a need came to what it came to.
pub(super) fn explain(
    buckets: &[Found],
    caller: &Caller,
    need: &Need<'_>,
    ruling: &Ruling,
) -> Explanation {
    let facts = &caller.facts;
    let (mut layers, owner, _) = layers(buckets, facts, need);
    layers.acl = ruling.lists.allow;
    layers.acl_kept_off = ruling.lists.kept_off;
    let layers = caller.standing.join(layers);
    let Need { action, resource, somewhere, .. } = *need;
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
    let context = need.context(facts, ruling.object_tags.as_deref());
    let context = Context { action, resource, owner, object_owner, ..context };
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
fn ask_object(buckets: &[Found], caller: &Caller, looked: &Looked<'_>, ruling: Ruling) -> Ruling {
    let Looked { found, need, key, .. } = *looked;
    let facts = &caller.facts;
    let (bucket, action) = (found.bucket(), need.acl_action());
    let other = looked.object().filter(|_| need.asks_object_owner(bucket));
    let other = other.and_then(|version| bucket.other_owner(version));
    if other.is_none() && ruling.decision.is_allowed() {
        return Ruling { asked: Some(looked.owner(None)), ..ruling };
    }
    let lists = match looked.object() {
        Some(version) => object_says(found, version, facts, action),
        // Who may list learns that there is none.
        None if acl::is_read(action) => {
            let list = Need::listed(&bucket.name, key);
            let told = decide(buckets, caller, &list);
            let asked = told.is_allowed().then(|| looked.itself());
            let decision = if asked.is_some() { told } else { ruling.decision };
            return Ruling { decision, asked, ..ruling };
        }
        None => word_says(found, facts, action),
    };
    let lists = if ruling.lists.allow { ruling.lists } else { lists };
    let context = need.context(facts, looked.tags());
    let context = Context { owner: Some(&bucket.owner), object_owner: other, ..context };
    let decision = evaluate(&caller.standing.join(found.layers(lists)), &context);
    let asked = match decision {
        Decision::Allowed(Layer::Acl, _) => Some(looked.itself()),
        Decision::Allowed(..) => Some(looked.owner(other)),
        Decision::NotAllowed(_) | Decision::Denied(..) => None,
    };
    Ruling { decision, lists, asked, object_owner: other.cloned(), ..ruling }
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
pub(super) fn decide(buckets: &[Found], caller: &Caller, need: &Need<'_>) -> Decision {
    let (layers, owner, _) = layers(buckets, &caller.facts, need);
    decide_over(layers, owner, caller, need, None)
}

/// The same, where what the resource has is at hand.
fn decide_over(
    layers: Layers<'_>,
    owner: Option<&AccountId>,
    caller: &Caller,
    need: &Need<'_>,
    object_tags: Option<&[Tag]>,
) -> Decision {
    let context = Context { owner, ..need.context(&caller.facts, object_tags) };
    evaluate(&caller.standing.join(layers), &context)
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
