//! The users and roles that a policy names: noted when it is written, meant from then on whatever
//! they are called, and shown as they are called now.
//!
//! Source: "AWS JSON policy elements: Principal", IAM user and role principals.

use std::collections::{HashMap, HashSet};

use super::{Document, document::language, json::Json, principals::entity_of};
use crate::{
    entities::{EntityKind, NamedEntity},
    names::AccountId,
};

/// What an entity is known by before its id is.
type Called<'n> = (&'n AccountId, EntityKind, &'n str);

fn called(entity: &NamedEntity) -> Called<'_> {
    (&entity.account, entity.kind, &entity.name)
}

impl Document {
    /// The users and roles it names, each once.
    pub fn named_entities(&self) -> Vec<NamedEntity> {
        let who = self.statements.iter().flat_map(|statement| statement.named());
        let mut known = HashSet::new();
        let named = who.filter_map(|who| who.entity());
        named.filter(|entity| known.insert(called(entity))).cloned().collect()
    }

    /// Has it mean the users and roles that were noted when it was written. Of those that were
    /// not it means whoever is called so.
    #[must_use]
    pub fn meaning(mut self, noted: &[NamedEntity]) -> Self {
        if noted.is_empty() {
            return self;
        }
        let ids: HashMap<_, _> = noted.iter().map(|entity| (called(entity), &entity.id)).collect();
        for statement in &mut self.statements {
            for entity in statement.principals.entities_mut() {
                if let Some(id) = ids.get(&called(entity)) {
                    entity.id.clone_from(id);
                }
            }
        }
        self
    }
}

/// A policy with other principals in place of those that are not called any more as it says.
///
/// - `now`: what each is called now, with its path; `None` if it is no more: then its id is shown.
///
/// The text stays as it is if there is nothing to replace, or if it cannot be read.
pub fn show_named(text: &str, now: &[(NamedEntity, Option<String>)]) -> String {
    if now.is_empty() {
        return text.to_owned();
    }
    let Ok(Json::Object(mut elements)) = Json::parse(text) else { return text.to_owned() };
    let version = elements.iter().find(|(name, _)| name == "Version").map(|(_, json)| json);
    let Ok(language) = language(version) else { return text.to_owned() };
    let now: HashMap<_, _> =
        now.iter().map(|(entity, name)| (called(entity), (&entity.id, name))).collect();
    let statements = elements.iter_mut().filter(|(name, _)| name == "Statement");
    let statements = statements.flat_map(|(_, json)| match json {
        Json::List(list) => list.as_mut_slice(),
        one => std::slice::from_mut(one),
    });
    for statement in statements {
        let Json::Object(elements) = statement else { continue };
        for (name, json) in elements {
            if name == "Principal" || name == "NotPrincipal" {
                each_text(json, &|word| {
                    let (entity, session) = entity_of(word, language)?;
                    let (id, name) = now.get(&called(&entity))?;
                    Some(match (name, session) {
                        (Some(name), None) => {
                            format!("{}{name}", word.strip_suffix(&*entity.name)?)
                        }
                        // A role keeps its name.
                        (Some(_), Some(_)) => return None,
                        (None, None) => (*id).clone()?,
                        (None, Some(session)) => format!("{}:{session}", id.as_ref()?),
                    })
                });
            }
        }
    }
    Json::Object(elements).to_string()
}

/// Replaces each text for which there is another one.
fn each_text(json: &mut Json, other: &impl Fn(&str) -> Option<String>) {
    match json {
        Json::Text(text) => {
            if let Some(other) = other(text) {
                *text = other;
            }
        }
        Json::List(list) => list.iter_mut().for_each(|json| each_text(json, other)),
        Json::Object(object) => object.iter_mut().for_each(|(_, json)| each_text(json, other)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Facts, Kind, Principal, Principals};

    const TEXT: &str = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bkt/*",
         "Principal": {"AWS": ["arn:aws:iam::111122223333:user/a/ann",
                               "arn:aws:iam::111122223333:role/r",
                               "arn:aws:sts::111122223333:assumed-role/r/s"]}},
        {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "arn:aws:s3:::bkt/*",
         "NotPrincipal": {"AWS": "arn:aws:iam::111122223333:user/a/ann"},
         "Condition": {"ArnEquals": {"aws:PrincipalArn": "arn:aws:iam::111122223333:user/a/ann"}}}
    ]}"#;

    fn noted() -> Vec<NamedEntity> {
        let mut named = Document::parse(TEXT, Kind::Bucket).expect("a policy").named_entities();
        for (entity, id) in named.iter_mut().zip(["AIDA1", "AROA1"]) {
            entity.id = Some(id.to_owned());
        }
        named
    }

    /// Which of the three principals of the first statement are meant.
    fn meant(document: &Document, principal: Principal) -> Vec<bool> {
        let facts = Facts { principal, ..Facts::system("", 0) };
        let named = document.statements[0].named().iter();
        let one = |who: &super::super::Who| Principals::These(vec![who.clone()]);
        named.map(|who| one(who).names(&facts) > super::super::principals::Naming::None).collect()
    }

    fn user(name: &str, id: &str) -> Principal {
        let account = AccountId::parse("111122223333").expect("an id");
        Principal::User { account, name: name.into(), id: id.into() }
    }

    fn session(role: &str, id: &str) -> Principal {
        let account = AccountId::parse("111122223333").expect("an id");
        Principal::Session { account, role: role.into(), role_id: id.into(), session: "s".into() }
    }

    #[test]
    fn whoever_was_noted_is_meant_and_nobody_of_that_name_after() {
        let by_name = Document::parse(TEXT, Kind::Bucket).expect("a policy");
        let noted = noted();
        assert_eq!(noted.len(), 2, "each once");
        let by_id = by_name.clone().meaning(&noted);
        for (principal, named, meant_by_id) in [
            (user("a/ann", "AIDA1"), [true, false, false], [true, false, false]),
            (user("a/ann", "AIDA2"), [true, false, false], [false; 3]),
            (user("ben", "AIDA1"), [false; 3], [true, false, false]),
            (session("r", "AROA1"), [false, true, true], [false, true, true]),
            (session("r", "AROA2"), [false, true, true], [false; 3]),
            (session("q", "AROA1"), [false; 3], [false, true, true]),
        ] {
            assert_eq!(meant(&by_name, principal.clone()), named, "{principal:?}");
            assert_eq!(meant(&by_id, principal.clone()), meant_by_id, "{principal:?}");
        }
    }

    #[test]
    fn it_is_shown_as_they_are_called_now_and_by_id_when_they_are_gone() {
        let noted = noted();
        assert_eq!(show_named(TEXT, &[]), TEXT);
        let ann = "arn:aws:iam::111122223333:user/a/ann";
        let renamed = show_named(TEXT, &[(noted[0].clone(), Some("b/ben".to_owned()))]);
        assert_eq!(renamed.matches("user/b/ben").count(), 2, "{renamed}");
        assert_eq!(renamed.matches(ann).count(), 1, "conditions stay: {renamed}");
        let gone: Vec<_> = noted.iter().map(|entity| (entity.clone(), None)).collect();
        let gone = show_named(TEXT, &gone);
        assert!(gone.contains(r#"{"AWS":["AIDA1","AROA1","AROA1:s"]}"#), "{gone}");
        assert!(gone.contains(r#""NotPrincipal":{"AWS":"AIDA1"}"#), "{gone}");
        assert!(gone.contains(ann) && Document::parse(&gone, Kind::Bucket).is_err(), "{gone}");
    }

    #[test]
    fn the_language_of_oss_names_them_too() {
        let text = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":["oss:GetObject"],
            "Principal":["1:ann","arn:sts::1:assumed-role/r/*"],"Resource":["acs:oss:*:*:b/*"]}]}"#;
        let mut noted = Document::parse(text, Kind::Bucket).expect("a policy").named_entities();
        for (entity, id) in noted.iter_mut().zip(["AIDA1", "AROA1"]) {
            entity.id = Some(id.to_owned());
        }
        let gone: Vec<_> = noted.into_iter().map(|entity| (entity, None)).collect();
        let shown = show_named(text, &gone);
        assert!(shown.contains(r#"["AIDA1","AROA1:*"]"#), "{shown}");
    }
}
