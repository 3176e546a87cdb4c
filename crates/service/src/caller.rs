//! Who asks, with what policies may ask of the request.

use chrono::{DateTime, Utc};
use model::{environment::unix_ms, names::AccountId, policy::Facts, records::Account};

use crate::entities::{SecondFactor, Standing};

/// The one who asks for an operation.
#[derive(Clone, Debug)]
pub struct Caller {
    pub facts: Facts,
    /// What its own policies say: of a user or a session.
    pub standing: Standing,
    /// The account behind the principal; `None` for anonymous callers and workers.
    pub account: Option<Account>,
    /// The request it asks in, as its answer names it.
    pub request_id: String,
    /// `x-amz-expected-bucket-owner`: refuse when the bucket belongs to somebody else.
    pub expected_owner: Option<String>,
    /// `x-amz-source-expected-bucket-owner`: the same for the source of a copy.
    pub expected_source_owner: Option<String>,
    /// `x-amz-mfa`: what is shown for this one request.
    pub factor: Option<SecondFactor>,
}

impl Caller {
    /// A background worker of the server.
    pub fn system(worker: &'static str, now: DateTime<Utc>) -> Self {
        Self::from_facts(Facts::system(worker, unix_ms(now)), None)
    }

    pub fn from_facts(facts: Facts, account: Option<Account>) -> Self {
        let standing = Standing::default();
        Self {
            facts,
            standing,
            account,
            request_id: String::new(),
            expected_owner: None,
            expected_source_owner: None,
            factor: None,
        }
    }

    /// The account the caller belongs to.
    pub fn account_id(&self) -> Option<&AccountId> {
        self.facts.principal.account()
    }
}
