//! Why a request was refused, or a question decided as it was: what an owner or administrator is
//! told of it.
//!
//! Nothing is decided here: the decision comes from `authorize`, and the statements, facts and
//! grants from `model::policy`. Which requests are remembered is in [`crate::denials`].

use std::{net::IpAddr, sync::Arc};

use model::{
    Condition,
    names::AccountId,
    policy::{
        Action, Asked, Context, Decision, Effect, Grant, Key, Layer, Layers, Principal, Seen, Wish,
        asked_of, evaluate, remedy, seen,
    },
};

use crate::{Caller, Error, Need, Operation, Permit, Result, Service};

/// Statements and facts that are told of, each.
const TOLD_MAX: usize = 24;

/// Longest name of anything, in bytes.
const TEXT_BYTES_MAX: usize = 1200;

/// Most of an access key that is told: no key here is longer.
const KEY_BYTES_TOLD: usize = 128;

/// Longest value of a fact, in bytes.
const VALUE_BYTES_MAX: usize = 256;

/// Values of one fact that are told.
const VALUES_MAX: usize = 20;

/// Who asked.
#[derive(Clone, Debug, Default)]
pub struct Asker {
    /// `None` for somebody without a key, or whose signature does not hold.
    pub arn: Option<String>,
    pub account: Option<AccountId>,
    pub access_key: Option<String>,
    pub source: Option<IpAddr>,
}

/// What a question came to, and why.
#[derive(Clone, Debug)]
pub struct Explanation {
    pub at_ms: i64,
    pub who: Asker,
    pub action: Option<Action>,
    /// An ARN.
    pub resource: Option<String>,
    /// Whose it is; of an object, the bucket.
    pub owner: Option<AccountId>,
    /// The other account that the object belongs to.
    pub object_owner: Option<AccountId>,
    pub ground: Ground,
    pub statements: Vec<StatementTold>,
    pub facts: Vec<Asked>,
    pub grants: Vec<GrantTold>,
    /// What no grant changes.
    pub obstacle: Option<Decision>,
    /// A policy asked for the tags of the object, so that what it came to tells of them.
    pub tells_tags: bool,
}

#[derive(Clone, Debug)]
pub enum Ground {
    /// The policies and lists in force led to this.
    Decided(Decision),
    /// It was refused before any policy was asked.
    Refused { condition: Condition, detail: Option<String> },
}

/// A statement about what was asked for.
#[derive(Clone, Debug)]
pub struct StatementTold {
    pub layer: Layer,
    /// Of which policy.
    pub policy: String,
    pub sid: Option<String>,
    /// Its place in the policy, from 1.
    pub number: usize,
    pub effect: Effect,
    /// The key of the condition that keeps it from applying.
    pub unmet: Option<String>,
    /// It asks for the tags of the object.
    pub asks_tags: bool,
    /// It decided.
    pub decisive: bool,
}

/// A statement that would help, and where to put it.
#[derive(Clone, Debug)]
pub struct GrantTold {
    pub to: String,
    pub grant: Grant,
}

/// One question as it was decided.
pub(crate) struct Question<'q> {
    pub context: &'q Context<'q>,
    pub layers: &'q Layers<'q>,
    pub decision: Decision,
    pub wish: Wish,
    /// How it was decided.
    pub decide: fn(&Layers<'_>, &Context<'_>) -> Decision,
}

impl<'q> Question<'q> {
    /// As most questions are decided.
    pub fn plain(context: &'q Context<'q>, layers: &'q Layers<'q>, decision: Decision) -> Self {
        Self { context, layers, decision, wish: Wish::default(), decide: evaluate }
    }
}

impl Explanation {
    /// Of a question that policies decided.
    pub(crate) fn of(caller: &Caller, question: &Question<'_>) -> Self {
        let Question { context, layers, decision, wish, decide } = question;
        let seen = seen(layers, context);
        let remedy = remedy(layers, context, *wish, *decide);
        let mut facts = asked_of(&seen, context);
        facts.truncate(TOLD_MAX);
        facts.iter_mut().for_each(shorten);
        let resource = context.resource.arn();
        let statements = seen.iter().map(|it| told(caller, &resource, *decision, it));
        let grants = remedy.grants.into_iter().map(|grant| GrantTold {
            to: policy_name(caller, &resource, grant.layer, None),
            grant,
        });
        Self {
            at_ms: context.facts.now_ms,
            action: Some(context.action),
            owner: context.owner.or(context.facts.principal.account()).cloned(),
            object_owner: context.object_owner.cloned(),
            ground: Ground::Decided(*decision),
            statements: statements.take(TOLD_MAX).collect(),
            facts,
            grants: grants.collect(),
            obstacle: remedy.obstacle,
            tells_tags: layers.ask_object_tags(context.action),
            resource: Some(cut(resource)),
            who: Asker::of(caller),
        }
    }

    /// Of a request that came to no question.
    pub fn refused(mut who: Asker, error: &Error, at_ms: i64) -> Self {
        // Somebody may claim a key of any length.
        who.access_key = who.access_key.map(|key| cut_at(key, KEY_BYTES_TOLD));
        let (condition, detail) = (error.condition, error.detail.clone().map(cut));
        Self {
            at_ms,
            owner: who.account.clone(),
            object_owner: None,
            who,
            action: None,
            resource: None,
            ground: Ground::Refused { condition, detail },
            statements: Vec::new(),
            facts: Vec::new(),
            grants: Vec::new(),
            obstacle: None,
            tells_tags: false,
        }
    }

    /// As much of it as concerns the caller's account; `None` if that is nothing.
    ///
    /// The owner of what was asked for learns nothing of the policies of another account, and the
    /// account of whoever asked nothing of the owner's.
    fn shown_to(mut self, caller: &Caller) -> Option<Self> {
        let account = caller.account_id();
        let is = |whose: &Option<AccountId>| account.is_some() && whose.as_ref() == account;
        let (owns, asked) = (is(&self.owner), is(&self.who.account));
        if caller.facts.root {
            return Some(self);
        }
        if !owns && !asked {
            return None;
        }
        let tags_owner = self.object_owner.as_ref().or(self.owner.as_ref());
        if self.tells_tags && tags_owner != account {
            self = self.without_tags();
        }
        if owns && asked {
            return Some(self);
        }
        self.statements.retain(|it| it.layer.is_of_resource() == owns);
        self.facts.retain(|it| it.layer.is_of_resource() == owns);
        if owns {
            // What somebody is, only the own account is told.
            let private = self.facts.iter_mut().filter(|it| Key::parse(&it.key).is_private());
            private.for_each(|it| it.values = None);
        } else {
            (self.owner, self.object_owner) = (None, None);
        }
        self.grants.retain(|it| it.grant.layer.is_of_resource() == owns);
        if !owns && let Ground::Decided(decision) = &mut self.ground {
            *decision = vague(*decision);
        }
        self.obstacle = self.obstacle.map(|it| if owns { it } else { vague(it) });
        Some(self)
    }

    /// It, but for all that the tags of the object have led to: for whoever they do not belong to.
    /// Whoever wrote the policy could learn them from that.
    fn without_tags(mut self) -> Self {
        self.statements.retain(|it| !it.asks_tags);
        self.statements.iter_mut().for_each(|it| it.decisive = false);
        self.facts.retain(|it| !Key::parse(&it.key).is_object_tag());
        self.grants.clear();
        self.obstacle = None;
        if matches!(self.ground, Ground::Decided(_)) {
            self.ground = Ground::Decided(Decision::NotAllowed(Layer::Resource));
        }
        self
    }

    /// At most how many bytes of memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let who = text(&self.who.arn) + text(&self.who.access_key) + text(&self.resource);
        let detail = match &self.ground {
            Ground::Refused { detail, .. } => text(detail),
            Ground::Decided(_) => 0,
        };
        let statements = self.statements.iter();
        let statements = statements.map(|it| {
            size_of::<StatementTold>() + it.policy.len() + text(&it.sid) + text(&it.unmet)
        });
        let values = |it: &Asked| {
            let values = it.values.iter().flatten();
            values.map(|value| size_of::<String>() + value.len()).sum::<usize>()
        };
        let facts = self.facts.iter();
        let facts = facts.map(|it| size_of::<Asked>() + it.key.len() + values(it));
        let grants = self.grants.iter().map(|it| {
            let Grant { statement, document, .. } = &it.grant;
            size_of::<GrantTold>() + it.to.len() + statement.len() + document.len()
        });
        let lists = statements.sum::<usize>() + facts.sum::<usize>() + grants.sum::<usize>();
        size_of::<Self>() + who + detail + lists
    }
}

impl Asker {
    pub fn of(caller: &Caller) -> Self {
        Self {
            arn: caller.facts.principal.caller_arn(),
            account: caller.account_id().cloned(),
            access_key: caller.facts.access_key.clone(),
            source: caller.facts.source,
        }
    }
}

/// What another account is told of a decision of the owner's.
fn vague(decision: Decision) -> Decision {
    match decision {
        Decision::NotAllowed(layer) if layer.is_of_resource() => {
            Decision::NotAllowed(Layer::Resource)
        }
        other => other,
    }
}

fn told(caller: &Caller, resource: &str, decision: Decision, seen: &Seen<'_>) -> StatementTold {
    let Seen { layer, place, statement, unmet } = *seen;
    StatementTold {
        layer,
        policy: policy_name(caller, resource, layer, Some(usize::from(place.document))),
        sid: statement.id.clone().map(cut),
        number: usize::from(place.statement) + 1,
        effect: statement.effect,
        unmet: unmet.map(|key| cut(key.name().into_owned())),
        asks_tags: statement.asks_object_tags(),
        decisive: decision.layer() == layer && decision.place() == Some(place),
    }
}

/// Which policy is meant.
///
/// - `number`: of the policy within its layer; `None` for any.
fn policy_name(caller: &Caller, resource: &str, layer: Layer, number: Option<usize>) -> String {
    let own = &caller.standing.own;
    let name = match (layer, number) {
        (Layer::Resource, _) => match resource.strip_prefix("arn:aws:s3:::") {
            Some(path) => {
                let bucket = path.split('/').next().unwrap_or_default();
                format!("the policy of the bucket {bucket}")
            }
            None => format!("the trust policy of {resource}"),
        },
        (Layer::Identity, Some(number)) => match own.sources.get(number) {
            Some(source) => source.to_string(),
            None => "the rights of the account".to_owned(),
        },
        (Layer::Identity, None) => match &caller.facts.principal {
            Principal::Session { role, .. } => format!("a policy of the role {role}"),
            Principal::User { name, .. } => format!("a policy of the user {name}"),
            _ => "a policy of whoever lent its rights".to_owned(),
        },
        (Layer::Boundary, _) => {
            let boundary = own.entity.boundary.as_deref().unwrap_or_default();
            format!("the permission boundary {boundary}")
        }
        (Layer::Session, Some(number)) => format!("policy number {} of the session", number + 1),
        (other, _) => other.name().to_owned(),
    };
    cut(name)
}

fn shorten(asked: &mut Asked) {
    asked.key = cut(std::mem::take(&mut asked.key));
    if let Some(values) = &mut asked.values {
        values.truncate(VALUES_MAX);
        values.iter_mut().for_each(|value| *value = cut_at(std::mem::take(value), VALUE_BYTES_MAX));
    }
}

/// At most [`TEXT_BYTES_MAX`] of a text.
fn cut(text: String) -> String {
    cut_at(text, TEXT_BYTES_MAX)
}

pub(crate) fn cut_at(mut text: String, bytes_max: usize) -> String {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
        text.push('…');
    }
    text
}

/// Tells why a request was refused.
pub struct Explain {
    pub request_id: String,
}

impl Operation for Explain {
    type Output = Explanation;

    fn needs(&self) -> Vec<Need<'_>> {
        Need::service(Action::Explain)
    }

    async fn run(self, permit: Permit<'_, Self>, service: &Arc<Service>) -> Result<Self::Output> {
        let found = service.denials.find(&self.request_id);
        let shown = found.and_then(|found| found.as_ref().clone().shown_to(permit.caller()));
        shown.ok_or_else(|| {
            let detail = "No refused request of this id is known here.";
            Error::new(Condition::NoSuchEntity, detail)
        })
    }
}

impl Service {
    /// Remembers why a request was refused, if that is not known already.
    ///
    /// - `who`: for what was refused before anybody was asked.
    pub fn note_denial(&self, request_id: &str, error: &Error, who: impl FnOnce() -> Asker) {
        let denial = match &error.denial {
            Some(denial) => denial.as_ref().clone(),
            None => Explanation::refused(who(), error, self.now_ms()),
        };
        self.denials.keep(request_id, denial);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_a_character() {
        let text = cut("é".repeat(TEXT_BYTES_MAX));
        assert_eq!(text.chars().count(), TEXT_BYTES_MAX / 2 + 1);
        assert_eq!(cut("short".to_owned()), "short");
    }
}
