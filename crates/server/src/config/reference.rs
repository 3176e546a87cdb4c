//! What each setting is for, and the two pages made from that.
//!
//! Names and defaults come from [`Config`], flags and variables from the command line, and only
//! the sentences stand here. A test refuses a setting without a sentence.

use std::fmt::Write;

use clap::CommandFactory;
use serde_json::{Map, Value};

use crate::cli::{self, Cli};
use crate::config::Config;

/// One setting: section and name, what it does, and what to write where the default is nothing.
struct Setting {
    name: &'static str,
    about: &'static str,
    example: Option<&'static str>,
    /// Its variable, if it has no flag.
    variable: Option<&'static str>,
}

const fn setting(name: &'static str, about: &'static str) -> Setting {
    Setting { name, about, example: None, variable: None }
}

impl Setting {
    const fn example(self, example: &'static str) -> Self {
        Self { example: Some(example), ..self }
    }

    const fn variable(self, variable: &'static str) -> Self {
        Self { variable: Some(variable), ..self }
    }
}

const SECTIONS: &[(&str, &str)] = &[
    ("server", "Where clients come in."),
    ("tls", "HTTPS with a certificate of your own. Both files are read again when they change."),
    ("storage", "Where the data lies, and in how many copies."),
    ("buckets", "What new buckets begin with."),
    (
        "scrub",
        "Reading the whole store in the background, to find rot while other copies are good.",
    ),
    ("placement", "Moving blobs when directories come and go or the number of copies changes."),
    ("audit", "Who changed accounts, users, roles, policies, keys and the access to buckets."),
    (
        "outbound",
        "Requests to other servers, such as OpenID Connect providers. Only https to addresses of \
         the internet is let through, unless a host is named here.",
    ),
    ("root", "The key pair of the root account. Without it one is made at the first start."),
    ("log", "What goes to standard error."),
];

const SETTINGS: &[Setting] = &[
    setting("server.listen", "Addresses to listen on, IPv4 or IPv6. Port 0 picks a free one."),
    setting(
        "server.domains",
        "Domains of virtual-host style requests (bucket.DOMAIN). localhost works undeclared.",
    )
    .example(r#"["s3.example.com"]"#),
    setting(
        "server.public_url",
        "How clients reach this server, if not by the address it listens on.",
    )
    .example(r#""https://s3.example.com""#),
    setting(
        "server.trusted_proxies",
        "Networks of reverse proxies whose X-Forwarded-For and X-Forwarded-Proto are believed.",
    )
    .example(r#"["127.0.0.1/32"]"#),
    setting("server.threads", "Threads that speak HTTP. 0 means one for each processor."),
    setting("server.connections_max", "Open connections. Further ones are refused with 503."),
    setting("server.body_idle_seconds", "How long the body of a request may stand still."),
    setting(
        "server.body_bytes_per_second_min",
        "Bodies that come in more slowly, over a minute of waiting, are given up. 0 takes any.",
    ),
    setting(
        "server.drain_seconds",
        "How long running requests may go on after SIGTERM before they are cut off.",
    ),
    setting("tls.certificate", "File with the certificate chain in PEM form.")
        .example(r#""/etc/larder/tls.crt""#),
    setting("tls.key", "File with the private key in PEM form.")
        .example(r#""/etc/larder/tls.key""#),
    setting(
        "storage.directories",
        "Data directories: [[REGION/]ZONE=]DIR. Labels count when a directory is first used.",
    ),
    setting(
        "storage.metadata",
        "Up to 3 data directories that hold the metadata. Chosen by zone if none is named; \
         counts at the first start only.",
    )
    .example(r#"["/mnt/disk1", "/mnt/disk2"]"#),
    setting(
        "storage.region",
        "Region of directories without a label, and the default of buckets. \
         Without it: the first region named, or us-east-1 if a directory has no region.",
    )
    .example(r#""us-east-1""#),
    setting(
        "storage.copies",
        "Copies of each object's bytes, in distinct zones first. \
         Without it: 2, or 1 if the region has one directory.",
    )
    .example("2"),
    setting(
        "storage.min_copies",
        "A write is refused if fewer copies can be made. Without it: as many as copies. \
         A lower number lowers what a success means.",
    )
    .example("2"),
    setting(
        "storage.accept_loss",
        "Ids of metadata directories that are lost for good: the start goes on without them.",
    )
    .example(r#"["0123456789abcdef0123456789abcdef"]"#),
    setting(
        "storage.waiting_bytes_max",
        "Bytes of uploads that wait in memory to be written, all together. Beyond it large \
         uploads are refused with 503.",
    ),
    setting(
        "storage.index_cache_bytes",
        "Bytes of the index that are kept in memory. What does not fit is read from the disk \
         (or its page cache).",
    ),
    setting(
        "storage.master_key",
        "Key that seals stored secrets, 64 hexadecimal digits. \
         Without it: the file master.key in each metadata directory.",
    )
    .variable(cli::MASTER_KEY),
    setting(
        "buckets.block_public_access",
        "New buckets refuse public policies and ACLs until their owner lifts the public access \
         block.",
    ),
    setting(
        "buckets.object_ownership",
        "Whose the objects in new buckets are that other accounts write: BucketOwnerEnforced (the \
         bucket owner's, without ACLs of S3), BucketOwnerPreferred or ObjectWriter. Each bucket \
         may have its own (PutBucketOwnershipControls).",
    ),
    setting("scrub.period_days", "Everything is read and checked once in so many days. 0: never."),
    setting("scrub.bytes_per_second_min", "It is read at least so fast, all directories together."),
    setting(
        "scrub.bytes_per_second_max",
        "And at most so fast, even if the period then does not suffice.",
    ),
    setting("placement.bytes_per_second_max", "So much is written for it at most."),
    setting("audit.keep_days", "It is remembered for so many days."),
    setting(
        "outbound.allow",
        "Networks, addresses and hosts that may be asked although they are private, and without \
         TLS if they are named so in the URL.",
    )
    .example(r#"["10.1.2.0/24", "idp.internal"]"#),
    setting(
        "outbound.ca_file",
        "File in PEM form with further certificates to trust, besides those of the system.",
    )
    .example(r#""/etc/larder/ca.pem""#),
    setting("root.access_key", "Access key of the root account.").variable(cli::ROOT_ACCESS_KEY),
    setting("root.secret_key", "Secret key of the root account.").variable(cli::ROOT_SECRET_KEY),
    setting("log.format", "text for people, json for machines."),
    setting("log.filter", "Least level to log, also for single modules (info,gateway=debug)."),
];

/// The sentence about a setting, for the help of its flag.
pub fn about(name: &str) -> &'static str {
    SETTINGS.iter().find(|setting| setting.name == name).map_or("", |setting| setting.about)
}

/// The sample configuration file: everything at its default and commented out.
pub fn sample() -> String {
    let mut page = String::from(
        "# Configuration of Larder. Every setting is shown with its default, or with an example\n\
         # if there is none. Generated from crates/server/src/config; see docs/configuration.md.\n",
    );
    for (section, about) in SECTIONS {
        let _ = write!(page, "\n# {about}\n[{section}]\n");
        for setting in of_section(section) {
            for line in wrapped(setting.about) {
                let _ = writeln!(page, "# {line}");
            }
            let name = short(setting.name);
            let value = default_value(setting.name);
            let _ = match (&value, setting.example) {
                (_, Some(example)) => writeln!(page, "#{name} = {example}"),
                (Value::Null, None) => writeln!(page, "#{name} = \"\""),
                (value, None) => writeln!(page, "#{name} = {value}"),
            };
        }
    }
    page.push_str(ACCOUNT_SAMPLE);
    page
}

const ACCOUNT_SAMPLE: &str = r##"
# An account that is created at the start if it is absent. A difference from what is stored is
# reported and not applied. Repeat the table for each account.
#[[account]]
#name = "Backup"
# Any text up to 128 bytes, in OSS the owner's id; without it 12 random digits.
#id = "123456789012"
# Owner id in S3; without it 64 random hexadecimal digits.
#canonical_id = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"
#email = "backup@example.com"
#keys = [{ access_key = "BACKUPKEY", secret_key = "at-least-8-visible-characters" }]
# Users of the account; a difference from what is stored is not applied either.
#[[account.users]]
#name = "ann"
#path = "/"
# Without it a random one that begins with AIDA.
#id = "AIDAEXAMPLE0000000001"
#keys = [{ access_key = "ANNKEY", secret_key = "at-least-8-visible-characters" }]
#policies = ["arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"]
# A policy of its own, as JSON between '''.
#policy = '''{"Statement": {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}}'''
"##;

/// The page `docs/configuration.md`.
pub fn page() -> String {
    let mut page = String::from(
        "<!-- Generated from crates/server/src/config. \
         UPDATE=1 cargo test -p protocol-tests --test generated_pages refreshes it. -->\n\
         # Configuration\n\n\
         Settings come from the file given by `--config`, then from `LARDER_…` variables, then\n\
         from flags; the later wins. A variable or flag with several values separates them with\n\
         commas. [deploy/config.toml](../deploy/config.toml) is a file to start from. An unknown\n\
         name is an error, and all faults are told at once.\n",
    );
    let command = Cli::command();
    let flags: Vec<&clap::Arg> = command.get_arguments().collect();
    let serve = command.find_subcommand("serve");
    let positional = serve.into_iter().flat_map(clap::Command::get_arguments);
    let flags: Vec<&clap::Arg> = flags.into_iter().chain(positional).collect();
    for (section, about) in SECTIONS {
        let _ = write!(page, "\n## `[{section}]`\n\n{about}\n\n");
        page.push_str("| setting | default | flag | variable | meaning |\n|---|---|---|---|---|\n");
        for setting in of_section(section) {
            let argument = flags.iter().find(|flag| flag.get_id() == setting.name);
            let flag = argument.map(|flag| flag_text(flag)).unwrap_or_default();
            let variable = argument.and_then(|flag| flag.get_env()).map(|it| it.to_string_lossy());
            let variable = variable.or_else(|| setting.variable.map(Into::into));
            let default = match default_value(setting.name) {
                Value::Null => String::new(),
                value => code(&value.to_string()),
            };
            let _ = writeln!(
                page,
                "| `{}` | {default} | {flag} | {} | {} |",
                short(setting.name),
                variable.map(|name| code(&name)).unwrap_or_default(),
                setting.about,
            );
        }
    }
    page.push_str(ACCOUNT_PAGE);
    page
}

const ACCOUNT_PAGE: &str = "
## `[[account]]`

Accounts that are created at the start if they are absent. A difference from what is stored is
logged and not applied. An account is recognised by its id, or by one of its access keys.

| setting | default | meaning |
|---|---|---|
| `name` | | Display name. |
| `id` | 12 random digits | Any text up to 128 bytes; in OSS the owner's id. |
| `canonical_id` | 64 random hexadecimal digits | Owner id in S3. |
| `email` | | Any text. |
| `keys` | one random pair | `[{ access_key = \"…\", secret_key = \"…\" }]` |

## `[[account.users]]`

Users of the account before them, under the same rule.

| setting | default | meaning |
|---|---|---|
| `name` | | Unique in the account. |
| `path` | `/` | Begins and ends with a slash. |
| `id` | random | Unique id, as `AIDA…`. |
| `keys` | none | At most two pairs. |
| `policies` | none | ARNs of managed policies. |
| `policy` | none | A policy of its own, as JSON; its name is `declared`. |
";

fn of_section(section: &str) -> impl Iterator<Item = &'static Setting> {
    let prefix = format!("{section}.");
    SETTINGS.iter().filter(move |setting| setting.name.starts_with(&prefix))
}

fn short(name: &str) -> &str {
    name.split_once('.').map_or(name, |(_, short)| short)
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn flag_text(argument: &clap::Arg) -> String {
    argument.get_long().map_or_else(|| code("DIR…"), |long| code(&format!("--{long}")))
}

/// The default of `section.name`, as JSON, which TOML writes the same way.
fn default_value(name: &str) -> Value {
    let (section, short) = name.split_once('.').unwrap_or(("", name));
    defaults().get(section).and_then(|section| section.get(short)).cloned().unwrap_or_default()
}

fn defaults() -> Map<String, Value> {
    match serde_json::to_value(Config::default()) {
        Ok(Value::Object(sections)) => sections,
        _ => Map::new(),
    }
}

/// Words in lines that fit behind `# `.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + word.len() < 96 => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_has_a_sentence_and_every_sentence_a_setting() {
        let mut named: Vec<String> = SETTINGS.iter().map(|setting| setting.name.into()).collect();
        let mut existing = Vec::new();
        for (section, settings) in defaults() {
            if let Value::Object(settings) = settings {
                existing.extend(settings.keys().map(|name| format!("{section}.{name}")));
            }
        }
        named.sort();
        existing.sort();
        assert_eq!(named, existing);
    }

    #[test]
    fn the_sample_says_what_the_program_does() {
        let uncommented: String = sample()
            .lines()
            .filter_map(|line| match line.strip_prefix('#') {
                Some(setting) if setting.starts_with(char::is_lowercase) => Some(setting),
                Some(table) if table.starts_with("[[") => Some(table),
                Some(_) => None,
                None => Some(line),
            })
            .map(|line| format!("{line}\n"))
            .collect();
        let shown: Config = toml::from_str(&uncommented).expect("the sample is a configuration");
        assert_eq!(shown.server.listen, Config::default().server.listen);
        assert_eq!(shown.account[0].keys[0].access_key, "BACKUPKEY");
        let empty: Config = toml::from_str(&sample()).expect("the sample is a configuration");
        assert_eq!(empty, Config::default());
    }
}
