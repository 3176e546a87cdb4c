//! Who may do what: statements, and the decision they lead to.
//!
//! The owner's right is a statement like any other, see [`owner_statement`].

mod action;
mod evaluate;

pub use action::Action;
pub use evaluate::{
    Actions, Decision, Effect, Facts, Principal, Principals, Resource, Resources, Statement,
    evaluate, owner_statement,
};
