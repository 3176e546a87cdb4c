//! Random policies and requests: the evaluator and the reference agree, and what must hold of
//! every policy does. `POLICY_CASES` and `POLICY_SEED` set how many, and which.

use std::{fmt::Write as _, sync::Arc};

use super::{
    account, facts,
    reference::{Case, Fault, Policy, Rule},
};
use crate::{
    names::{BucketName, ObjectKey},
    policy::{Action, Context, Document, Facts, Kind, Layers, Principal, Resource, evaluate},
};

const CASES: u64 = 20_000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn some<T: Copy>(&mut self, most: usize, from: &[T]) -> Vec<T> {
        (0..1 + self.below(most)).map(|_| self.one(from)).collect()
    }
}

const PRINCIPALS: &[&str] = &[
    "*",
    "arn:aws:iam::1:root",
    "arn:aws:iam::2:root",
    "arn:aws:iam::1:user/ann",
    "arn:aws:iam::1:user/ben",
    "arn:aws:iam::2:user/ann",
    "arn:aws:iam::1:role/reader",
    "arn:aws:sts::1:assumed-role/reader/s1",
    "arn:aws:sts::1:assumed-role/reader/s2",
];
const ACTIONS: &[&str] = &["s3:GetObject", "s3:Get*", "s3:PutObject", "s3:*", "s3:ListBucket"];
const PLACES: &[&str] = &[
    "arn:aws:s3:::bkt",
    "arn:aws:s3:::bkt/*",
    "arn:aws:s3:::bkt/a*",
    "arn:aws:s3:::b?t/*b",
    "arn:aws:s3:::bkt/a?b",
    "arn:aws:s3:::*",
];

fn condition(random: &mut Random) -> (&'static str, &'static str, Vec<&'static str>) {
    const TEXT: &[&str] = &[
        "StringEquals",
        "StringNotEquals",
        "StringLike",
        "StringNotLike",
        "StringEqualsIfExists",
        "StringNotEqualsIfExists",
    ];
    const ADDRESS: &[&str] = &["IpAddress", "NotIpAddress", "IpAddressIfExists"];
    match random.below(4) {
        0 => (
            "Null",
            random.one(&["aws:UserAgent", "aws:SourceIp"]),
            vec![random.one(&["true", "false"])],
        ),
        1 => {
            let values = random.some(2, &["10.0.0.0/8", "10.1.1.1", "192.0.2.1"]);
            (random.one(ADDRESS), "aws:SourceIp", values)
        }
        _ => {
            const TAG: &str = "s3:ExistingObjectTag/t";
            let others = [TAG, "s3:RequestObjectTag/t", "aws:Unheard"];
            let key = if random.chance(40) { random.one(&others) } else { "aws:UserAgent" };
            (random.one(TEXT), key, random.some(2, &["curl", "c*", "wget", "?url"]))
        }
    }
}

fn policy(random: &mut Random, bucket: bool) -> Policy {
    let rule = |random: &mut Random| Rule {
        allow: random.chance(75),
        principals: if bucket { random.some(2, PRINCIPALS) } else { Vec::new() },
        not_principal: bucket && random.chance(10),
        actions: random.some(2, ACTIONS),
        not_action: random.chance(10),
        resources: random.some(2, PLACES),
        not_resource: random.chance(10),
        conditions: (0..random.below(3)).map(|_| condition(random)).collect(),
    };
    (0..1 + random.below(4)).map(|_| rule(random)).collect()
}

fn case(random: &mut Random) -> Case {
    let object = random.chance(75);
    Case {
        kind: random.one(&["anonymous", "root", "user", "session"]),
        account: random.one(&["1", "1", "2"]),
        owner: "1",
        object_owner: if object { random.one(&[None, None, None, Some("2")]) } else { None },
        action: if object { random.one(&["GetObject", "PutObject"]) } else { "ListBucket" },
        path: if object { random.one(&["bkt/a", "bkt/a-b", "bkt/b", "bkt/ab"]) } else { "bkt" },
        address: random.one(&[None, Some("10.1.1.1"), Some("192.0.2.1")]),
        agent: random.one(&[None, Some("curl"), Some("wget")]),
        tag: if object { random.one(&[None, Some("curl"), Some("wget")]) } else { None },
        given: if object { random.one(&[None, Some("curl")]) } else { None },
        identity: (0..random.below(3)).map(|_| policy(random, false)).collect(),
        boundary: random.chance(30).then(|| policy(random, false)),
        session: random
            .chance(30)
            .then(|| (0..random.below(3)).map(|_| policy(random, false)).collect()),
        resource: random.chance(70).then(|| policy(random, true)),
        restricted: random.chance(10),
        acl: random.chance(10),
    }
}

fn list(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(",")
}

fn text(policy: &Policy) -> String {
    let mut statements = Vec::new();
    for rule in policy {
        let not = |negated: bool| if negated { "Not" } else { "" };
        let mut text = format!("{{\"Effect\":\"{}\"", if rule.allow { "Allow" } else { "Deny" });
        if !rule.principals.is_empty() {
            let principals = list(&rule.principals);
            let _ = write!(
                text,
                ",\"{}Principal\":{{\"AWS\":[{principals}]}}",
                not(rule.not_principal)
            );
        }
        let _ = write!(text, ",\"{}Action\":[{}]", not(rule.not_action), list(&rule.actions));
        let resources = list(&rule.resources);
        let _ = write!(text, ",\"{}Resource\":[{resources}]", not(rule.not_resource));
        // One operator may stand there once only: the first of each counts.
        let mut seen: Vec<&str> = Vec::new();
        let mut conditions = Vec::new();
        for (operator, key, values) in &rule.conditions {
            if !seen.contains(operator) {
                seen.push(operator);
                conditions.push(format!("\"{operator}\":{{\"{key}\":[{}]}}", list(values)));
            }
        }
        let _ = write!(text, ",\"Condition\":{{{}}}}}", conditions.join(","));
        statements.push(text);
    }
    format!("{{\"Version\":\"2012-10-17\",\"Statement\":[{}]}}", statements.join(","))
}

/// The rules as [`text`] writes them.
fn distinct(case: &mut Case) {
    let policies = case.identity.iter_mut().chain(&mut case.boundary).chain(&mut case.resource);
    for policy in policies.chain(case.session.iter_mut().flatten()) {
        for rule in policy {
            let mut seen = Vec::new();
            rule.conditions.retain(|(operator, ..)| {
                let new = !seen.contains(operator);
                seen.push(*operator);
                new
            });
        }
    }
}

/// The case in the words of the evaluator.
struct Asked {
    facts: Facts,
    identity: Vec<Arc<Document>>,
    boundary: Option<Document>,
    session: Option<Vec<Arc<Document>>>,
    resource: Option<Document>,
}

impl Asked {
    fn of(case: &Case) -> Self {
        let parse = |policy: &Policy, kind| {
            let text = text(policy);
            Document::parse(&text, kind).unwrap_or_else(|error| panic!("{error}: {text}"))
        };
        let identity = |policy: &Policy| Arc::new(parse(policy, Kind::Identity));
        let account = account(case.account);
        let principal = match case.kind {
            "anonymous" => Principal::Anonymous,
            "root" => Principal::Account(account),
            "user" => Principal::User { account, name: "ann".into(), id: "AIDA".into() },
            _ => Principal::Session {
                account,
                role: "reader".into(),
                role_id: "AROA".into(),
                session: "s1".into(),
            },
        };
        let known = matches!(case.kind, "user" | "session");
        let facts = Facts {
            source: case.address.and_then(|address| address.parse().ok()),
            user_agent: case.agent.map(str::to_owned),
            ..facts(principal)
        };
        Self {
            facts,
            identity: case.identity.iter().map(identity).collect(),
            boundary: case
                .boundary
                .as_ref()
                .filter(|_| known)
                .map(|policy| parse(policy, Kind::Identity)),
            session: case
                .session
                .as_ref()
                .filter(|_| known)
                .map(|all| all.iter().map(identity).collect()),
            resource: case.resource.as_ref().map(|policy| parse(policy, Kind::Bucket)),
        }
    }

    fn layers(&self, case: &Case) -> Layers<'_> {
        Layers {
            identity: &self.identity,
            boundary: self.boundary.as_ref(),
            session: self.session.as_deref(),
            resource: self.resource.as_ref(),
            restricted: case.restricted,
            acl: case.acl,
            acl_kept_off: None,
        }
    }
}

fn decide(layers: &Layers<'_>, facts: &Facts, case: &Case) -> bool {
    let (owner, other) = (account(case.owner), case.object_owner.map(account));
    let (bucket, key) = match case.path.split_once('/') {
        Some((bucket, key)) => (bucket, ObjectKey::parse(key).ok()),
        None => (case.path, None),
    };
    let bucket = BucketName::parse(bucket).expect("a name");
    let resource = match &key {
        Some(key) => Resource::Object(&bucket, key),
        None => Resource::Bucket(&bucket),
    };
    let named = |action: &&Action| action.s3_name() == case.action;
    let action = Action::ALL.iter().copied().find(|action| named(&action)).expect("an action");
    let (owner, object_owner) = (Some(&owner), other.as_ref());
    let tags = |value: Option<&str>| {
        value.map(|value| [("t".to_owned(), value.to_owned())].to_vec()).unwrap_or_default()
    };
    let (tags, given) = (tags(case.tag), tags(case.given));
    // They are looked up only if a policy asks for them.
    let object_tags = layers.ask_object_tags(action).then_some(tags.as_slice());
    let context = Context {
        owner,
        object_owner,
        object_tags,
        request_tags: Some(&given),
        ..Context::new(facts, action, resource)
    };
    evaluate(layers, &context).is_allowed()
}

fn count() -> u64 {
    std::env::var("POLICY_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES)
}

fn seed() -> u64 {
    std::env::var("POLICY_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7)
}

/// The first case on which the two differ.
fn difference(count: u64, fault: Fault) -> Option<Case> {
    let mut random = Random(seed());
    for _ in 0..count {
        let mut case = case(&mut random);
        distinct(&mut case);
        let asked = Asked::of(&case);
        if decide(&asked.layers(&case), &asked.facts, &case) != case.allowed(fault) {
            return Some(case);
        }
    }
    None
}

#[test]
fn the_evaluator_agrees_with_one_written_apart() {
    let difference = difference(count(), Fault::None);
    assert!(difference.is_none(), "POLICY_SEED={}: {difference:#?}", seed());
}

#[test]
fn a_planted_fault_is_found() {
    for fault in [
        Fault::ForgetsBoundary,
        Fault::ForgetsSession,
        Fault::AllowBeatsDeny,
        Fault::CrossAccountNeedsOneSide,
        Fault::ForgetsObjectOwner,
        Fault::PolicyGivesWhatIsOthers,
        Fault::NotEqualsNeedsValue,
        Fault::TagsDecideOverWriting,
    ] {
        assert!(difference(CASES, fault).is_some(), "{fault:?}");
    }
}

/// More limits never allow more, and a deny of everything leaves nothing.
#[test]
fn limits_and_denies_only_take_away() {
    let mut random = Random(seed() ^ 1);
    let everything = r#"{"Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}"#;
    let everything = Arc::new(Document::parse(everything, Kind::Identity).expect("a policy"));
    for _ in 0..count() / 2 {
        let mut case = case(&mut random);
        distinct(&mut case);
        // A grant to the very user or session passes its limits; the tables show that.
        case.resource = None;
        let asked = Asked::of(&case);
        let layers = asked.layers(&case);
        let with = |layers: &Layers<'_>| decide(layers, &asked.facts, &case);
        let unlimited = with(&Layers { boundary: None, session: None, ..layers });
        assert!(unlimited || !with(&layers), "POLICY_SEED={}: {case:#?}", seed());
        if matches!(case.kind, "user" | "session") {
            let denied = [everything.clone()];
            assert!(!with(&Layers { boundary: Some(&everything), ..layers }));
            assert!(!with(&Layers { session: Some(&denied), ..layers }));
            assert!(!with(&Layers { identity: &denied, ..layers }));
        }
    }
}
