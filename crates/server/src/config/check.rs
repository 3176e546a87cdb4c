//! Whether a configuration makes sense: every fault at once, each in one sentence.

use std::collections::HashSet;
use std::net::SocketAddr;

use metadata::METADATA_DIRECTORIES_MAX;
use model::limits::{AUDIT_KEEP_DAYS_MAX, BODY_BYTES_PER_SECOND_MIN_MAX, BODY_IDLE_SECONDS_MAX};
use model::names::AccountId;

use crate::config::directory::is_name;
use crate::config::{Account, Config};
use crate::outbound::Allowed;

const COPIES_MAX: usize = 16;
const WAITING_BYTES_MIN: usize = 4 << 20;
const INDEX_CACHE_BYTES_MIN: u64 = 1 << 20;
const SCRUB_DAYS_MAX: u64 = 3650;
const ACCESS_KEY_BYTES: std::ops::RangeInclusive<usize> = 1..=128;
const SECRET_KEY_BYTES: std::ops::RangeInclusive<usize> = 8..=128;
const MASTER_KEY_DIGITS: usize = 64;

impl Config {
    /// All that is wrong with the settings themselves; files and directories are not looked at.
    pub fn check(&self) -> Vec<String> {
        let mut faults = Vec::new();
        self.check_server(&mut faults);
        self.check_storage(&mut faults);
        self.check_background(&mut faults);
        self.check_root(&mut faults);
        if self.tls.certificate.is_some() != self.tls.key.is_some() {
            faults.push("tls.certificate and tls.key belong together".into());
        }
        if tracing_subscriber::EnvFilter::try_new(&self.log.filter).is_err() {
            faults.push(format!("log.filter: {:?} is not a filter", self.log.filter));
        }
        if let Err(fault) = Allowed::parse(&self.outbound.allow) {
            faults.push(format!("outbound.allow: {fault}"));
        }
        self.check_accounts(&mut faults);
        faults
    }

    fn check_background(&self, faults: &mut Vec<String>) {
        let scrub = &self.scrub;
        if scrub.period_days > SCRUB_DAYS_MAX {
            faults.push(format!("scrub.period_days: at most {SCRUB_DAYS_MAX}"));
        }
        if scrub.bytes_per_second_min > scrub.bytes_per_second_max {
            faults.push("scrub.bytes_per_second_min is above scrub.bytes_per_second_max".into());
        }
        if !(1..=AUDIT_KEEP_DAYS_MAX).contains(&self.audit.keep_days) {
            faults.push(format!("audit.keep_days: between 1 and {AUDIT_KEEP_DAYS_MAX}"));
        }
        if self.placement.bytes_per_second_max == 0 {
            faults.push("placement.bytes_per_second_max: 0 would move nothing ever".into());
        }
    }

    fn check_server(&self, faults: &mut Vec<String>) {
        let server = &self.server;
        if server.listen.is_empty() {
            faults.push("server.listen: at least one address is needed".into());
        }
        for address in &server.listen {
            if address.parse::<SocketAddr>().is_err() {
                faults.push(format!(
                    "server.listen: {address:?} is not an address such as 127.0.0.1:9000"
                ));
            }
        }
        for domain in &server.domains {
            if !is_domain(domain) {
                faults.push(format!("server.domains: {domain:?} is not a domain name"));
            }
        }
        if let Some(url) = &server.public_url {
            let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
            if rest.is_none_or(|rest| rest.is_empty() || rest.contains(['/', '?', '#', ' '])) {
                faults.push(format!(
                    "server.public_url: {url:?} is not a URL such as https://s3.example.com"
                ));
            }
        }
        for network in &server.trusted_proxies {
            if network.parse::<ipnet::IpNet>().is_err() {
                faults.push(format!(
                    "server.trusted_proxies: {network:?} is not a network such as 10.0.0.0/8"
                ));
            }
        }
        if server.connections_max == 0 {
            faults.push("server.connections_max: 0 would let nobody in".into());
        }
        if !(1..=BODY_IDLE_SECONDS_MAX).contains(&server.body_idle_seconds) {
            faults.push(format!("server.body_idle_seconds: 1 to {BODY_IDLE_SECONDS_MAX}"));
        }
        if server.body_bytes_per_second_min > BODY_BYTES_PER_SECOND_MIN_MAX {
            let most = BODY_BYTES_PER_SECOND_MIN_MAX;
            faults.push(format!("server.body_bytes_per_second_min: at most {most}"));
        }
    }

    fn check_storage(&self, faults: &mut Vec<String>) {
        let storage = &self.storage;
        if storage.directories.is_empty() {
            faults.push("storage.directories: at least one directory is needed".into());
        }
        let mut paths = HashSet::new();
        for directory in self.directories() {
            if !paths.insert(directory.path.clone()) {
                let path = directory.path.display();
                faults.push(format!("storage.directories: {path} is there twice"));
            }
        }
        if storage.metadata.len() > METADATA_DIRECTORIES_MAX {
            faults.push("storage.metadata: at most 3 directories".into());
        }
        if let Some(region) = storage.region.as_ref().filter(|region| !is_name(region)) {
            faults.push(format!("storage.region: {region:?} is not a region name"));
        }
        if storage.waiting_bytes_max < WAITING_BYTES_MIN {
            faults.push(format!("storage.waiting_bytes_max: at least {WAITING_BYTES_MIN}"));
        }
        if storage.index_cache_bytes < INDEX_CACHE_BYTES_MIN {
            faults.push(format!("storage.index_cache_bytes: at least {INDEX_CACHE_BYTES_MIN}"));
        }
        let copies = storage.copies.unwrap_or(1);
        if !(1..=COPIES_MAX).contains(&copies) {
            faults.push(format!("storage.copies: {copies} is not between 1 and {COPIES_MAX}"));
        }
        if let Some(least) = storage.min_copies
            && (least == 0 || storage.copies.is_some_and(|copies| least > copies))
        {
            faults.push(format!("storage.min_copies: {least} is not between 1 and copies"));
        }
        for id in &storage.accept_loss {
            if id.parse::<blobs::DirectoryId>().is_err() {
                faults.push(format!("storage.accept_loss: {id:?} is not a directory id"));
            }
        }
        if storage.master_key.as_ref().is_some_and(|key| !is_master_key(key.reveal())) {
            faults.push("storage.master_key: 64 hexadecimal digits are needed".into());
        }
    }

    fn check_root(&self, faults: &mut Vec<String>) {
        match (&self.root.access_key, &self.root.secret_key) {
            (None, None) => {}
            (Some(access), Some(secret)) => check_key("root", access, secret.reveal(), faults),
            _ => faults.push("root.access_key and root.secret_key belong together".into()),
        }
    }

    fn check_accounts(&self, faults: &mut Vec<String>) {
        let mut ids = HashSet::new();
        let mut canonical_ids = HashSet::new();
        let mut keys: HashSet<&str> = self.root.access_key.iter().map(String::as_str).collect();
        for (index, account) in self.account.iter().enumerate() {
            let place = format!("account {} ({:?})", index + 1, account.name);
            check_account(&place, account, faults);
            if account.id.as_ref().is_some_and(|id| !ids.insert(id)) {
                faults.push(format!("{place}: another account has this id"));
            }
            if account.canonical_id.as_ref().is_some_and(|id| !canonical_ids.insert(id)) {
                faults.push(format!("{place}: another account has this canonical_id"));
            }
            let users = account.users.iter();
            for key in account.keys.iter().chain(users.flat_map(|user| &user.keys)) {
                if !keys.insert(&key.access_key) {
                    let access = &key.access_key;
                    faults.push(format!("{place}: the access key {access:?} is there twice"));
                }
            }
        }
    }
}

fn check_account(place: &str, account: &Account, faults: &mut Vec<String>) {
    if account.name.is_empty() {
        faults.push(format!("{place}: a name is needed"));
    }
    match account.id.as_deref().map(AccountId::parse) {
        // Without an id of its own the account could not be recognised at the next start.
        None if account.keys.is_empty() => {
            faults.push(format!("{place}: an id or a key is needed to recognise it"));
        }
        Some(None) => faults.push(format!("{place}: this is not an account id")),
        _ => {}
    }
    let mut names = HashSet::new();
    for user in &account.users {
        if user.name.is_empty() || !names.insert(user.name.to_lowercase()) {
            faults.push(format!("{place}: each user needs a name of its own"));
        }
    }
    let users = account.users.iter();
    for key in account.keys.iter().chain(users.flat_map(|user| &user.keys)) {
        check_key(place, &key.access_key, key.secret_key.reveal(), faults);
    }
}

fn check_key(place: &str, access: &str, secret: &str, faults: &mut Vec<String>) {
    let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b',' | b'=' | b':' | b'/');
    if !ACCESS_KEY_BYTES.contains(&access.len()) || !access.bytes().all(plain) {
        faults.push(format!(
            "{place}: an access key is 1 to 128 visible ASCII characters without , = : /"
        ));
    }
    let visible = secret.bytes().all(|b| b.is_ascii_graphic());
    if !SECRET_KEY_BYTES.contains(&secret.len()) || !visible {
        faults.push(format!("{place}: a secret key is 8 to 128 visible ASCII characters"));
    }
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

fn is_master_key(text: &str) -> bool {
    text.len() == MASTER_KEY_DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Key, Secret};

    #[test]
    fn the_defaults_are_sound() {
        assert_eq!(Config::default().check(), Vec::<String>::new());
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let mut config = Config::default();
        config.server.listen = vec!["nowhere".into()];
        config.server.public_url = Some("ftp://x".into());
        config.storage.copies = Some(2);
        config.storage.min_copies = Some(3);
        config.storage.waiting_bytes_max = 0;
        config.storage.index_cache_bytes = 0;
        config.storage.directories = vec!["a".into(), "z=a".into()];
        config.tls.key = Some("key.pem".into());
        config.root.access_key = Some("ROOT".into());
        assert_eq!(config.check().len(), 8, "{:#?}", config.check());
    }

    #[test]
    fn two_accounts_cannot_share_a_key() {
        let key = Key { access_key: "SAME".into(), secret_key: Secret::new("12345678") };
        let named = |name: &str| Account {
            name: name.into(),
            keys: vec![key.clone()],
            ..Account::default()
        };
        let config = Config { account: vec![named("a"), named("b")], ..Config::default() };
        assert_eq!(config.check(), ["account 2 (\"b\"): the access key \"SAME\" is there twice"]);
    }
}
