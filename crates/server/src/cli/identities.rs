//! The commands for users, groups, roles and policies: `larder user`, `group`, `role`, `policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Remote;

pub const IDENTITY_HELP: &str = "\
They ask the interface of AWS IAM on the server, as `aws iam` does, in the account of the keys in
LARDER_ACCESS_KEY and LARDER_SECRET_KEY, else of the root account.

Examples:
  larder user create ann
  larder user key create ann
  larder group create readers
  larder group add readers ann
  larder policy attach AmazonS3ReadOnlyAccess --group readers
  larder role create backup --trust arn:aws:iam::100000000001:user/ann";

pub const POLICY_HELP: &str = "\
A policy is named by its name, also AdministratorAccess and the others that every account has, or by
its ARN. They ask in the account of the keys in LARDER_ACCESS_KEY and LARDER_SECRET_KEY, else of the
root account.

Examples:
  larder policy create photos-read photos-read.json
  larder policy attach photos-read --user ann
  larder policy show photos-read
  larder policy detach photos-read --user ann";

#[derive(Debug, Subcommand)]
pub enum User {
    /// Creates a user
    Create(NewEntity),
    /// Lists all users
    List(Remote),
    /// Shows a user: its groups, policies and keys
    Show(OneName),
    /// Deletes a user that has no keys, groups and policies
    Delete(OneName),
    /// Manages the keys of a user
    #[command(subcommand)]
    Key(UserKey),
}

#[derive(Debug, Subcommand)]
pub enum UserKey {
    /// Makes a key and prints its secret, which is not shown again
    Create(OneName),
    /// Lists the keys of a user
    List(OneName),
    /// Switches a key off
    Disable(OneKey),
    /// Switches a key on again
    Enable(OneKey),
    /// Deletes a key
    Delete(OneKey),
}

#[derive(Debug, Subcommand)]
pub enum Group {
    /// Creates a group
    Create(NewEntity),
    /// Lists all groups
    List(Remote),
    /// Shows a group: its users and policies
    Show(OneName),
    /// Puts a user into a group
    Add(Membership),
    /// Takes a user out of a group
    Remove(Membership),
    /// Deletes a group without users and policies
    Delete(OneName),
}

#[derive(Debug, Subcommand)]
pub enum Role {
    /// Creates a role
    Create(NewRole),
    /// Lists all roles
    List(Remote),
    /// Shows a role: whom it trusts, and its policies
    Show(OneName),
    /// Deletes a role without policies
    Delete(OneName),
}

#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Creates a policy from a file
    Create(NewPolicy),
    /// Lists the policies of the account
    List(ListPolicies),
    /// Shows the text of a policy
    Show(OneName),
    /// Gives a policy to a user, group or role
    Attach(Attachment),
    /// Takes a policy from a user, group or role
    Detach(Attachment),
    /// Deletes a policy nobody has
    Delete(OneName),
}

#[derive(Debug, Args)]
pub struct NewEntity {
    pub name: String,
    /// A path that stands in its ARN, such as /division/
    #[arg(long, default_value = "/")]
    pub path: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct NewRole {
    #[command(flatten)]
    pub entity: NewEntity,
    /// The account or ARN that may take it on
    #[arg(long, value_name = "PRINCIPAL", required_unless_present = "trust_policy")]
    pub trust: Option<String>,
    /// A file with the policy that says who may take it on, or - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "trust")]
    pub trust_policy: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct OneName {
    pub name: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct OneKey {
    /// Name of the user
    pub name: String,
    pub access_key: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct Membership {
    pub group: String,
    pub user: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct NewPolicy {
    pub name: String,
    /// Its text in JSON, or - for standard input
    pub file: PathBuf,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct ListPolicies {
    /// Those too that every account has
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct Attachment {
    /// Name or ARN
    pub policy: String,
    #[command(flatten)]
    pub holder: Holder,
    #[command(flatten)]
    pub remote: Remote,
}

/// Who has a policy.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Holder {
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    #[arg(long, value_name = "NAME")]
    pub role: Option<String>,
}
