//! The operations, each with the check of its answer.

use anyhow::{Context, Result, ensure};

use crate::connection::{Connection, Sent, check, text};
use crate::content::{Content, VARIANTS, contents};
use crate::job::{Job, Operation, Payload};

const PART_BYTES: usize = 5 << 20;
const LIST_KEYS_MAX: u64 = 1000;
const FOLDERS: u64 = 100;
const BATCH_KEYS: u64 = 100;

/// A job and the contents that it needs.
pub struct Work {
    pub job: Job,
    contents: Vec<Content>,
    parts: Vec<Content>,
    last_parts: Vec<Content>,
}

/// What one worker remembers: keys that it wrote and has not deleted.
#[derive(Default)]
pub struct Memory(Vec<u64>);

impl Work {
    pub fn new(job: Job) -> Self {
        let hashed = job.payload != Payload::Unsigned;
        let multipart = job.operation == Operation::Multipart;
        let last_bytes = if multipart { job.size_bytes % PART_BYTES } else { 0 };
        Self {
            contents: contents(job.size_bytes, hashed && !multipart),
            parts: contents(if multipart { PART_BYTES } else { 0 }, hashed),
            last_parts: contents(last_bytes, hashed),
            job,
        }
    }

    /// How many requests there are at most, by what there is to delete.
    pub fn requests_max(&self) -> u64 {
        match self.job.operation {
            Operation::Delete => self.job.keys,
            Operation::DeleteBatch => self.job.keys / BATCH_KEYS,
            _ => u64::MAX,
        }
    }

    /// Does request number `number`; returns how many bytes of content it moved.
    ///
    /// # Errors
    /// Any answer that is not exactly the expected one.
    pub async fn run(
        &self,
        connection: &mut Connection,
        memory: &mut Memory,
        number: u64,
    ) -> Result<usize> {
        let written = match self.job.overwrite {
            true => number % self.job.keys.max(1),
            false => self.job.first + number,
        };
        let read = scatter(number) % self.job.keys.max(1);
        match self.job.operation {
            Operation::Put => self.put(connection, written).await,
            Operation::Get => self.get(connection, read).await,
            Operation::Head => self.head(connection, read).await,
            Operation::List => self.list(connection, "").await,
            Operation::ListDelimiter => self.list(connection, "delimiter=%2F&").await,
            Operation::Delete => self.delete(connection, written).await,
            Operation::DeleteBatch => self.delete_batch(connection, number).await,
            Operation::Multipart => self.multipart(connection, written).await,
            Operation::Mixed => match (scatter(number) >> 32) % 20 {
                0..9 => self.get(connection, read).await,
                9..15 => self.head(connection, read).await,
                15..17 if !memory.0.is_empty() => {
                    self.delete(connection, memory.0.pop().unwrap_or_default()).await
                }
                _ => {
                    memory.0.push(written);
                    self.put(connection, written).await
                }
            },
        }
        .with_context(|| format!("{:?}, request {number}", self.job.operation))
    }

    fn key(&self, number: u64) -> String {
        format!("{}{}/{number}", self.job.prefix, number % FOLDERS)
    }

    fn path(&self, number: u64) -> String {
        format!("/{}/{}", self.job.bucket, self.key(number))
    }

    fn content(&self, number: u64) -> &Content {
        variant(&self.contents, number)
    }

    async fn put(&self, connection: &mut Connection, number: u64) -> Result<usize> {
        let sent = Sent::Content(self.content(number));
        let answer = connection.send("PUT", &self.path(number), "", sent).await?;
        // A plain web server says 201 or 204.
        let status = answer.status().as_u16();
        let expected = if [201, 204].contains(&status) { status } else { 200 };
        text(answer, expected).await?;
        Ok(self.job.size_bytes)
    }

    async fn get(&self, connection: &mut Connection, number: u64) -> Result<usize> {
        let answer = connection.send("GET", &self.path(number), "", Sent::Nothing).await?;
        check(answer, self.content(number)).await?;
        Ok(self.job.size_bytes)
    }

    async fn head(&self, connection: &mut Connection, number: u64) -> Result<usize> {
        let answer = connection.send("HEAD", &self.path(number), "", Sent::Nothing).await?;
        let length = answer.headers().get("content-length").cloned();
        text(answer, 200).await?;
        let length = length.as_ref().and_then(|it| it.to_str().ok());
        ensure!(length == Some(&self.job.size_bytes.to_string()), "length {length:?}");
        Ok(0)
    }

    async fn list(&self, connection: &mut Connection, delimiter: &str) -> Result<usize> {
        let prefix = self.job.prefix.replace('/', "%2F");
        let query = format!("{delimiter}list-type=2&max-keys={LIST_KEYS_MAX}&prefix={prefix}");
        let path = format!("/{}", self.job.bucket);
        let answer = connection.send("GET", &path, &query, Sent::Nothing).await?;
        let listing = text(answer, 200).await?;
        let (element, expected) = match delimiter {
            "" => ("<Key>", self.job.keys.min(LIST_KEYS_MAX)),
            _ => ("<CommonPrefixes>", self.job.keys.min(FOLDERS)),
        };
        let found = listing.matches(element).count() as u64;
        ensure!(found == expected, "{found} of {element}, not {expected}");
        Ok(0)
    }

    async fn delete(&self, connection: &mut Connection, number: u64) -> Result<usize> {
        let answer = connection.send("DELETE", &self.path(number), "", Sent::Nothing).await?;
        text(answer, 204).await?;
        Ok(0)
    }

    async fn delete_batch(&self, connection: &mut Connection, number: u64) -> Result<usize> {
        let first = self.job.first + number * BATCH_KEYS;
        let mut document = String::from("<Delete>");
        for number in first..first + BATCH_KEYS {
            document += &format!("<Object><Key>{}</Key></Object>", self.key(number));
        }
        document += "</Delete>";
        let path = format!("/{}", self.job.bucket);
        let answer = connection.send("POST", &path, "delete=", Sent::Document(document)).await?;
        let answer = text(answer, 200).await?;
        let deleted = answer.matches("<Deleted>").count() as u64;
        ensure!(deleted == BATCH_KEYS, "{deleted} deleted: {answer}");
        Ok(0)
    }

    async fn multipart(&self, connection: &mut Connection, number: u64) -> Result<usize> {
        let path = self.path(number);
        let answer = connection.send("POST", &path, "uploads=", Sent::Nothing).await?;
        let answer = text(answer, 200).await?;
        let upload = answer.split_once("<UploadId>").and_then(|(_, it)| it.split_once('<'));
        let upload = upload.context("an answer without UploadId")?.0.replace('=', "%3D");
        let mut document = String::from("<CompleteMultipartUpload>");
        let mut left_bytes = self.job.size_bytes;
        for part in 1.. {
            let list = if left_bytes < PART_BYTES { &self.last_parts } else { &self.parts };
            let content = variant(list, number);
            let query = format!("partNumber={part}&uploadId={upload}");
            let answer = connection.send("PUT", &path, &query, Sent::Content(content)).await?;
            let tag = answer.headers().get("etag").cloned().context("a part without ETag")?;
            text(answer, 200).await?;
            let tag = tag.to_str()?;
            document += &format!("<Part><PartNumber>{part}</PartNumber><ETag>{tag}</ETag></Part>");
            left_bytes -= content.size_bytes;
            if left_bytes == 0 {
                break;
            }
        }
        document += "</CompleteMultipartUpload>";
        let query = format!("uploadId={upload}");
        let answer = connection.send("POST", &path, &query, Sent::Document(document)).await?;
        let answer = text(answer, 200).await?;
        ensure!(answer.contains("CompleteMultipartUploadResult"), "not completed: {answer}");
        Ok(self.job.size_bytes)
    }
}

fn variant(contents: &[Content], number: u64) -> &Content {
    #[allow(clippy::indexing_slicing, reason = "there are always so many")]
    &contents[(number % VARIANTS as u64) as usize]
}

/// A number that looks random, the same for the same input (SplitMix64).
fn scatter(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
