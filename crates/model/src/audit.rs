//! Who changed what may be done by whom, and when: what is kept of such a change. The field numbers
//! are persisted: never reuse or renumber one.

use minicbor::{Decode, Encode};

use crate::names::AccountId;

/// One change of accounts, users, groups, roles, policies, keys or of who may use a bucket. It
/// never holds a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct AuditEntry {
    #[n(0)]
    pub at_ms: i64,
    /// The ARN of whoever asked, or what it was without being asked.
    #[n(1)]
    pub who: String,
    #[n(2)]
    pub access_key: Option<String>,
    /// The account of whoever asked.
    #[n(3)]
    pub account: Option<AccountId>,
    #[n(4)]
    pub address: Option<String>,
    #[n(5)]
    pub user_agent: Option<String>,
    #[n(6)]
    pub request_id: String,
    /// As policies name it.
    #[n(7)]
    pub action: String,
    /// The ARN of what was changed.
    #[n(8)]
    pub resource: String,
    /// What else was named: names with values.
    #[n(9)]
    pub details: Vec<(String, String)>,
}
