//! The decision: an explicit deny wins, then what allows must be allowed by every layer there is.
//!
//! Source: "Policy evaluation logic" and "Cross-account policy evaluation logic" of IAM.

use std::{cell::OnceCell, sync::Arc};

use super::{
    Action, Context, Effect, Facts, Principal, Resource,
    document::{Document, path_of},
    index::Asking,
    principals::Naming,
};
use crate::names::AccountId;

/// Every policy that has a say. An account itself needs none: it may do everything in its own.
#[derive(Clone, Copy, Debug, Default)]
pub struct Layers<'l> {
    /// Of the user or role and of the groups it is in: any may allow.
    pub identity: &'l [Arc<Document>],
    /// The most a user or role may be allowed by its own policies.
    pub boundary: Option<&'l Document>,
    /// The most a session may do: any may allow, none if there are none.
    pub session: Option<&'l [Arc<Document>]>,
    /// The policy of the bucket.
    pub resource: Option<&'l Document>,
    /// That policy is public, and the bucket lets such a policy count for its own account only.
    pub restricted: bool,
    /// An access control list lets the caller do this.
    pub acl: bool,
    /// One would, but for this: the object ownership or the public access block.
    pub acl_kept_off: Option<Layer>,
}

impl Layers<'_> {
    /// Whether what is decided about an action may depend on the tags of the object.
    pub fn ask_object_tags(&self, action: Action) -> bool {
        let ask = |document: &Document| document.asks_object_tags();
        let several = |documents: &[Arc<Document>]| documents.iter().any(|it| ask(it));
        action.sees_object_tags()
            && (self.resource.is_some_and(ask)
                || several(self.identity)
                || self.boundary.is_some_and(ask)
                || self.session.is_some_and(several))
    }
}

/// Where a decision comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// The account's right to all that is its own.
    Account,
    Identity,
    Boundary,
    Session,
    Resource,
    /// An access control list.
    Acl,
    /// The object ownership of the bucket, where an access control list would allow it.
    Ownership,
    /// Another account than the bucket's owns the object, and its list does not allow it.
    ObjectOwner,
    /// The public access block, where a public policy or access control list would allow it.
    AccessBlock,
}

/// Whether the trust policy of a role, which stands in `layers.resource`, and the caller's own
/// policies let it be taken on. The role's own account too needs the trust policy's leave.
pub fn assume(layers: &Layers<'_>, context: &Context<'_>) -> Decision {
    let trusts = layers
        .resource
        .is_some_and(|trust| ask(trust, context, &OnceCell::new(), Naming::Itself).allow.is_some());
    match evaluate(layers, context) {
        Decision::Allowed(..) if !trusts => Decision::NotAllowed(Layer::Resource),
        decision => decision,
    }
}

/// Whether the trust policy of a role lets a bearer of a token of another identity provider take it
/// on. That provider must be named: a statement for everybody does not mean strangers.
pub fn trusts_web_identity(trust: &Document, context: &Context<'_>) -> bool {
    let said = ask(trust, context, &OnceCell::new(), Naming::Itself);
    said.deny.is_none() && said.allow.is_some_and(|(naming, _)| naming == Naming::Itself)
}

/// What the layers lead to, and which of them decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    Allowed(Layer, Option<Place>),
    /// A statement forbids it.
    Denied(Layer, Place),
    /// No statement of this layer allows it: also a no.
    NotAllowed(Layer),
}

/// A statement: the document within its layer, and its place in that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub document: u16,
    pub statement: u16,
}

impl Decision {
    pub const fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed(..))
    }

    /// The layer that decided.
    pub const fn layer(self) -> Layer {
        match self {
            Self::Allowed(layer, _) | Self::Denied(layer, _) | Self::NotAllowed(layer) => layer,
        }
    }

    /// The statement that decided.
    pub const fn place(self) -> Option<Place> {
        match self {
            Self::Allowed(_, place) => place,
            Self::Denied(_, place) => Some(place),
            Self::NotAllowed(_) => None,
        }
    }
}

impl Layer {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Account => "the account",
            Self::Identity => "the policies of the user or role",
            Self::Boundary => "the permission boundary",
            Self::Session => "the session policy",
            Self::Resource => "the bucket policy",
            Self::Acl => "an access control list",
            Self::Ownership => "the object ownership of the bucket",
            Self::ObjectOwner => "the owner of the object",
            Self::AccessBlock => "the public access block",
        }
    }

    /// Whether it belongs to what is asked for, not to whoever asks.
    pub const fn is_of_resource(self) -> bool {
        match self {
            Self::Resource
            | Self::Acl
            | Self::Ownership
            | Self::ObjectOwner
            | Self::AccessBlock => true,
            Self::Account | Self::Identity | Self::Boundary | Self::Session => false,
        }
    }
}

/// What one document says to a question.
#[derive(Clone, Copy, Default)]
struct Said {
    deny: Option<u16>,
    /// The statement that allows it to the principal most exactly named.
    allow: Option<(Naming, u16)>,
}

/// - `enough`: an allow to a principal named so exactly; nothing would change by a better one.
fn ask(
    document: &Document,
    context: &Context<'_>,
    path: &OnceCell<String>,
    enough: Naming,
) -> Said {
    let mut said = Said::default();
    let path_asked = match context.resource {
        Resource::Service | Resource::Arn(_) => None,
        resource => Some(path.get_or_init(|| path_of(resource)).as_str()),
    };
    let mut asking = Asking::new(context, path);
    for (entry, statement) in document.about(context.action, Effect::Deny, path_asked) {
        if asking.ask(entry, statement) != Naming::None {
            return Said { deny: Some(entry.place), allow: None };
        }
    }
    let mut best = Naming::None;
    if best >= enough {
        return said;
    }
    for (entry, statement) in document.about(context.action, Effect::Allow, path_asked) {
        let naming = asking.ask(entry, statement);
        if naming > best {
            (best, said.allow) = (naming, Some((naming, entry.place)));
        }
        if best >= enough {
            break;
        }
    }
    said
}

/// What all documents of a layer say together.
fn ask_all<'d>(
    documents: impl Iterator<Item = &'d Document>,
    context: &Context<'_>,
    path: &OnceCell<String>,
    layer: Layer,
) -> Result<Option<Place>, Decision> {
    let mut allowed = None;
    for (document, number) in documents.zip(0..) {
        let place = |statement| Place { document: number, statement };
        // After one that allows only denials count.
        let enough = if allowed.is_some() { Naming::None } else { Naming::Itself };
        let said = ask(document, context, path, enough);
        if let Some(statement) = said.deny {
            return Err(Decision::Denied(layer, place(statement)));
        }
        allowed = allowed.or(said.allow.map(|(_, statement)| place(statement)));
    }
    Ok(allowed)
}

/// Decides one question.
pub fn evaluate(layers: &Layers<'_>, context: &Context<'_>) -> Decision {
    let store = matches!(context.action, Action::AdminAccounts | Action::AdminStore);
    if store && !context.facts.root {
        // What concerns the whole store only the root account itself may.
        return Decision::NotAllowed(Layer::Account);
    }
    decide(layers, context).unwrap_or_else(|denied| denied)
}

/// For background work, and for another provider's users: only trust policies are asked of these.
const NO_ACCOUNT: Decision = Decision::NotAllowed(Layer::Account);

fn decide(layers: &Layers<'_>, context: &Context<'_>) -> Result<Decision, Decision> {
    let principal = &context.facts.principal;
    let path = &OnceCell::new();
    let own = is_own(context);
    let enough = match principal {
        // The bucket's policy cannot give away what is not the bucket owner's: only denials count.
        _ if context.object_owner.is_some() => Naming::None,
        // It is allowed anyway: only denials count.
        Principal::Account(_) if own => Naming::None,
        Principal::Anonymous => Naming::Everybody,
        _ => Naming::Itself,
    };
    let mut resource = layers.resource.map(|document| ask(document, context, path, enough));
    let rescues = keeps_own_policy(principal, context);
    if let Some(statement) = resource.and_then(|said| said.deny) {
        if !rescues {
            let place = Place { document: 0, statement };
            return Err(Decision::Denied(Layer::Resource, place));
        }
        resource = None;
    }
    let mut granted = resource.and_then(|said| said.allow);
    let missing = context.object_owner.map_or(Layer::Resource, |_| Layer::ObjectOwner);
    let mut nobody = Decision::NotAllowed(layers.acl_kept_off.unwrap_or(missing));
    if layers.restricted && !own && granted.take().is_some() {
        nobody = Decision::NotAllowed(Layer::AccessBlock);
    }
    let granted_place = granted.map(|(_, statement)| Place { document: 0, statement });
    let naming = granted.map_or(Naming::None, |(naming, _)| naming);
    let by_resource = Decision::Allowed(Layer::Resource, granted_place);
    let by_acl = Decision::Allowed(Layer::Acl, None);
    let (identity, layer) = match principal {
        Principal::System(_) | Principal::Web(_) => return Ok(NO_ACCOUNT),
        Principal::Anonymous if granted.is_some() => return Ok(by_resource),
        Principal::Anonymous if layers.acl => return Ok(by_acl),
        Principal::Anonymous => return Ok(nobody),
        Principal::Account(_) => (Some(None), Layer::Account),
        Principal::User { .. } | Principal::Session { .. } | Principal::Federated { .. } => {
            let documents = layers.identity.iter().map(Arc::as_ref);
            let said = ask_all(documents, context, path, Layer::Identity)?;
            (said.map(Some), Layer::Identity)
        }
    };
    let limit = limit(layers, context, path)?;
    if own {
        // Whom the bucket's policy names itself, its own limits do not bind.
        if naming == Naming::Itself {
            return Ok(by_resource);
        }
        let allowed = match identity {
            Some(place) => Some(Decision::Allowed(layer, place)),
            None => (naming > Naming::Account).then_some(by_resource),
        };
        return Ok(match (allowed, limit) {
            (Some(_), Some(limit)) => limit,
            (Some(allowed), None) => allowed,
            (None, _) => Decision::NotAllowed(layer),
        });
    }
    Ok(match (granted, identity, limit) {
        (None, ..) if !layers.acl => nobody,
        (_, None, _) => Decision::NotAllowed(layer),
        (_, _, Some(limit)) => limit,
        (Some(_), Some(_), None) => by_resource,
        (None, Some(_), None) => by_acl,
    })
}

/// Whether what is asked for belongs to the principal's account.
fn is_own(context: &Context<'_>) -> bool {
    let account = context.facts.principal.account();
    match context.resource {
        // At the account's own level nobody else has a say.
        Resource::Service | Resource::New(_) => true,
        Resource::Bucket(_) | Resource::Listed(..) | Resource::Object(..) | Resource::Arn(_) => {
            account.is_some() && context.object_owner.or(context.owner) == account
        }
    }
}

/// The layer that restricts the principal and does not allow this, if there is one.
fn limit(
    layers: &Layers<'_>,
    context: &Context<'_>,
    path: &OnceCell<String>,
) -> Result<Option<Decision>, Decision> {
    let boundary = ask_all(layers.boundary.into_iter(), context, path, Layer::Boundary)?;
    let session = layers.session.unwrap_or_default().iter().map(Arc::as_ref);
    let session = ask_all(session, context, path, Layer::Session)?;
    Ok(if layers.boundary.is_some() && boundary.is_none() {
        Some(Decision::NotAllowed(Layer::Boundary))
    } else if layers.session.is_some() && session.is_none() {
        Some(Decision::NotAllowed(Layer::Session))
    } else {
        None
    })
}

/// The owner itself always reaches the policy of its bucket, so that nobody is locked out.
fn keeps_own_policy(principal: &Principal, context: &Context<'_>) -> bool {
    use Action::{DeleteBucketPolicy, GetBucketPolicy, PutBucketPolicy};
    let about_policy =
        matches!(context.action, DeleteBucketPolicy | GetBucketPolicy | PutBucketPolicy);
    let owner = |account: &AccountId| context.owner == Some(account);
    about_policy && matches!(principal, Principal::Account(account) if owner(account))
}

/// Whether a bucket's policy might allow the principal this action somewhere in it: for requests
/// that name what they are about in their body.
pub fn might_allow(layers: &Layers<'_>, owner: &AccountId, facts: &Facts, action: Action) -> bool {
    match facts.principal.account() {
        _ if matches!(facts.principal, Principal::System(_) | Principal::Web(_)) => false,
        Some(account) if account == owner => true,
        _ if layers.acl => true,
        _ if layers.restricted => false,
        _ => layers.resource.is_some_and(|document| {
            document
                .about(action, Effect::Allow, None)
                .any(|(_, statement)| statement.principals.names(facts) != Naming::None)
        }),
    }
}

impl<'c> Context<'c> {
    /// A question about the latest version.
    pub fn new(facts: &'c Facts, action: Action, resource: Resource<'c>) -> Self {
        let version = crate::names::VersionSelector::Latest;
        Self {
            facts,
            action,
            resource,
            version,
            owner: None,
            object_owner: None,
            object_tags: None,
            request_tags: None,
        }
    }
}
