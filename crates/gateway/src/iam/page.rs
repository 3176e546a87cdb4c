//! What there is of IAM and STS, as data and as a compatibility page.

use std::fmt::Write as _;

use model::policy::Level;

use super::served;

/// Every action, with its service: `iam` or `sts`.
pub fn list() -> impl Iterator<Item = (&'static str, &'static str)> {
    served().map(|action| match action.level() {
        Level::Sts => ("sts", action.name()),
        _ => ("iam", action.name()),
    })
}

/// The compatibility page, in Markdown.
pub fn page() -> String {
    let mut page = String::from(
        "# AWS IAM and STS: what is served\n\n\
         Generated from the list of actions; do not edit.\n\n\
         Both are query interfaces on the port of everything else: `POST /` with a form that \
         names an `Action`, signed for the service `iam` or `sts` in any region. Each asks for the \
         action of its own name on the ARN it is about; `GetCallerIdentity` and `GetSessionToken` \
         ask for nothing, and `AssumeRoleWithWebIdentity` needs no signature. All other actions of \
         IAM and STS answer 501 `NotImplemented`. What it means is told in [Who may do \
         what](security.md).\n\n\
         | Action | Service |\n\
         | --- | --- |\n",
    );
    for (service, name) in list() {
        // Writing to a String cannot fail.
        let _ = writeln!(page, "| {name} | {service} |");
    }
    page
}
