//! The run: each step goes to the store and to the model, and both must say the same.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    fmt::Debug,
};

use blobs::faulty::Random;
use bytes::{Bytes, BytesMut};
use model::{
    listing::Question,
    names::{VersionId, VersionSelector},
    preconditions::Preconditions,
};
use service::{
    ContentReader,
    buckets::StatBucket,
    objects::{
        delete::DeleteCondition,
        read::{GetObject, Reading as ServiceReading},
    },
    workers::Progress,
};

use crate::{
    caller::{Client, bucket_name, read_all, target},
    chooser::{Chooser, bucket_of},
    model::{Model, Moment, Rule},
    operation::{Act, Answer, Name, Outcome, Place, Reading, Source, Step, UploadAt},
    support::{Store, Who, Workers, audit, leftovers},
};

/// Steps shown when a run fails.
const SHOWN_STEPS: usize = 30;
const OPEN_READERS_MAX: usize = 4;
const DAY_MS: i64 = 24 * 3600 * 1000;

/// A run that ended well.
#[derive(Debug, Default)]
pub struct Report {
    /// How often each kind of call went well, and how often it was refused.
    pub calls: BTreeMap<String, (usize, usize)>,
    pub restarts: usize,
    pub audits: usize,
}

/// Where store and model parted.
#[derive(Debug)]
pub struct Difference {
    pub seed: u64,
    pub what: String,
    last_steps: Vec<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "SEED={}: {}", self.seed, self.what)?;
        writeln!(formatter, "the last steps:")?;
        self.last_steps.iter().try_for_each(|step| writeln!(formatter, "  {step}"))
    }
}

type Checked = Result<(), String>;

struct OpenReader {
    reader: ContentReader,
    /// What it read so far.
    read: BytesMut,
    wanted: Bytes,
}

pub struct Run {
    store: Store,
    model: Model,
    readers: VecDeque<OpenReader>,
    workers: Workers,
    report: Report,
}

/// Runs `operations` random steps, then deletes everything and looks at what is left.
pub async fn run(seed: u64, operations: usize, broken: Option<Rule>) -> Result<Report, Difference> {
    let mut random = Random(seed);
    let mut run = Run {
        store: Store::new(seed).await,
        model: Model::broken(broken),
        readers: VecDeque::new(),
        workers: Workers::default(),
        report: Report::default(),
    };
    let mut last_steps = VecDeque::new();
    for number in 0..operations {
        let now_ms = run.store.clock.now_ms();
        let step = Chooser { random: &mut random, model: &run.model, now_ms }.step();
        if last_steps.len() == SHOWN_STEPS {
            last_steps.pop_front();
        }
        last_steps.push_back(format!("{number}: {step:?}"));
        run.take(step).await.map_err(|what| Difference {
            seed,
            what,
            last_steps: last_steps.iter().cloned().collect(),
        })?;
    }
    let ended = run.delete_everything().await;
    ended.map_err(|what| Difference { seed, what, last_steps: vec!["deleting all".to_owned()] })?;
    Ok(run.report)
}

fn same<T: PartialEq + Debug>(what: impl fmt::Display, store: &T, model: &T) -> Checked {
    if store == model {
        return Ok(());
    }
    Err(format!("{what}:\n store: {store:?}\n model: {model:?}"))
}

/// The ids that only the store can know.
fn ids(outcome: &Outcome) -> Vec<String> {
    match outcome {
        Ok(Answer::Written(sight, _)) => vec![sight.id.clone()],
        Ok(Answer::Deleted(deleted)) => vec![deleted.version_id.clone().unwrap_or_default()],
        Ok(Answer::DeletedMany(outcomes)) => {
            let id = |outcome: &Result<service::objects::delete::Deleted, _>| {
                outcome.as_ref().ok().and_then(|deleted| deleted.version_id.clone())
            };
            outcomes.iter().map(|outcome| id(outcome).unwrap_or_default()).collect()
        }
        Ok(Answer::Upload(id)) => vec![id.to_string()],
        _ => Vec::new(),
    }
}

impl Run {
    async fn take(&mut self, step: Step) -> Checked {
        match step {
            Step::Call(who, act) => {
                self.call(who, &act).await?;
                let changes = !matches!(
                    *act,
                    Act::Read(_)
                        | Act::Attributes { .. }
                        | Act::ListObjects(..)
                        | Act::ListVersions(..)
                        | Act::ListParts { .. }
                        | Act::ListUploads(..)
                );
                if let Some(bucket) = bucket_of(&act).filter(|_| changes) {
                    self.check_versions(bucket).await?;
                }
                self.check_usage().await
            }
            Step::Turn(by_ms) => {
                self.store.clock.turn_ms(by_ms);
                Ok(())
            }
            Step::Reclaim => self.workers.reclaim(&self.store).await.map(drop),
            Step::Sweep => self.sweep().await,
            Step::Restart(power_loss) => {
                self.finish_readers(0).await?;
                self.store.restart(power_loss).await;
                self.workers = Workers::default();
                self.report.restarts += 1;
                Ok(())
            }
            Step::OpenReader(source) => self.open_reader(source).await,
            Step::FinishReader => {
                let keep = self.readers.len().saturating_sub(1);
                self.finish_readers(keep).await
            }
            Step::Audit => self.audit().await,
        }
    }

    /// Asks both and compares.
    async fn call(&mut self, who: Who, act: &Act) -> Checked {
        let client = Client { service: &self.store.service, caller: self.store.caller(who) };
        let answered = client.act(act).await;
        let cause = answered.as_ref().err().map(|error| format!("{error}, {:?}", error.source));
        let outcome: Outcome = answered.map_err(|error| error.condition);
        let ids = ids(&outcome);
        let moment = Moment { who, now_ms: self.store.clock.now_ms(), ids: &ids };
        let expected = self.model.apply(act, &moment);
        let name = format!("{act:?}");
        let name = name.split([' ', '(']).next().unwrap_or_default().to_owned();
        let (well, refused) = self.report.calls.entry(name).or_default();
        *(if outcome.is_ok() { well } else { refused }) += 1;
        same(format!("{act:?} by {who:?} ({cause:?})"), &outcome, &expected)
    }

    async fn check_versions(&mut self, bucket: Name) -> Checked {
        let Some(owner) = self.model.buckets.get(bucket).map(|bucket| bucket.owner) else {
            return Ok(());
        };
        let all = Question { limit: 1000, ..Question::default() };
        Box::pin(self.call(owner, &Act::ListVersions(bucket, all))).await
    }

    /// The counters of every bucket are exact, and are its owner's only.
    async fn check_usage(&self) -> Checked {
        for (name, bucket) in &self.model.buckets {
            for who in [Who::Ann, Who::Ben] {
                let client =
                    Client { service: &self.store.service, caller: self.store.caller(who) };
                let usage = client.call(StatBucket { name: bucket_name(name) }).await;
                let usage = usage.map_err(|error| error.condition);
                let expected = match who == bucket.owner {
                    true => Ok(self.model.usage(name).unwrap_or_default()),
                    false => Err(model::Condition::AccessDenied),
                };
                same(format!("usage of {name} for {who:?}"), &usage, &expected)?;
            }
        }
        Ok(())
    }

    async fn sweep(&mut self) -> Checked {
        if self.workers.sweep(&self.store).await? == Progress::Idle {
            self.forget_finished();
        }
        Ok(())
    }

    async fn work_until_idle(&mut self) -> Checked {
        self.workers.finish(&self.store).await?;
        self.forget_finished();
        Ok(())
    }

    /// As the sweep does at the end of each round.
    fn forget_finished(&mut self) {
        let oldest_ms = self.store.clock.now_ms() - DAY_MS;
        self.model.finished.retain(|_, finished| finished.finished_ms >= oldest_ms);
    }

    /// Begins a read, of which one chunk is taken now and the rest after other steps.
    async fn open_reader(&mut self, source: Source) -> Checked {
        self.finish_readers(OPEN_READERS_MAX - 1).await?;
        let Some(bucket) = self.model.buckets.get(source.at.bucket) else { return Ok(()) };
        let Some(version) = bucket.find(source.at.key, source.version) else { return Ok(()) };
        if version.sight.object.is_none() {
            return Ok(());
        }
        let wanted = version.bytes.clone();
        let caller = self.store.caller(bucket.owner);
        let client = Client { service: &self.store.service, caller };
        let get = GetObject(ServiceReading {
            target: target(source),
            preconditions: Preconditions::default(),
            range: None,
            lenient_range: false,
            part: None,
        });
        let (_, mut reader) = client.call(get).await.map_err(|error| error.to_string())?;
        let mut read = BytesMut::new();
        if wanted.len() > 1000
            && let Some(chunk) = reader.next().await
        {
            read.extend_from_slice(&chunk.map_err(|error| error.to_string())?);
        }
        self.readers.push_back(OpenReader { reader, read, wanted });
        Ok(())
    }

    /// Reads on to the end: what was begun stays whole whatever was deleted meanwhile.
    async fn finish_readers(&mut self, keep: usize) -> Checked {
        while self.readers.len() > keep {
            let Some(OpenReader { reader, mut read, wanted }) = self.readers.pop_front() else {
                break;
            };
            let rest = read_all(reader).await;
            let rest = rest.map_err(|error| format!("a read begun earlier: {error}"))?;
            read.extend_from_slice(&rest);
            if read != wanted {
                return Err("a read begun earlier got other bytes".to_owned());
            }
        }
        Ok(())
    }

    /// Reads everything there is, then compares every row and file with what is needed.
    async fn audit(&mut self) -> Checked {
        self.finish_readers(0).await?;
        self.work_until_idle().await?;
        for (owner, from) in self.all_versions() {
            let whole = Reading {
                from,
                preconditions: Preconditions::default(),
                range: None,
                lenient: false,
                part: None,
                head: false,
            };
            self.call(owner, &Act::Read(whole)).await?;
        }
        self.report.audits += 1;
        let faults = audit(&self.store).await;
        if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
    }

    fn all_versions(&self) -> Vec<(Who, Source)> {
        let mut all = Vec::new();
        for (bucket, state) in &self.model.buckets {
            for (key, versions) in &state.keys {
                for version in versions {
                    let id = VersionId::parse(&version.sight.id);
                    let version = id.map_or(VersionSelector::Null, VersionSelector::Id);
                    all.push((state.owner, Source { at: Place { bucket, key }, version }));
                }
            }
        }
        all
    }

    /// Deletes all there is; two days later nothing but accounts may be left.
    async fn delete_everything(&mut self) -> Checked {
        self.audit().await?;
        for (owner, from) in self.all_versions() {
            self.call(owner, &Act::Delete { from, condition: DeleteCondition::default() }).await?;
        }
        let mut rest = Vec::new();
        for (bucket, state) in &self.model.buckets {
            for (key, id) in state.uploads.keys() {
                let upload = UploadAt { at: Place { bucket, key }, id: *id };
                rest.push((state.owner, Act::Abort(upload)));
            }
            rest.push((state.owner, Act::DeleteBucket(bucket, false)));
        }
        for (owner, act) in rest {
            self.call(owner, &act).await?;
        }
        self.store.clock.turn_ms(2 * DAY_MS);
        self.store.restart(None).await;
        self.workers = Workers::default();
        self.work_until_idle().await?;
        same("what is left", &leftovers(&self.store).await, &Vec::new())
    }
}
