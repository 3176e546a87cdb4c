//! What the policies of a user or role say, compiled: kept until any entity of the account changes.

use std::{fmt, sync::Arc};

use model::{
    Condition,
    entities::{BUILT_IN_POLICIES, Entity, EntityKind},
    names::AccountId,
    policy::{Document, Kind, Layers},
};

use super::arn::policy_name;
use crate::{
    Result, Service,
    policies::{READS_MAX, compile},
};

/// Where a policy of an entity comes from.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// The name of one of its own policies, or the ARN of a managed one.
    pub policy: String,
    /// The entity itself, or one of its groups.
    pub holder: (EntityKind, String),
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = &self.holder;
        write!(formatter, "the policy {} of the {} {name}", self.policy, kind.word())
    }
}

/// A user or role with the policies that hold for it.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    pub entity: Entity,
    /// The names of the groups it is in.
    pub groups: Arc<[String]>,
    pub documents: Vec<Arc<Document>>,
    /// Of each document.
    pub sources: Vec<Source>,
    pub boundary: Option<Arc<Document>>,
}

/// What a caller's own policies say.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    pub(crate) own: Arc<Compiled>,
    /// The most a session may do.
    pub(crate) session: Option<Arc<Vec<Arc<Document>>>>,
}

impl Standing {
    /// Adds what the caller's own policies say to the layers of a decision.
    pub(crate) fn join<'l>(&'l self, layers: Layers<'l>) -> Layers<'l> {
        Layers {
            identity: &self.own.documents,
            boundary: self.own.boundary.as_deref(),
            session: self.session.as_ref().map(|session| session.as_slice()),
            ..layers
        }
    }
}

impl Service {
    /// The entity of a name with its policies as they are now; `None` if there is none.
    pub(crate) async fn standing_of(
        &self,
        account: &AccountId,
        kind: EntityKind,
        name: &str,
    ) -> Result<Option<Arc<Compiled>>> {
        let key = (account.clone(), kind, name.to_owned());
        for _ in 0..READS_MAX {
            let revision = self.metadata.entity_revision(account).await?;
            if let Some(found) = self.standings.get(&key, revision) {
                return Ok(Some(found));
            }
            let Some(entity) = self.metadata.entity(account, kind, name).await? else {
                return Ok(None);
            };
            let (sources, texts): (Vec<_>, Vec<_>) =
                self.texts_of(account, kind, &entity).await?.into_iter().unzip();
            let boundary = match &entity.boundary {
                Some(arn) => Some(self.policy_text(account, arn).await?.unwrap_or_default()),
                None => None,
            };
            if self.metadata.entity_revision(account).await? != revision {
                continue;
            }
            let text_bytes = texts.iter().chain(&boundary).map(String::len).sum::<usize>();
            let compiled = |text: &String| compile(text, Kind::Identity, name).map(Arc::new);
            let documents = texts.iter().map(compiled).collect::<Result<Vec<_>>>()?;
            let boundary = boundary.as_ref().map(compiled).transpose()?;
            let indexes = documents.iter().chain(&boundary).map(|it| it.index_bytes());
            let bytes = text_bytes + indexes.sum::<usize>() + 512;
            let groups = entity.groups.clone().into();
            let found = Arc::new(Compiled { entity, groups, documents, sources, boundary });
            self.standings.keep(key, revision, &found, bytes);
            return Ok(Some(found));
        }
        Err(Condition::SlowDown.into())
    }

    /// The texts of all policies that allow an entity something: its own, those attached, and those
    /// of its groups.
    async fn texts_of(
        &self,
        account: &AccountId,
        kind: EntityKind,
        entity: &Entity,
    ) -> Result<Vec<(Source, String)>> {
        let mut holders = vec![(kind, entity.clone())];
        for group in &entity.groups {
            let found = self.metadata.entity(account, EntityKind::Group, group).await?;
            holders.extend(found.map(|group| (EntityKind::Group, group)));
        }
        let mut texts = Vec::new();
        for (kind, holder) in holders {
            let from = |policy: String| Source { policy, holder: (kind, holder.name.clone()) };
            texts.extend(
                holder.inline.iter().map(|(name, text)| (from(name.clone()), text.clone())),
            );
            for arn in &holder.attached {
                let text = self.policy_text(account, arn).await?;
                texts.extend(text.map(|text| (from(arn.clone()), text)));
            }
        }
        Ok(texts)
    }

    /// The text of a managed policy that is in force.
    pub(super) async fn policy_text(
        &self,
        account: &AccountId,
        arn: &str,
    ) -> Result<Option<String>> {
        if let Some(name) = arn.strip_prefix("arn:aws:iam::aws:policy/") {
            let found = BUILT_IN_POLICIES.iter().find(|(known, ..)| *known == name);
            return Ok(found.map(|(.., text)| (*text).to_owned()));
        }
        let Some(name) = policy_name(account, arn) else { return Ok(None) };
        let policy = self.metadata.managed_policy(account, name).await?;
        let policy = policy.filter(|policy| policy.arn(account) == arn);
        let version = policy.and_then(|policy| policy.version(policy.default_version).cloned());
        Ok(version.map(|version| version.text))
    }
}
