//! Why a question was decided as it was, and what would change that: over the statements and by the
//! decision that every request meets.

use std::{cell::OnceCell, fmt::Write as _, sync::Arc};

use super::{
    Action, Context, Decision, Document, Effect, Kind, Language, Layer, Layers, Level, Place,
    Principal, Resource, Statement, Vocabulary, document::Fit, json::quoted, keys::Key,
};

/// A statement about the action, the resource and the principal of a question.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'l> {
    pub layer: Layer,
    pub place: Place,
    pub statement: &'l Statement,
    /// The condition that keeps it from applying.
    pub unmet: Option<&'l Key>,
}

/// A key that conditions and variables asked for, and what the request answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub layer: Layer,
    pub key: String,
    /// `None` if it is known to few.
    pub values: Option<Vec<String>>,
}

/// A statement that would help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Where it must be added.
    pub layer: Layer,
    /// JSON.
    pub statement: String,
    /// A whole policy that holds it alone.
    pub document: String,
}

/// What would have to be granted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remedy {
    pub grants: Vec<Grant>,
    /// What stands in the way then still: no grant helps against that.
    pub obstacle: Option<Decision>,
}

/// How a question for a remedy differs from the question itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// For any key of the bucket.
    pub anywhere: bool,
    /// A public policy would not count.
    pub no_public: bool,
}

/// The most keys that are told.
const ASKED_MAX: usize = 100;

/// The most layers that one after the other may be missing a grant.
const GRANTS_MAX: usize = 4;

/// All documents that have a say.
fn documents<'l>(layers: &Layers<'l>) -> impl Iterator<Item = (Layer, u16, &'l Document)> {
    let one = |layer, document: Option<&'l Document>| {
        document.into_iter().map(move |document| (layer, 0, document))
    };
    let several = |layer, documents: &'l [Arc<Document>]| {
        let numbered = documents.iter().zip(0..);
        numbered.map(move |(document, number)| (layer, number, document.as_ref()))
    };
    one(Layer::Resource, layers.resource)
        .chain(several(Layer::Identity, layers.identity))
        .chain(one(Layer::Boundary, layers.boundary))
        .chain(several(Layer::Session, layers.session.unwrap_or_default()))
}

/// The statements that apply to a question, and those that only a condition keeps from it.
pub fn seen<'l>(layers: &Layers<'l>, context: &Context<'_>) -> Vec<Seen<'l>> {
    let path = &OnceCell::new();
    let mut seen = Vec::new();
    for (layer, document, policy) in documents(layers) {
        let about = |effect| policy.about(context.action, effect, None);
        let mut statements: Vec<_> = about(Effect::Deny).chain(about(Effect::Allow)).collect();
        if layer == Layer::Resource && context.object_owner.is_some() {
            // It may only deny what is not the bucket owner's.
            statements.retain(|(_, statement)| statement.effect == Effect::Deny);
        }
        statements.sort_by_key(|(entry, _)| entry.place);
        for (entry, statement) in statements {
            let unmet = match statement.fit(context, path) {
                Fit::OtherPrincipal | Fit::OtherResource => continue,
                Fit::Unmet(condition) => Some(&condition.key),
                Fit::Applies(_) => None,
            };
            let place = Place { document, statement: entry.place };
            seen.push(Seen { layer, place, statement, unmet });
        }
    }
    seen
}

/// What these statements asked of the request, at most [`ASKED_MAX`] keys.
pub fn asked_of(seen: &[Seen<'_>], context: &Context<'_>) -> Vec<Asked> {
    let mut asked: Vec<Asked> = Vec::new();
    for Seen { layer, statement, .. } in seen {
        for key in statement.asks() {
            if asked.len() >= ASKED_MAX {
                return asked;
            }
            let name = key.name();
            let same =
                |it: &Asked| it.key == name && it.layer.is_of_resource() == layer.is_of_resource();
            if asked.iter().any(same) {
                continue;
            }
            let values = context.values(key);
            let values = values.as_slice().iter();
            let values = values.map(|value| key.shown(value.text().into_owned())).collect();
            let values = if key.is_secret() { None } else { Some(values) };
            asked.push(Asked { layer: *layer, key: name.into_owned(), values });
        }
    }
    asked
}

/// The smallest grants that let a question through.
///
/// Each is tried out: `decide` is asked again with it, until it allows the question or only
/// something stands in the way that no grant changes.
pub fn remedy(
    layers: &Layers<'_>,
    context: &Context<'_>,
    wish: Wish,
    decide: fn(&Layers<'_>, &Context<'_>) -> Decision,
) -> Remedy {
    let language = layers.resource.map(|document| document.language);
    let mut identity = layers.identity.to_vec();
    // The rest of a layer that allowed nothing does not matter: every denial is found at once.
    let (mut boundary, mut resource) = (None, None);
    let mut remedy = Remedy::default();
    for _ in 0..=GRANTS_MAX {
        let layers = Layers {
            identity: &identity,
            boundary: boundary.as_ref().or(layers.boundary),
            resource: resource.as_ref().or(layers.resource),
            ..*layers
        };
        let decision = decide(&layers, context);
        let layer = match decision {
            Decision::Allowed(..) => return remedy,
            Decision::NotAllowed(layer) => layer,
            Decision::Denied(..) => return Remedy { obstacle: Some(decision), ..remedy },
        };
        let public = matches!(context.facts.principal, Principal::Anonymous) && wish.no_public;
        if public {
            let obstacle = Some(Decision::NotAllowed(Layer::AccessBlock));
            return Remedy { obstacle, ..remedy };
        }
        let Some((grant, added)) = granted(layer, context, wish, language) else {
            return Remedy { obstacle: Some(decision), ..remedy };
        };
        match grant.layer {
            Layer::Identity => identity.push(Arc::new(added)),
            Layer::Boundary => boundary = Some(added),
            _ => resource = Some(added),
        }
        remedy.grants.push(grant);
    }
    remedy
}

/// The grant that a layer is missing, and its policy compiled; `None` if it takes none.
///
/// - `language`: of the policy of the bucket, if it has one.
fn granted(
    layer: Layer,
    context: &Context<'_>,
    wish: Wish,
    language: Option<Language>,
) -> Option<(Grant, Document)> {
    let action = context.action;
    let trust = action.level() == Level::Sts;
    let (layer, kind) = match layer {
        Layer::Identity | Layer::Boundary => (layer, Kind::Identity),
        Layer::Resource if trust => (layer, Kind::Trust),
        // Where lists do not count a policy does.
        Layer::Resource | Layer::Ownership => (Layer::Resource, Kind::Bucket),
        Layer::Account | Layer::Session | Layer::Acl | Layer::ObjectOwner | Layer::AccessBlock => {
            return None;
        }
    };
    // Actions that S3 has no word for can only be named in the language of OSS, and a statement is
    // to fit into the policy there is.
    let fits = kind == Kind::Bucket && language == Some(Language::Oss);
    let oss = !action.oss_name().is_empty() && (action.s3_name().is_empty() || fits);
    let mut statement = String::from(r#"{"Effect": "Allow""#);
    if kind != Kind::Identity {
        let principal = principal(&context.facts.principal, oss)?;
        let _ = write!(statement, r#", "Principal": {principal}"#);
    }
    let word = action.word_in(if oss { Vocabulary::Oss } else { Vocabulary::S3 });
    let _ = write!(statement, r#", "Action": "{word}""#);
    if kind != Kind::Trust {
        let resource = quoted(&resource(context.resource, wish, oss));
        let _ = write!(statement, r#", "Resource": {resource}"#);
    }
    statement.push('}');
    let version = if oss { "1" } else { "2012-10-17" };
    let document = format!(r#"{{"Version": "{version}", "Statement": [{statement}]}}"#);
    let compiled = Document::parse(&document, kind).ok()?;
    Some((Grant { layer, statement, document }, compiled))
}

/// As statements name it. Whom none can name is meant with its account.
fn principal(principal: &Principal, oss: bool) -> Option<String> {
    let account = principal.account();
    Some(match principal {
        Principal::System(_) => return None,
        Principal::Anonymous if oss => r#"["*"]"#.to_owned(),
        Principal::Anonymous => r#""*""#.to_owned(),
        Principal::User { account, name, .. } if oss => {
            format!("[{}]", quoted(&format!("{account}:{name}")))
        }
        Principal::Session { account, role, .. } if oss => {
            let role = role.rsplit('/').next().unwrap_or_default();
            format!("[{}]", quoted(&format!("arn:sts::{account}:assumed-role/{role}/*")))
        }
        _ if oss => format!("[{}]", quoted(account?.as_str())),
        Principal::Federated { account, .. } => {
            format!(r#"{{"AWS": {}}}"#, quoted(&format!("arn:aws:iam::{account}:root")))
        }
        other => format!(r#"{{"AWS": {}}}"#, quoted(&other.arn()?)),
    })
}

/// As statements name this resource and no other.
fn resource(resource: Resource<'_>, wish: Wish, oss: bool) -> String {
    let prefix = if oss { "acs:oss:*:*:" } else { "arn:aws:s3:::" };
    match resource {
        Resource::Service => "*".to_owned(),
        Resource::Arn(arn) => arn.to_owned(),
        Resource::New(bucket) | Resource::Bucket(bucket) | Resource::Listed(bucket, _) => {
            format!("{prefix}{bucket}")
        }
        Resource::Object(bucket, _) if wish.anywhere => format!("{prefix}{bucket}/*"),
        // The language of OSS has no way to say that a star is none.
        Resource::Object(bucket, key) if oss => format!("{prefix}{bucket}/{key}"),
        Resource::Object(bucket, key) => {
            let mut text = format!("{prefix}{bucket}/");
            for letter in key.as_str().chars() {
                match letter {
                    '*' | '?' | '$' => text.extend(['$', '{', letter, '}']),
                    letter => text.push(letter),
                }
            }
            text
        }
    }
}

impl Resource<'_> {
    /// The ARN of it; `*` at the account's own level.
    pub fn arn(self) -> String {
        match self {
            Self::Service => "*".to_owned(),
            Self::Arn(arn) => arn.to_owned(),
            Self::New(bucket) | Self::Bucket(bucket) | Self::Listed(bucket, _) => {
                format!("arn:aws:s3:::{bucket}")
            }
            Self::Object(bucket, key) => format!("arn:aws:s3:::{bucket}/{key}"),
        }
    }
}

impl Action {
    /// The action that a word of either policy language stands for, if it is one.
    pub fn parse(word: &str) -> Option<Self> {
        let known = |action: &&Self| {
            let oss = action.oss_name();
            action.word().eq_ignore_ascii_case(word)
                || !oss.is_empty() && format!("oss:{oss}").eq_ignore_ascii_case(word)
        };
        Self::ALL.iter().find(known).copied()
    }
}
