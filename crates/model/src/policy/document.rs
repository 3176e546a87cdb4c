//! A policy document, compiled once: actions as sets, resources as patterns, conditions as tests.
//!
//! Sources: "Grammar of the IAM JSON policy language"; OSS "Bucket policy"; RAM "Policy elements".

use std::cell::OnceCell;

use super::{
    ActionSet, Context, Resource,
    action::{Action, Vocabulary, named},
    condition::{self, Condition},
    index::{Entry, Index},
    json::Json,
    keys::Key,
    principals::{self, Naming, Principals, Who},
    wildcard::{Pattern, Reading},
};
use crate::limits::{
    POLICY_BYTES_MAX_AWS, POLICY_BYTES_MAX_OSS, POLICY_STATEMENTS_MAX, POLICY_VALUES_MAX,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Allow,
    Deny,
}

/// The two policy languages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Without `${…}` in the version of 2008.
    Aws { variables: bool },
    /// Version `1`.
    Oss,
}

/// What a document belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A user, group or role: it names no principal.
    Identity,
    /// A bucket: it names principals.
    Bucket,
    /// A role: it names who may take it on, and no resource but the role.
    Trust,
}

/// Where a statement applies.
#[derive(Clone, Debug, PartialEq)]
pub struct Resources {
    /// Of `bucket` or `bucket/key`, without what an ARN has in front.
    pub patterns: Vec<Pattern>,
    /// Of whole ARNs: those of other services, and those that leave the service open.
    pub arns: Vec<Pattern>,
    /// One pattern is `*`: everything, the account's own level too.
    pub everything: bool,
    /// `NotResource`: everywhere else.
    pub negated: bool,
}

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    pub id: Option<String>,
    pub effect: Effect,
    pub principals: Principals,
    pub actions: ActionSet,
    pub resources: Resources,
    pub conditions: Vec<Condition>,
    /// OSS: everybody, without a condition, does not mean the bucket's owner.
    pub spares_owner: bool,
    /// Words that stand for no action known here.
    pub unknown_actions: Vec<String>,
}

/// Whether a statement applies to a question about one of its actions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fit<'s> {
    Applies(Naming),
    OtherPrincipal,
    OtherResource,
    /// The first of its conditions that does not hold.
    Unmet(&'s Condition),
}

/// A whole policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    pub language: Language,
    pub statements: Vec<Statement>,
    index: Index,
    asks_object_tags: bool,
}

impl Document {
    /// # Errors
    /// What is wrong with it, in words for whoever wrote it.
    pub fn parse(text: &str, kind: Kind) -> Result<Self, String> {
        if text.len() > POLICY_BYTES_MAX_AWS {
            return Err(format!("Policies must not be longer than {POLICY_BYTES_MAX_AWS} bytes"));
        }
        let json =
            Json::parse(text).map_err(|error| format!("Policies must be valid JSON: {error}"))?;
        let Json::Object(elements) = json else {
            return Err("Policies must be valid JSON and the first byte must be '{'".to_owned());
        };
        let (mut version, mut statements) = (None, None);
        for (name, json) in elements {
            match name.as_str() {
                "Version" => version = Some(json),
                "Statement" => statements = Some(json),
                "Id" if json.scalar().is_some() => {}
                _ => return Err(format!("Unknown field {name}")),
            }
        }
        let language = language(version.as_ref())?;
        if language == Language::Oss && text.len() > POLICY_BYTES_MAX_OSS {
            return Err(format!("Policies must not be longer than {POLICY_BYTES_MAX_OSS} bytes"));
        }
        let statements = match statements {
            Some(Json::List(list)) if !list.is_empty() => list,
            Some(one @ Json::Object(_)) => vec![one],
            _ => return Err("Missing required field Statement".to_owned()),
        };
        if statements.len() > POLICY_STATEMENTS_MAX {
            return Err(format!("Policies have at most {POLICY_STATEMENTS_MAX} statements"));
        }
        let read = |json: &Json| statement(json, language, kind);
        let statements: Vec<_> = statements.iter().map(read).collect::<Result<_, _>>()?;
        if kind != Kind::Bucket {
            refuse_twice_named(&statements)?;
        }
        let values = statements.iter().map(Statement::size).sum::<usize>();
        if values > POLICY_VALUES_MAX {
            return Err(format!("Policies have at most {POLICY_VALUES_MAX} values"));
        }
        Ok(Self::of(language, statements))
    }

    fn of(language: Language, statements: Vec<Statement>) -> Self {
        let index = Index::of(&statements);
        let asks_object_tags = statements.iter().any(Statement::asks_object_tags);
        Self { language, statements, index, asks_object_tags }
    }

    /// Whether any statement asks for the tags of an object.
    pub const fn asks_object_tags(&self) -> bool {
        self.asks_object_tags
    }

    /// Memory that it takes besides its text, whose length tells nothing of it.
    pub fn index_bytes(&self) -> usize {
        self.index.bytes()
    }

    /// The statements of one effect that speak of an action.
    ///
    /// - `path`: of the question, if it is about `bucket` or `bucket/key`: then without those that
    ///   do not apply to it, as far as that can be told at a glance.
    pub fn about(
        &self,
        action: Action,
        effect: Effect,
        path: Option<&str>,
    ) -> impl Iterator<Item = (&Entry, &Statement)> {
        let entries = self.index.about(action, effect).iter();
        let entries = entries.filter(move |entry| path.is_none_or(|path| entry.may_apply(path)));
        entries.filter_map(|entry| Some((entry, self.statements.get(usize::from(entry.place))?)))
    }
}

/// Source: "AWS JSON policy elements: Sid".
fn refuse_twice_named(statements: &[Statement]) -> Result<(), String> {
    let mut ids: Vec<&str> = statements.iter().filter_map(|it| it.id.as_deref()).collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    if ids.len() == all {
        return Ok(());
    }
    Err("Statement IDs (SID) in a single policy must be unique.".to_owned())
}

pub(super) fn language(version: Option<&Json>) -> Result<Language, String> {
    match version.map(|version| version.scalar()) {
        None => Ok(Language::Aws { variables: false }),
        Some(Some(version)) => match version.as_str() {
            "2012-10-17" => Ok(Language::Aws { variables: true }),
            "2008-10-17" => Ok(Language::Aws { variables: false }),
            "1" => Ok(Language::Oss),
            _ => Err(format!("The policy must contain a valid version string, not {version}")),
        },
        Some(None) => Err("The policy must contain a valid version string".to_owned()),
    }
}

/// The elements of a statement as they stand there.
#[derive(Default)]
struct Elements<'s> {
    id: Option<String>,
    effect: Option<&'s Json>,
    principal: Option<(&'s Json, bool)>,
    action: Option<(&'s Json, bool)>,
    resource: Option<(&'s Json, bool)>,
    condition: Option<&'s Json>,
}

fn elements(json: &Json) -> Result<Elements<'_>, String> {
    let Json::Object(pairs) = json else { return Err("a statement is no object".to_owned()) };
    let mut found = Elements::default();
    for (name, json) in pairs {
        let (base, negated) = match name.strip_prefix("Not") {
            Some(base) => (base, true),
            None => (name.as_str(), false),
        };
        let place = match (base, negated) {
            ("Sid", false) => {
                found.id = Some(json.scalar().ok_or("Sid is no text")?);
                continue;
            }
            ("Effect", false) => {
                found.effect = Some(json);
                continue;
            }
            ("Condition", false) => {
                found.condition = Some(json);
                continue;
            }
            ("Principal", _) => &mut found.principal,
            ("Action", _) => &mut found.action,
            ("Resource", _) => &mut found.resource,
            _ => return Err(format!("Unknown field {name}")),
        };
        if place.replace((json, negated)).is_some() {
            return Err(format!("A statement has {base} or Not{base}, not both"));
        }
    }
    Ok(found)
}

fn statement(json: &Json, language: Language, kind: Kind) -> Result<Statement, String> {
    let elements = elements(json)?;
    let effect = match elements.effect.and_then(Json::scalar).as_deref() {
        Some("Allow") => Effect::Allow,
        Some("Deny") => Effect::Deny,
        _ => return Err("Missing required field Effect, Allow or Deny".to_owned()),
    };
    let principals = principals(elements.principal, language, kind)?;
    let (action, not_action) = elements.action.ok_or("Missing required field Action")?;
    let words = list(action, "Action")?;
    let vocabulary = match language {
        Language::Aws { .. } => Vocabulary::S3,
        Language::Oss => Vocabulary::Oss,
    };
    let mut actions = ActionSet::default();
    let mut unknown_actions = Vec::new();
    for word in words {
        let foreign = kind == Kind::Bucket && has_vendor(&word, &["iam", "sts"]);
        let meant = if foreign { ActionSet::default() } else { named(vocabulary, &word) };
        if kind == Kind::Identity && word != "*" && !word.contains(':') {
            return Err("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, \
                        etc."
                .to_owned());
        }
        meant.iter().for_each(|action| actions.insert(action));
        if meant.is_empty() {
            unknown_actions.push(word);
        }
    }
    let actions = if not_action { actions.inverted() } else { actions };
    let variables = language == Language::Aws { variables: true };
    let resources = match (kind, elements.resource) {
        (Kind::Trust, None) => resources(&["*".to_owned()], false, language, kind)?,
        (Kind::Trust, Some(_)) => return Err("Has prohibited field Resource".to_owned()),
        (_, None) => return Err("Missing required field Resource".to_owned()),
        (_, Some((words, negated))) => {
            resources(&list(words, "Resource")?, negated, language, kind)?
        }
    };
    let conditions = match elements.condition {
        Some(json) => condition::parse(json, variables)?,
        None => Vec::new(),
    };
    let spares_owner =
        language == Language::Oss && conditions.is_empty() && principals.is_everybody();
    let id = elements.id;
    Ok(Statement {
        id,
        effect,
        principals,
        actions,
        resources,
        conditions,
        spares_owner,
        unknown_actions,
    })
}

fn list(json: &Json, name: &str) -> Result<Vec<String>, String> {
    let texts = json.texts().filter(|texts| !texts.is_empty());
    texts.ok_or_else(|| format!("{name} is neither text nor a list of text"))
}

fn principals(
    element: Option<(&Json, bool)>,
    language: Language,
    kind: Kind,
) -> Result<Principals, String> {
    let (json, negated) = match (kind, element) {
        (Kind::Identity, None) => return Ok(Principals::Holder),
        (Kind::Identity, Some(_)) => {
            return Err("Policy document should not specify a principal".to_owned());
        }
        (Kind::Bucket | Kind::Trust, None) => {
            return Err("Missing required field Principal".to_owned());
        }
        (Kind::Bucket | Kind::Trust, Some(element)) => element,
    };
    let named = match language {
        Language::Aws { .. } => principals::parse_aws(json)?,
        Language::Oss => principals::parse_oss(json)?,
    };
    Ok(if negated { Principals::AllBut(named) } else { Principals::These(named) })
}

/// Whether a word belongs to one of these services.
fn has_vendor(word: &str, vendors: &[&str]) -> bool {
    let vendor = word.split(':').next().unwrap_or_default();
    vendors.iter().any(|known| known.eq_ignore_ascii_case(vendor))
}

fn resources(
    words: &[String],
    negated: bool,
    language: Language,
    kind: Kind,
) -> Result<Resources, String> {
    let variables = language == Language::Aws { variables: true };
    let how = Reading { wildcards: true, variables, ignore_case: false };
    let mut patterns = Vec::with_capacity(words.len());
    let mut arns = Vec::new();
    for word in words {
        match path(word, language) {
            Some(path) => patterns.push(Pattern::compile(path, how)?),
            None if kind == Kind::Identity && is_arn(word) => {
                arns.push(Pattern::compile(word, how)?);
            }
            None => return Err(format!("Policy has invalid resource: {word}")),
        }
    }
    Ok(Resources { patterns, arns, everything: words.iter().any(|word| word == "*"), negated })
}

/// Whether a word has the form of an ARN, of whatever service.
fn is_arn(word: &str) -> bool {
    word.split(':').count() >= 5 && (word.starts_with("arn:") || word.starts_with("acs:"))
}

/// What an ARN says after its service: `bucket` or `bucket/key`.
fn path(word: &str, language: Language) -> Option<&str> {
    if word == "*" {
        return Some(word);
    }
    let mut parts = word.splitn(6, ':');
    let (scheme, second, service) = (parts.next()?, parts.next()?, parts.next()?);
    let path = match language {
        Language::Aws { .. } => {
            let own = scheme == "arn" && second.starts_with("aws") && service == "s3";
            let (region, account) = (parts.next()?, parts.next()?);
            parts.next().filter(|_| own && region.is_empty() && account.is_empty())?
        }
        Language::Oss => {
            let mut parts = word.splitn(5, ':').skip(3);
            let (_uid, path) = (parts.next()?, parts.next()?);
            Some(path).filter(|_| scheme == "acs" && second == "oss")?
        }
    };
    Some(path).filter(|path| !path.is_empty())
}

impl Statement {
    /// Whether and why not it applies, for whoever wants to know. `path` is `bucket/key` of the
    /// question, made when it is first needed.
    pub(super) fn fit(&self, context: &Context<'_>, path: &OnceCell<String>) -> Fit<'_> {
        let naming = self.principals.names(context.facts);
        if naming == Naming::None || self.spares(context) {
            return Fit::OtherPrincipal;
        }
        if !self.resources.include(context, path) {
            return Fit::OtherResource;
        }
        match self.conditions.iter().find(|it| !it.holds(context)) {
            Some(condition) => Fit::Unmet(condition),
            None => Fit::Applies(naming),
        }
    }

    /// Whether it applies to whom and what it names, which the index asks before.
    pub(super) fn holds(&self, context: &Context<'_>) -> bool {
        !self.spares(context) && self.conditions.iter().all(|it| it.holds(context))
    }

    fn spares(&self, context: &Context<'_>) -> bool {
        let owner = context.owner.filter(|_| self.spares_owner);
        owner.is_some() && owner == context.facts.principal.account()
    }

    /// How many things it has to compare with.
    fn size(&self) -> usize {
        let conditions = self.conditions.iter().map(|it| it.test.size());
        self.principals.named().len()
            + self.resources.patterns.len()
            + self.resources.arns.len()
            + conditions.sum::<usize>()
    }

    /// Everything it asks of a request.
    pub fn asks(&self) -> impl Iterator<Item = &Key> {
        let resources = self.resources.patterns.iter().chain(&self.resources.arns);
        let conditions = self.conditions.iter().flat_map(|condition| {
            let variables = condition.test.patterns().into_iter().flat_map(Pattern::variables);
            std::iter::once(&condition.key).chain(variables)
        });
        resources.flat_map(Pattern::variables).chain(conditions)
    }

    /// Whether it asks for the tags of an object.
    pub fn asks_object_tags(&self) -> bool {
        self.asks().any(Key::is_object_tag)
    }

    /// Everybody it names.
    pub fn named(&self) -> &[Who] {
        self.principals.named()
    }
}

impl Resources {
    /// What every path begins with that is meant: nothing if that cannot be told.
    pub(super) fn prefix(&self) -> &str {
        let mut starts = self.patterns.iter().map(Pattern::start);
        let Some(first) = starts.next().filter(|_| !self.negated && self.arns.is_empty()) else {
            return "";
        };
        starts.fold(first, |shared, start| {
            let pairs = shared.char_indices().zip(start.chars());
            let other = pairs.clone().find(|((_, one), two)| one != two);
            let end = other.map_or(shared.len().min(start.len()), |((at, _), _)| at);
            shared.get(..end).unwrap_or_default()
        })
    }

    pub(super) fn include(&self, context: &Context<'_>, path: &OnceCell<String>) -> bool {
        let within = match context.resource {
            // What is about all buckets of an account, such as their list.
            Resource::Service => {
                self.everything || self.patterns.iter().any(|it| it.matches("*", context))
            }
            Resource::Arn(arn) => {
                self.everything || self.arns.iter().any(|it| it.matches(arn, context))
            }
            resource => {
                let path = path.get_or_init(|| path_of(resource));
                self.everything
                    || self.patterns.iter().any(|it| it.matches(path, context))
                    || !self.arns.is_empty() && {
                        let arn = format!("arn:aws:s3:::{path}");
                        self.arns.iter().any(|it| it.matches(&arn, context))
                    }
            }
        };
        within != self.negated
    }
}

/// `bucket` or `bucket/key`.
pub(super) fn path_of(resource: Resource<'_>) -> String {
    match resource {
        Resource::Service => String::new(),
        Resource::Arn(arn) => arn.to_owned(),
        Resource::New(bucket) | Resource::Bucket(bucket) | Resource::Listed(bucket, _) => {
            bucket.as_str().to_owned()
        }
        Resource::Object(bucket, key) => {
            let (bucket, key) = (bucket.as_str(), key.as_str());
            let mut path = String::with_capacity(bucket.len() + 1 + key.len());
            path.push_str(bucket);
            path.push('/');
            path.push_str(key);
            path
        }
    }
}
