//! The command line: commands, flags, and how flags override the configuration file.

use std::num::ParseIntError;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, NaiveDate};
use clap::{Args, Parser, Subcommand};

mod identities;

pub use identities::{
    Group, Holder, Membership, NewEntity, OneKey, OneName, Policy, Role, User, UserKey,
};
use identities::{IDENTITY_HELP, POLICY_HELP};

use crate::config::reference::about;
use crate::config::{Config, LogFormat, Secret};

/// An object storage server that speaks Amazon S3 and Alibaba OSS on one port.
#[derive(Debug, Parser)]
#[command(name = "larder", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub flags: Flags,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serves data directories; without a command this happens with ./larder-data
    Serve(Serve),
    /// Prints the lines to paste for clients
    Env(Env),
    /// Manages the accounts of a running server
    #[command(subcommand)]
    Account(Account),
    /// Manages the users of an account, and their keys
    #[command(subcommand, after_help = IDENTITY_HELP)]
    User(User),
    /// Manages the groups of an account
    #[command(subcommand, after_help = IDENTITY_HELP)]
    Group(Group),
    /// Manages the roles of an account
    #[command(subcommand, after_help = IDENTITY_HELP)]
    Role(Role),
    /// Manages policies, and who has them
    #[command(subcommand, after_help = POLICY_HELP)]
    Policy(Policy),
    /// Reads every copy of every object: exit code 0 if all is well, 1 if not, 2 if it cannot tell
    Check(Check),
    /// Tells who may do what, without doing it
    #[command(subcommand, after_help = ACCESS_HELP)]
    Access(Access),
    /// Tells who changed accounts, users, roles, policies, keys and the access to buckets
    #[command(after_help = AUDIT_HELP)]
    Audit(Audit),
    /// Tells why a running server refused a request, and what would let it through
    #[command(after_help = EXPLAIN_HELP)]
    Explain(Explain),
    /// Shows a bucket of a running server, and sets how many copies its bytes have
    #[command(subcommand)]
    Bucket(Bucket),
    /// Manages the data directories of a running server
    #[command(subcommand)]
    Disk(Disk),
    /// Writes all metadata as it is at one moment to a file, while the server runs
    Export(Export),
    /// Puts exported metadata into the directories of a stopped store
    Import(Import),
    /// Asks a running server whether it is ready: exit code 0 if so, 1 if not
    Health(Remote),
    /// Looks at what surrounds the store: disks, clock, limits, addresses, certificate
    Doctor(Doctor),
    /// Lists every operation of both protocols and whether it is served
    Operations(Output),
}

#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    pub directories: Directories,
    #[command(flatten)]
    pub flags: Flags,
}

#[derive(Debug, Args)]
pub struct Env {
    #[command(flatten)]
    pub directories: Directories,
    #[command(flatten)]
    pub flags: Flags,
    /// Prints the secret key too
    #[arg(long)]
    pub show_secret: bool,
}

#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    pub directories: Directories,
    #[command(flatten)]
    pub flags: Flags,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub directories: Directories,
    #[command(flatten)]
    pub flags: Flags,
    /// Writes bad copies anew from good ones, and corrects counters
    #[arg(long)]
    pub repair: bool,
    /// Only this bucket
    #[arg(long, value_name = "BUCKET")]
    pub bucket: Option<String>,
    /// Opens the directories itself; no server may have them open
    #[arg(long)]
    pub offline: bool,
    /// Makes metadata anew from the blobs, when all of it is gone: the last resort. Offline
    #[arg(long, conflicts_with_all = ["repair", "bucket", "json"])]
    pub rebuild: bool,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct Export {
    /// Where to: a file, which is replaced only by a whole export, or - for standard output
    pub file: PathBuf,
    #[command(flatten)]
    pub directories: Directories,
    #[command(flatten)]
    pub flags: Flags,
    /// Opens the directories itself; no server may have them open
    #[arg(long)]
    pub offline: bool,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct Import {
    /// What `larder export` wrote
    pub file: PathBuf,
    #[arg(
        id = "storage.directories",
        long = "into",
        value_name = "DIR",
        env = "LARDER_DIRECTORIES",
        num_args = 1..
    )]
    /// All directories of the store; no server may have them open
    #[arg(value_delimiter = ',')]
    pub into: Vec<String>,
    #[command(flatten)]
    pub flags: Flags,
    /// Only reads the file, and says whether it is whole
    #[arg(long, conflicts_with_all = ["replace", "accept_missing"])]
    pub verify: bool,
    /// Metadata that is there is put aside, as meta.old
    #[arg(long)]
    pub replace: bool,
    /// Goes on although the export knows directories that were not given
    #[arg(long)]
    pub accept_missing: bool,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Default, Args)]
pub struct Directories {
    #[arg(
        id = "storage.directories",
        value_name = "[[REGION/]ZONE=]DIR",
        env = "LARDER_DIRECTORIES"
    )]
    #[arg(help = about("storage.directories"), value_delimiter = ',')]
    pub directories: Vec<String>,
}

/// Settings of the server. Nothing given means: as in the file, or the default.
#[derive(Debug, Default, Args)]
pub struct Flags {
    /// Configuration file
    #[arg(long, value_name = "FILE", env = "LARDER_CONFIG")]
    pub config: Option<PathBuf>,

    #[arg(id = "server.listen", long = "listen", env = "LARDER_LISTEN", value_name = "ADDRESS")]
    #[arg(help = about("server.listen"), value_delimiter = ',')]
    listen: Vec<String>,

    #[arg(id = "server.domains", long = "domain", env = "LARDER_DOMAIN", value_name = "NAME")]
    #[arg(help = about("server.domains"), value_delimiter = ',')]
    domains: Vec<String>,

    #[arg(id = "server.public_url", long = "public-url", env = "LARDER_PUBLIC_URL")]
    #[arg(help = about("server.public_url"), value_name = "URL")]
    public_url: Option<String>,

    #[arg(id = "tls.certificate", long = "tls-cert", env = "LARDER_TLS_CERT", value_name = "FILE")]
    #[arg(help = about("tls.certificate"))]
    certificate: Option<PathBuf>,

    #[arg(id = "tls.key", long = "tls-key", env = "LARDER_TLS_KEY", value_name = "FILE")]
    #[arg(help = about("tls.key"))]
    key: Option<PathBuf>,

    #[arg(id = "storage.metadata", long = "metadata", env = "LARDER_METADATA", value_name = "DIR")]
    #[arg(help = about("storage.metadata"), value_delimiter = ',')]
    metadata: Vec<PathBuf>,

    #[arg(id = "storage.region", long = "region", env = "LARDER_REGION", value_name = "NAME")]
    #[arg(help = about("storage.region"))]
    region: Option<String>,

    #[arg(id = "storage.copies", long = "copies", env = "LARDER_COPIES", value_name = "N")]
    #[arg(help = about("storage.copies"))]
    copies: Option<usize>,

    #[arg(id = "storage.min_copies", long = "min-copies", env = "LARDER_MIN_COPIES")]
    #[arg(help = about("storage.min_copies"), value_name = "N")]
    min_copies: Option<usize>,

    #[arg(id = "storage.accept_loss", long = "accept-loss", env = "LARDER_ACCEPT_LOSS")]
    #[arg(help = about("storage.accept_loss"), value_name = "ID", value_delimiter = ',')]
    accept_loss: Vec<String>,

    #[arg(
        id = "log.format",
        long = "log-format",
        env = "LARDER_LOG_FORMAT",
        value_name = "FORMAT"
    )]
    #[arg(help = about("log.format"))]
    log_format: Option<LogFormat>,

    #[arg(
        id = "log.filter",
        long = "log-filter",
        env = "LARDER_LOG_FILTER",
        value_name = "FILTER"
    )]
    #[arg(help = about("log.filter"))]
    log_filter: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Account {
    /// Creates an account and prints its keys, which are not shown again
    Create(CreateAccount),
    /// Lists all accounts
    List(Remote),
    /// Deletes an account that owns no bucket
    Delete(DeleteAccount),
    /// Takes all second factors from an account, or from one of its users, that lost them
    MfaReset(ResetMfa),
}

#[derive(Debug, Args)]
pub struct CreateAccount {
    /// Display name
    pub name: String,
    #[arg(long)]
    pub email: Option<String>,
    /// Account id; 12 random digits if not given
    #[arg(long)]
    pub id: Option<String>,
    /// Access key; random if not given
    #[arg(long, requires = "secret_key")]
    pub access_key: Option<String>,
    /// Secret key of --access-key
    #[arg(long, requires = "access_key")]
    pub secret_key: Option<Secret>,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct ResetMfa {
    /// Account id
    pub id: String,
    /// One of its users; the account itself if not given
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct DeleteAccount {
    /// Account id
    pub id: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Subcommand)]
pub enum Access {
    /// Lists who may do something: accounts, users, roles, or everybody (anonymous)
    #[command(after_help = ACCESS_HELP)]
    WhoCan(WhoCan),
    /// Tells whether somebody may do something, why, and what would let it through
    #[command(after_help = ACCESS_HELP)]
    Simulate(Simulate),
}

const ACCESS_HELP: &str = "\
ACTION is a word of a policy, such as s3:GetObject. RESOURCE is an ARN, BUCKET, BUCKET/KEY, or * for
what is about a whole account. Nothing is known of the request but the facts given: who may only
under conditions that ask for others is listed as `perhaps`. Only the root account may ask.

Examples:
  larder access who-can s3:GetObject photos/2026/a.jpg
  larder access simulate --as anonymous s3:GetObject photos/a.jpg --fact aws:SourceIp=10.1.2.3
  larder access simulate --as arn:aws:iam::100000000001:user/ann s3:PutObject photos/a.jpg";

#[derive(Debug, Args)]
pub struct Question {
    /// The action as policies name it
    pub action: String,
    /// What it is about
    pub resource: String,
    /// What the request says: a key of a condition and its value; may be given several times
    #[arg(long = "fact", value_name = "KEY=VALUE", value_parser = fact)]
    pub facts: Vec<(String, String)>,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct WhoCan {
    #[command(flatten)]
    pub question: Question,
}

#[derive(Debug, Args)]
pub struct Simulate {
    /// Who asks: anonymous, the id of an account, or the ARN of a user or role
    #[arg(long = "as", value_name = "PRINCIPAL")]
    pub principal: String,
    #[command(flatten)]
    pub question: Question,
}

fn fact(text: &str) -> Result<(String, String)> {
    let pair = text.split_once('=').context("a fact is KEY=VALUE")?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}

const AUDIT_HELP: &str = "\
Only the root account may ask. Entries come in the order in which the changes were made. They are
kept for audit.keep_days, and 100000 by one account at most.

Examples:
  larder audit --since 24h
  larder audit --what iam:PutUserPolicy --json
  larder audit --who user/ann --since 2026-01-01 --until 2026-02-01";

#[derive(Debug, Args)]
pub struct Audit {
    /// Not before this: 2026-01-31, 2026-01-31T12:00:00Z, or 30m, 24h, 7d ago
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub since: Option<Instant>,
    /// Before this
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub until: Option<Instant>,
    /// A part of the ARN, access key or address of whoever made the change
    #[arg(long, value_name = "TEXT")]
    pub who: Option<String>,
    /// A part of the action, or of the ARN of what was changed
    #[arg(long, value_name = "TEXT")]
    pub what: Option<String>,
    #[command(flatten)]
    pub remote: Remote,
}

/// A moment: itself, or so long before now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instant {
    UnixMs(i64),
    AgoMs(i64),
}

fn instant(text: &str) -> Result<Instant> {
    let units = [('m', 60_000), ('h', 3_600_000), ('d', 86_400_000)];
    for (unit, ms) in units {
        let number = text.strip_suffix(unit).and_then(|number| number.parse::<u32>().ok());
        if let Some(number) = number {
            return Ok(Instant::AgoMs(i64::from(number) * ms));
        }
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Ok(Instant::UnixMs(time.timestamp_millis()));
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    let midnight = day.and_then(|day| day.and_hms_opt(0, 0, 0));
    let midnight =
        midnight.with_context(|| format!("{text} is no time, such as 2026-01-31 or 24h"))?;
    Ok(Instant::UnixMs(midnight.and_utc().timestamp_millis()))
}

const EXPLAIN_HELP: &str = "\
The id stands in every answer: in the header x-amz-request-id or x-oss-request-id, and in the body
of an error. The root account is told of all requests, another account of those by its own keys and
to its own buckets. Only the process that refused the request knows, until it ends, and only of the
latest.

Examples:
  larder explain 4F2D0A8C1B7E93D5A6C0F1E2
  larder explain 4F2D0A8C1B7E93D5A6C0F1E2 --json";

#[derive(Debug, Args)]
pub struct Explain {
    /// Id of the request
    #[arg(value_parser = request_id)]
    pub request_id: String,
    #[command(flatten)]
    pub remote: Remote,
}

fn request_id(text: &str) -> Result<String> {
    let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    ensure!(fits, "a request id has letters and digits only");
    Ok(text.to_owned())
}

#[derive(Debug, Subcommand)]
pub enum Bucket {
    /// Shows a bucket: owner, what it holds, its copies and how far they are
    Show(OneBucket),
    /// Sets how many copies its bytes have; what is there is brought to that in the background
    Copies(BucketCopies),
}

#[derive(Debug, Args)]
pub struct OneBucket {
    pub bucket: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct BucketCopies {
    pub bucket: String,
    /// A number, or `default`: as many as everywhere
    #[arg(value_name = "N|default", value_parser = copies)]
    pub copies: Copies,
    /// Waits until everything in the bucket has them
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    pub remote: Remote,
}

/// How many copies the bytes of a bucket are to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Copies {
    Default,
    Exactly(u8),
}

fn copies(text: &str) -> Result<Copies, ParseIntError> {
    match text {
        "default" => Ok(Copies::Default),
        text => text.parse().map(Copies::Exactly),
    }
}

#[derive(Debug, Subcommand)]
pub enum Disk {
    /// Lists all directories, their state, and how far blobs are being moved
    List(Remote),
    /// Makes an empty directory on the server's machine one of the store; prints its id
    Add(AddDisk),
    /// Moves all blobs out of a directory, also of one that is lost: they are copied elsewhere
    Drain(DrainDisk),
    /// Ends emptying a directory: it is used again
    Keep(OneDisk),
    /// Adds a directory, and empties and removes another
    Replace(ReplaceDisk),
    /// Takes a directory that is empty out of the store
    Remove(RemoveDisk),
}

#[derive(Clone, Debug, Args)]
pub struct AddDisk {
    pub path: PathBuf,
    /// Copies go to distinct zones first; the path if not given
    #[arg(long)]
    pub zone: Option<String>,
    #[arg(long)]
    pub region: Option<String>,
    /// Whether it is to hold metadata too; if not given it does when all others do and are fewer
    /// than three
    #[arg(long, value_name = "true|false")]
    pub metadata: Option<bool>,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct DrainDisk {
    /// Id or path
    pub disk: String,
    /// Takes it out of the store once it is empty
    #[arg(long)]
    pub then_remove: bool,
    /// Waits until it is empty
    #[arg(long)]
    pub wait: bool,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct OneDisk {
    /// Id or path
    pub disk: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct ReplaceDisk {
    /// Id or path of the old one
    pub disk: String,
    #[command(flatten)]
    pub add: AddDisk,
    /// Waits until the old one is empty and removed
    #[arg(long)]
    pub wait: bool,
}

#[derive(Debug, Args)]
pub struct RemoveDisk {
    /// Id or path
    pub disk: String,
    /// Even if blobs have copies there; what has no other copy is lost
    #[arg(long)]
    pub accept_loss: bool,
    #[command(flatten)]
    pub remote: Remote,
}

/// How to reach a running server. Keys are taken from `LARDER_ACCESS_KEY` and `LARDER_SECRET_KEY`,
/// else those of the root account from the `LARDER_ROOT_…` variables.
#[derive(Clone, Debug, Args)]
pub struct Remote {
    /// Address of the server
    #[arg(
        long,
        env = "LARDER_ENDPOINT",
        default_value = "http://127.0.0.1:9000",
        value_name = "URL"
    )]
    pub endpoint: String,
    /// Certificates (PEM) to trust besides those of the system
    #[arg(long, env = "LARDER_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Clone, Debug, Args)]
pub struct Output {
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

impl Flags {
    /// The whole configuration: file, variables and flags together, checked.
    ///
    /// # Errors
    /// All faults, one a line.
    pub fn configuration(self, directories: Directories) -> Result<Config> {
        let mut config = Config::read(self.config.as_deref())?;
        self.apply(&mut config);
        apply_secrets(&mut config, |name| std::env::var(name).ok());
        replace(&mut config.storage.directories, directories.directories);
        let faults = config.check();
        if !faults.is_empty() {
            bail!("the configuration is wrong:\n  {}", faults.join("\n  "));
        }
        Ok(config)
    }

    fn apply(self, config: &mut Config) {
        replace(&mut config.server.listen, self.listen);
        replace(&mut config.server.domains, self.domains);
        choose(&mut config.server.public_url, self.public_url);
        choose(&mut config.tls.certificate, self.certificate);
        choose(&mut config.tls.key, self.key);
        replace(&mut config.storage.metadata, self.metadata);
        choose(&mut config.storage.region, self.region);
        choose(&mut config.storage.copies, self.copies);
        choose(&mut config.storage.min_copies, self.min_copies);
        replace(&mut config.storage.accept_loss, self.accept_loss);
        config.log.format = self.log_format.unwrap_or(config.log.format);
        config.log.filter = self.log_filter.unwrap_or_else(|| config.log.filter.clone());
    }
}

/// Variables without a flag: a flag could be seen by every user of the machine.
pub const MASTER_KEY: &str = "LARDER_MASTER_KEY";
pub const ROOT_ACCESS_KEY: &str = "LARDER_ROOT_ACCESS_KEY";
pub const ROOT_SECRET_KEY: &str = "LARDER_ROOT_SECRET_KEY";

/// The keys a command asks with, if they are not those of the root account.
pub const ACCESS_KEY: &str = "LARDER_ACCESS_KEY";
pub const SECRET_KEY: &str = "LARDER_SECRET_KEY";

fn apply_secrets(config: &mut Config, variable: impl Fn(&str) -> Option<String>) {
    choose(&mut config.storage.master_key, variable(MASTER_KEY).map(Secret::new));
    let pair = (variable(ROOT_ACCESS_KEY), variable(ROOT_SECRET_KEY));
    if pair.0.is_some() || pair.1.is_some() {
        config.root.access_key = pair.0;
        config.root.secret_key = pair.1.map(Secret::new);
    }
}

fn replace<T>(setting: &mut Vec<T>, given: Vec<T>) {
    if !given.is_empty() {
        *setting = given;
    }
}

fn choose<T>(setting: &mut Option<T>, given: Option<T>) {
    if given.is_some() {
        *setting = given;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config.toml");
        std::fs::write(&file, "[storage]\ncopies = 1\nregion = \"eu\"\n").unwrap();
        let cli = Cli::try_parse_from([
            "larder",
            "serve",
            "--config",
            file.to_str().unwrap(),
            "--copies",
            "2",
            "a",
            "z=b",
        ]);
        let Some(Command::Serve(serve)) = cli.unwrap().command else { panic!("serve") };
        let config = serve.flags.configuration(serve.directories).unwrap();
        assert_eq!(config.storage.copies, Some(2));
        assert_eq!(config.storage.region.as_deref(), Some("eu"));
        assert_eq!(config.storage.directories, ["a", "z=b"]);
    }

    #[test]
    fn flags_need_no_command_but_directories_do() {
        assert!(Cli::try_parse_from(["larder", "--listen", "[::1]:0"]).is_ok());
        assert!(Cli::try_parse_from(["larder", "helth"]).is_err());
    }
}
