//! Who asks, and policies as a large team has them: all speak of what is asked, none decides it.

use gateway::counting::SIGNED_BY;
use model::{
    AccountId,
    entities::EntityKind,
    policy::{Facts, Principal},
    records::Account,
};
use service::{
    Bootstrap, Caller, Service,
    accounts::NewAccount,
    entities::{NewEntity, NewUser},
};
use std::{fmt::Write as _, sync::Arc};

const ACCOUNT: &str = "123456789012";
const USER: &str = "ann";
const GROUPS: usize = 10;
const POLICIES_PER_GROUP: usize = 2;

fn keys() -> (String, String) {
    (SIGNED_BY.0.to_owned(), SIGNED_BY.1.to_owned())
}

/// The root account has the key.
pub fn root() -> Bootstrap {
    Bootstrap { root: Some(keys()), accounts: Vec::new() }
}

/// A user has the key, whom a policy of its own allows all of S3.
pub fn user() -> Bootstrap {
    let policy = r#"{"Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}"#;
    let user = NewUser {
        name: USER.to_owned(),
        keys: vec![keys()],
        policy: Some(policy.to_owned()),
        ..NewUser::default()
    };
    let account = NewAccount {
        name: "team".to_owned(),
        id: AccountId::parse(ACCOUNT),
        users: vec![user],
        ..NewAccount::default()
    };
    Bootstrap { root: None, accounts: vec![account] }
}

/// Puts the user into groups that have 20 policies of three statements each.
pub async fn join_groups(service: &Arc<Service>) {
    let caller = whole_account();
    for number in 0..GROUPS {
        let group = format!("group-{number}");
        let new = NewEntity { name: group.clone(), path: "/".into(), ..NewEntity::default() };
        let made = service.create_entity(&caller, EntityKind::Group, new).await;
        made.expect("the group is made");
        for policy in 0..POLICIES_PER_GROUP {
            let name = format!("policy-{policy}");
            let text = of_group(number * POLICIES_PER_GROUP + policy);
            let put = service.put_inline(&caller, EntityKind::Group, &group, (&name, &text)).await;
            put.expect("the policy is put");
        }
        service.set_membership(&caller, &group, USER, true).await.expect("the user joins");
    }
}

fn whole_account() -> Caller {
    let id = AccountId::parse(ACCOUNT).expect("an id");
    let account = Account {
        id: id.clone(),
        canonical_id: String::new(),
        name: "team".to_owned(),
        email: None,
        created_ms: 0,
        root: false,
        access_block: None,
    };
    let facts = Facts { principal: Principal::Account(id), ..Facts::system("", 0) };
    Caller::from_facts(facts, Some(account))
}

fn of_group(number: usize) -> String {
    format!(
        r#"{{"Version": "2012-10-17", "Statement": [
            {{"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"],
              "Resource": "arn:aws:s3:::bkt/project-{number:02}/*"}},
            {{"Effect": "Allow", "Action": "s3:Get*",
              "Resource": ["arn:aws:s3:::other-{number:02}", "arn:aws:s3:::other-{number:02}/*"]}},
            {{"Effect": "Deny", "Action": "s3:*", "Resource": "*",
              "Condition": {{"StringEquals": {{"aws:PrincipalTag/team": "{number:02}"}}}}}}]}}"#
    )
}

/// A hundred statements: on folders, and a third on the whole bucket with conditions, also denials.
///
/// - `slow`: with conditions that take long.
pub fn of_bucket(slow: bool) -> String {
    let mut text = String::from(r#"{"Version": "2012-10-17", "Statement": ["#);
    for number in 0..100 {
        let (effect, condition) = match number % 6 {
            _ if slow => ("Allow", condition("StringLike", "aws:PrincipalArn", "*:*a*n*n*x")),
            2 => ("Allow", condition("IpAddress", "aws:SourceIp", &format!("10.{number}.0.0/16"))),
            5 => ("Deny", condition("StringEquals", "aws:username", &format!("left-{number}"))),
            _ => ("Allow", String::new()),
        };
        let place = match condition.as_str() {
            "" => format!("team-{number:02}/*"),
            _ => "*".to_owned(),
        };
        let comma = if number == 0 { "" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            r#"{comma}{{"Effect": "{effect}", "Principal": {{"AWS": "{ACCOUNT}"}},
                "Action": "s3:GetObject", "Resource": "arn:aws:s3:::bkt/{place}"{condition}}}"#
        );
    }
    text.push_str("]}");
    text
}

fn condition(operator: &str, key: &str, value: &str) -> String {
    format!(r#", "Condition": {{"{operator}": {{"{key}": "{value}"}}}}"#)
}
