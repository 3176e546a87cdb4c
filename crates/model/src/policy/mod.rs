//! Who may do what: policy documents of both languages, and the decision they lead to.
//!
//! A document is compiled by [`Document::parse`]; [`evaluate`] asks all [`Layers`] that have a say.
//! What an account may do in its own buckets is decided there too, as one more layer.

mod action;
mod bucket;
mod condition;
mod document;
mod evaluate;
mod explain;
mod facts;
mod index;
mod json;
mod keys;
mod named;
mod principals;
mod wildcard;

#[cfg(test)]
mod tests;

pub use action::{Action, ActionSet, Level, Vocabulary, named as actions_named};
pub use bucket::{check as check_bucket_policy, is_public};
pub use document::{Document, Effect, Kind, Language, Statement};
pub use evaluate::{
    Decision, Layer, Layers, Place, assume, evaluate, might_allow, trusts_web_identity,
};
pub use explain::{Asked, Grant, Remedy, Seen, Wish, asked_of, remedy, seen};
pub use facts::{Context, Facts, Principal, Resource, Signature};
pub use keys::Key;
pub use named::show_named;
pub use principals::{Principals, Who};
pub use wildcard::{Token, matches};
