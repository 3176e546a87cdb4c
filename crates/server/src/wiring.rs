//! How the parts are put together, in the order in which they depend on each other.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use blobs::identity::{Identity, METADATA_FOLDER};
use blobs::{Blobs, Directory, DirectoryId, IncarnationId, StoreId};
use metadata::embedded::{Embedded, EmbeddedSettings, MetadataDirectory};
use metadata::engine::EngineError;
use metadata::{KnownDirectory, Metadata};
use metrics_exporter_prometheus::PrometheusHandle;
use model::environment::{Clock, Entropy, random, unix_ms};
use model::names::AccountId;
use model::policy::{Facts, Principal};
use service::NoOutbound;
use service::accounts::NewAccount;
use service::check::{CheckReport, CheckWish, ReadCheck, StartCheck};
use service::disks::PlacementSettings;
use service::entities::NewUser;
use service::holders::NoKeyFiles;
use service::rebuild::{Rebuild, RebuildReport};
use service::workers::{Check, Runner, ScrubSettings, Worker as _};
use service::{BootReport, Bootstrap, Caller, Parts, Service};
use tokio::task::JoinHandle;

use crate::config::{Account, Config, Key, Secret, User};
use crate::descriptors;
use crate::directories::{self, Known, Opened, REBUILT_FOLDER};
use crate::environment::{SystemClock, SystemEntropy};
use crate::outbound::Outbound;
use crate::progress::RecoveryBar;
use crate::sealed::{MasterKey, RootKey, StoredKeys};
use crate::{metrics, tls};

/// A running server.
pub struct Larder {
    pub addresses: Vec<SocketAddr>,
    pub access_key: String,
    /// The root secret, at the very start that made it.
    pub new_secret: Option<Secret>,
    service: Arc<Service>,
    gateway: gateway::Stopper,
    served: JoinHandle<io::Result<()>>,
    workers: Runner,
    gauges: JoinHandle<()>,
    _certificates: Option<tls::Watch>,
}

/// What the directories turned out to be, before anything is served from them.
pub struct Store {
    pub metadata: Metadata,
    pub blobs: Blobs,
    master_key: MasterKey,
    keys: StoredKeys,
    /// The pair for the root account, if it is known here.
    root: Option<RootKey>,
    root_is_new: bool,
}

impl Larder {
    /// Opens the directories, recovers what is in them, and listens.
    ///
    /// # Errors
    /// Anything that stands in the way, in words for the operator. Nothing is served then.
    pub async fn start(config: &Config) -> Result<Self> {
        // A bad certificate must not cost a first start: look at it before anything is made.
        let (tls, certificates) = tls_of(config)?;
        let prometheus = metrics::install()?;
        let Store { metadata, blobs, master_key, keys, root, root_is_new } =
            open_store(config).await?;
        let service = Service::open(Parts {
            keep_unnamed: !config.storage.accept_loss.is_empty(),
            scrub: scrub_settings(config),
            key_files: Arc::new(keys),
            outbound: Arc::new(Outbound::new(&config.outbound)?),
            ..parts(config, metadata, blobs, &master_key)
        })?;
        let report = bootstrap(&service, config, root.as_ref()).await?;
        let generated = root.filter(|_| root_is_new).map(|root| root.secret_key);
        let new_secret = generated.or(report.new_secret.map(Secret::new));
        let gauges = tokio::spawn(metrics::refresh(Arc::clone(&service), prometheus.clone()));
        let workers = Runner::start(&service)?;
        let settings = gateway_settings(config, tls, prometheus)?;
        let running = gateway::start(Arc::clone(&service), settings)
            .with_context(|| format!("cannot listen on {}", config.server.listen.join(", ")))?;
        Ok(Self {
            addresses: running.addresses.clone(),
            access_key: report.access_key,
            new_secret,
            service,
            gateway: running.stopper(),
            served: tokio::spawn(running.join()),
            workers,
            gauges,
            _certificates: certificates,
        })
    }

    /// Finishes running requests and background steps, then closes the store with the mark of a
    /// clean end.
    ///
    /// # Errors
    /// The mark could not be made; nothing is lost, the next start takes longer.
    pub async fn stop(self) -> Result<()> {
        self.gateway.stop(true).await;
        self.served.await.context("the HTTP server broke off")??;
        self.workers.stop().await;
        self.gauges.abort();
        self.service.close().await.context("the store was not closed cleanly")?;
        tracing::info!("stopped");
        Ok(())
    }
}

/// The protocol settings and the watch over the files, if HTTPS is asked for.
fn tls_of(config: &Config) -> Result<(Option<Arc<rustls::ServerConfig>>, Option<tls::Watch>)> {
    let (Some(certificate), Some(key)) = (&config.tls.certificate, &config.tls.key) else {
        return Ok((None, None));
    };
    let (tls, watch) = tls::server_config(certificate, key)?;
    Ok((Some(Arc::new(tls)), Some(watch)))
}

/// What a service is made of that removes nothing and does nothing on its own.
fn parts(config: &Config, metadata: Metadata, blobs: Blobs, master_key: &MasterKey) -> Parts {
    Parts {
        metadata,
        blobs,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        master_key: master_key.0,
        regions: config.regions(),
        block_public_access: config.buckets.block_public_access,
        object_ownership: config.buckets.object_ownership.into(),
        keep_unnamed: true,
        audit_keep: Duration::from_secs(config.audit.keep_days.saturating_mul(24 * 3600)),
        scrub: None,
        placement: PlacementSettings {
            bytes_per_second_max: config.placement.bytes_per_second_max,
        },
        key_files: Arc::new(NoKeyFiles),
        outbound: Arc::new(NoOutbound),
    }
}

fn scrub_settings(config: &Config) -> Option<ScrubSettings> {
    let scrub = &config.scrub;
    (scrub.period_days > 0).then(|| ScrubSettings {
        period: Duration::from_secs(scrub.period_days.saturating_mul(24 * 3600)),
        bytes_per_second_min: scrub.bytes_per_second_min,
        bytes_per_second_max: scrub.bytes_per_second_max,
    })
}

/// As configured, or as many as there are descriptors for.
fn connections_max(config: &Config) -> usize {
    let (wanted, possible) =
        (config.server.connections_max, descriptors::of(config).connections_max);
    if possible < wanted {
        tracing::warn!(possible, wanted, "too few files may be open for server.connections_max");
    }
    possible
}

fn gateway_settings(
    config: &Config,
    tls: Option<Arc<rustls::ServerConfig>>,
    prometheus: PrometheusHandle,
) -> Result<gateway::Settings> {
    let server = &config.server;
    let listen = server.listen.iter().map(|address| address.parse());
    let proxies = server.trusted_proxies.iter().map(|network| network.parse());
    let processors = || std::thread::available_parallelism().map_or(1, |number| number.get());
    Ok(gateway::Settings {
        listen: listen.collect::<Result<_, _>>()?,
        tls,
        domains: server.domains.clone(),
        public_url: server.public_url.clone(),
        region: config.region(),
        trusted_proxies: proxies.collect::<Result<_, _>>()?,
        connections_max: connections_max(config),
        patience: gateway::Patience {
            idle: Duration::from_secs(server.body_idle_seconds),
            bytes_per_second_min: server.body_bytes_per_second_min,
        },
        stop_timeout: Duration::from_secs(server.drain_seconds),
        workers: if server.threads == 0 { processors() } else { server.threads },
        metrics_page: Some(Arc::new(move || prometheus.render())),
        ..gateway::Settings::default()
    })
}

/// Opens directories, metadata and blobs, in that order: which directories there should be is
/// known only once the metadata is open.
pub async fn open_store(config: &Config) -> Result<Store> {
    let entropy = SystemEntropy;
    let given = config.directories();
    let opened = directories::open(&given, &config.storage.metadata, &entropy)?;
    if opened.first_start {
        tracing::warn!(store = %opened.store, "a new store was made: the directories were empty");
    }
    let (master_key, root, root_is_new) = secrets(config, &opened, &entropy)?;
    let keys = StoredKeys::read(&opened.metadata_paths())?;
    let incarnation: [u8; 16] = random(&entropy);
    let metadata = open_metadata(config, &opened, METADATA_FOLDER, incarnation).await?;
    let store = opened.store;
    let rows = metadata.directories().await?;
    let draining: Vec<_> = rows.iter().filter(|row| row.draining.is_some()).collect();
    let draining: Vec<_> = draining.iter().map(|row| DirectoryId(row.id)).collect();
    let known: Vec<Known> = rows.into_iter().map(|row| known(store, row)).collect();
    let directories = directories::complete(opened, &known)?;
    check_regions(config, &directories)?;
    let blobs = open_blobs(config, &metadata, directories).await?;
    draining.into_iter().for_each(|directory| blobs.set_draining(directory, true));
    Ok(Store { metadata, blobs, master_key, keys, root, root_is_new })
}

/// Notes which directories there are, and opens the blobs in them.
async fn open_blobs(
    config: &Config,
    metadata: &Metadata,
    directories: Vec<Directory>,
) -> Result<Blobs> {
    let rows: Vec<KnownDirectory> = directories.iter().map(row).collect();
    metadata.note_directories(&rows).await?;
    let settings = blobs::Settings {
        copies: config.storage.copies,
        min_copies: config.storage.min_copies,
        waiting_bytes_max: config.storage.waiting_bytes_max,
        writing_files_max: descriptors::of(config).writing_files_max,
        ..blobs::Settings::default()
    };
    let incarnation = IncarnationId(metadata.incarnation().id);
    Ok(Blobs::open(settings, directories, incarnation).await?)
}

/// Makes metadata anew from the blobs of the given directories, none of which has any.
///
/// # Errors
/// If there is metadata, or something stands in the way; then nothing has changed. Metadata counts
/// only once it is complete.
pub async fn rebuild(config: &Config) -> Result<(RebuildReport, RootKey)> {
    let entropy = SystemEntropy;
    let mut opened = directories::open_for_metadata(&config.directories(), &entropy, |path| {
        bail!("{path} has metadata: nothing is rebuilt over it")
    })?;
    let paths = opened.metadata_paths();
    // The metadata begins anew, and with it what is not there.
    opened.first_start = true;
    let (master_key, root, _) = secrets(config, &opened, &entropy)?;
    let root = root.context("there is no root key")?;
    let metadata = open_metadata(config, &opened, REBUILT_FOLDER, random(&entropy)).await?;
    let blobs = open_blobs(config, &metadata, opened.directories).await?;
    let service = Service::open(parts(config, metadata, blobs, &master_key))?;
    let caller = as_root(bootstrap(&service, config, Some(&root)).await?);
    let report = service.call(&caller, Rebuild).await.context("the blobs could not be named")?;
    service.close().await?;
    drop(service);
    directories::put_in_place(&paths, REBUILT_FOLDER)?;
    Ok((report, root))
}

/// Checks a store that no server has open; `tell` is called with what was found so far.
///
/// # Errors
/// The store cannot be opened, for example because a server has it.
pub async fn check(
    config: &Config,
    wish: CheckWish,
    tell: impl Fn(&CheckReport),
) -> Result<CheckReport> {
    let Store { metadata, blobs, master_key, .. } = open_store(config).await?;
    let service = Service::open(parts(config, metadata, blobs, &master_key))?;
    let caller = as_root(service.bootstrap(&Bootstrap { root: None, accounts: vec![] }).await?);
    service.call(&caller, StartCheck(wish)).await?;
    let mut worker = Check::default();
    let report = loop {
        worker.step(&service).await?;
        let report = service.call(&caller, ReadCheck).await?.context("there is no report")?;
        tell(&report);
        if !report.running {
            break report;
        }
    };
    service.close().await?;
    Ok(report)
}

/// The root account, asking on this machine with the directories in its hands.
fn as_root(report: BootReport) -> Caller {
    let facts = Facts {
        principal: Principal::Account(report.root.id.clone()),
        root: true,
        ..Facts::system("command", unix_ms(SystemClock.now()))
    };
    Caller::from_facts(facts, Some(report.root))
}

/// The master key and the root key pair; both are made and stored before the store begins.
pub fn secrets(
    config: &Config,
    opened: &Opened,
    entropy: &dyn Entropy,
) -> Result<(MasterKey, Option<RootKey>, bool)> {
    let paths = opened.metadata_paths();
    let given = config.storage.master_key.as_ref();
    let master = match MasterKey::find(&paths, given)? {
        Some(master) => master,
        None if opened.first_start => MasterKey::generate(entropy),
        None => bail!("no metadata directory has a master.key, and LARDER_MASTER_KEY is not set"),
    };
    if given.is_none() {
        master.store(&paths)?;
    }
    let stored = RootKey::find(&paths, &master)?;
    let declared = match (&config.root.access_key, &config.root.secret_key) {
        (Some(access_key), Some(secret_key)) => {
            Some(RootKey { access_key: access_key.clone(), secret_key: secret_key.clone() })
        }
        _ => None,
    };
    let root_is_new = opened.first_start && declared.is_none();
    let root = declared.or(stored).or_else(|| root_is_new.then(|| RootKey::generate(entropy)));
    if let (true, Some(root)) = (opened.first_start, &root) {
        root.store(&paths, &master, entropy)?;
    }
    Ok((master, root, root_is_new))
}

async fn open_metadata(
    config: &Config,
    opened: &Opened,
    folder: &str,
    incarnation: [u8; 16],
) -> Result<Metadata> {
    let engine = open_engine(config, opened, folder).await?;
    let entropy = Arc::new(SystemEntropy);
    let now_ms = unix_ms(SystemClock.now());
    Ok(Metadata::open(engine, entropy, incarnation, now_ms).await?)
}

/// Opens the engine in the given folder of each metadata directory.
pub async fn open_engine(config: &Config, opened: &Opened, folder: &str) -> Result<Arc<Embedded>> {
    let directories = opened.metadata().map(|directory| MetadataDirectory {
        path: directory.path().join(folder),
        id: directory.identity().directory.0,
    });
    let mut settings = EmbeddedSettings::new(directories.collect());
    ensure!(!settings.directories.is_empty(), "none of the directories found holds metadata");
    let accepted = config.storage.accept_loss.iter().map(|id| id.parse::<DirectoryId>());
    settings.first_start = opened.first_start;
    settings.cache_bytes = config.storage.index_cache_bytes;
    settings.accept_loss = accepted.map(|id| id.map(|id| id.0)).collect::<Result<_, _>>()?;
    if !settings.accept_loss.is_empty() {
        tracing::warn!("loss is accepted: files that nothing names are kept until the next start");
    }
    let opening = tokio::task::spawn_blocking(move || {
        let mut bar = RecoveryBar::new();
        let opened = Embedded::open(&settings, |progress| bar.show(progress));
        bar.finish();
        opened
    });
    let opened = opening.await.context("the recovery broke off")?;
    let (engine, report) = opened.map_err(|error| match error {
        EngineError::Refused(reason) => anyhow!(
            "{reason}\na directory that is missing: find it and name it too; \
             if it is lost for good: --accept-loss ID"
        ),
        error => error.into(),
    })?;
    tracing::info!(
        sequence = report.sequence,
        index_kept = report.index_kept,
        replayed = report.records_replayed,
        "metadata is open"
    );
    Ok(Arc::new(engine))
}

/// Refuses settings that no write could ever satisfy.
fn check_regions(config: &Config, directories: &[Directory]) -> Result<()> {
    for region in config.regions() {
        let here = directories.iter().filter(|it| it.identity().region == region).count();
        ensure!(here > 0, "no directory lies in the region {region}");
        let copies = config.storage.copies.unwrap_or(here.min(2));
        ensure!(
            copies <= here,
            "{copies} copies do not fit: region {region} has {here} directories"
        );
        if config.storage.min_copies.is_some_and(|least| least < copies) {
            tracing::warn!(
                region,
                copies,
                min_copies = config.storage.min_copies,
                "a write may succeed with fewer copies than asked for"
            );
        }
        if copies == 1 {
            tracing::info!(region, "one copy of each object: a lost disk is lost data");
        }
    }
    Ok(())
}

fn known(store: StoreId, row: KnownDirectory) -> Known {
    let identity = Identity {
        store,
        directory: DirectoryId(row.id),
        region: row.region,
        zone: row.zone,
        holds_metadata: row.holds_metadata,
    };
    Known { identity, path: row.path.into() }
}

fn row(directory: &Directory) -> KnownDirectory {
    let identity = directory.identity();
    // Wherever the next start is made from.
    let place = std::path::absolute(directory.path());
    let place = place.unwrap_or_else(|_| directory.path().to_owned());
    KnownDirectory {
        id: identity.directory.0,
        region: identity.region.clone(),
        zone: identity.zone.clone(),
        holds_metadata: identity.holds_metadata,
        path: place.to_string_lossy().into_owned(),
        draining: None,
    }
}

async fn bootstrap(
    service: &Service,
    config: &Config,
    root: Option<&RootKey>,
) -> Result<BootReport> {
    let accounts = config.account.iter().map(declared).collect();
    let root = root.map(|it| (it.access_key.clone(), it.secret_key.reveal().to_owned()));
    let report = service.bootstrap(&Bootstrap { root, accounts }).await;
    let report = report.context("the accounts of the configuration cannot be made")?;
    for difference in &report.differences {
        tracing::warn!("not applied: {difference}");
    }
    Ok(report)
}

fn declared(account: &Account) -> NewAccount {
    let pairs = |keys: &[Key]| {
        let keys = keys.iter();
        keys.map(|it| (it.access_key.clone(), it.secret_key.reveal().to_owned())).collect()
    };
    let user = |user: &User| NewUser {
        name: user.name.clone(),
        path: user.path.clone(),
        id: user.id.clone(),
        keys: pairs(&user.keys),
        policies: user.policies.clone(),
        policy: user.policy.clone(),
    };
    NewAccount {
        name: account.name.clone(),
        id: account.id.as_deref().and_then(AccountId::parse),
        canonical_id: account.canonical_id.clone(),
        email: account.email.clone(),
        keys: pairs(&account.keys),
        users: account.users.iter().map(user).collect(),
    }
}
