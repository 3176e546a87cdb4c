//! Steps of multipart uploads.

use model::{checksums::Algorithm, names::UploadId, records::ChecksumKind};
use service::uploads::PartChoice;

use super::Chooser;
use crate::operation::{Act, Completion, KEYS, PartSource, Place, Terms, UploadAt};

impl Chooser<'_> {
    pub(super) fn upload_act(&mut self) -> Act {
        let upload = self.upload();
        match self.random.below(28) {
            0..4 => Act::CreateUpload {
                to: self.place(),
                attributes: self.attributes(),
                terms: self.terms(),
            },
            4..13 => Act::UploadPart { upload, number: self.number(), body: self.text() },
            13..16 => {
                let bucket = self.beside(upload.at.bucket);
                let from = self.source_in(bucket);
                let preconditions = self.read_preconditions(from.at);
                let part = PartSource { preconditions, range: self.range() };
                Act::UploadPartCopy { upload, number: self.number(), from, part }
            }
            16..18 => {
                Act::ListParts { upload, after: self.random.below(4) as u32, limit: self.limit() }
            }
            18..20 => Act::ListUploads(self.bucket(), self.question()),
            20..22 => Act::Abort(upload),
            _ => Act::Complete(self.completion(upload)),
        }
    }

    fn terms(&mut self) -> Terms {
        let algorithm = self.pick(&Algorithm::S3);
        let kind = match self.chance(50) && algorithm.combines() {
            true => ChecksumKind::FullObject,
            false => ChecksumKind::Composite,
        };
        Terms {
            checksum: self.chance(30).then_some((algorithm, kind)),
            part_bytes_min: self.pick(&[0, 0, 0, 20]),
            sequential: self.chance(10),
        }
    }

    fn number(&mut self) -> u32 {
        match self.random.below(30) {
            0 => self.pick(&[0, 10_000, 10_001]),
            _ => 1 + self.random.below(4) as u32,
        }
    }

    /// Mostly one under way, also one completed, or none at all.
    fn upload(&mut self) -> UploadAt {
        let mut known: Vec<UploadAt> = Vec::new();
        for (bucket, state) in &self.model.buckets {
            let uploads = state.uploads.keys();
            known.extend(uploads.map(|(key, id)| UploadAt { at: Place { bucket, key }, id: *id }));
        }
        let finished: Vec<(UploadId, Place)> = self
            .model
            .finished
            .iter()
            .map(|(id, finished)| (*id, Place { bucket: finished.bucket, key: finished.key }))
            .collect();
        let mut upload = match self.random.below(20) {
            0..2 if !finished.is_empty() => {
                let (id, at) = self.pick(&finished);
                UploadAt { at, id }
            }
            _ if !known.is_empty() => self.pick(&known),
            _ => UploadAt { at: self.place(), id: self.upload_id() },
        };
        match self.random.below(40) {
            0 => upload.at.key = self.pick(&KEYS),
            1 => upload.id = self.upload_id(),
            _ => {}
        }
        upload
    }

    fn completion(&mut self, upload: UploadAt) -> Completion {
        let bucket = self.model.buckets.get(upload.at.bucket);
        let under_way = bucket.and_then(|bucket| bucket.uploads.get(&(upload.at.key, upload.id)));
        let mut choices: Vec<PartChoice> = match (under_way, self.model.finished.get(&upload.id)) {
            (Some(under_way), _) => {
                let parts = under_way.parts.values().map(|part| &part.sight);
                parts.map(|part| choice(part.number, part.md5)).collect()
            }
            (None, Some(finished)) => {
                finished.parts.iter().map(|(number, md5)| choice(*number, *md5)).collect()
            }
            (None, None) => Vec::new(),
        };
        if under_way.is_some() && self.chance(40) {
            choices.retain(|_| self.random.below(3) > 0);
        }
        match self.random.below(20) {
            0 => choices.reverse(),
            1 => choices.iter_mut().for_each(|choice| choice.etag = "0".repeat(32)),
            2 => choices.push(choice(9, [9; 16])),
            3 => choices.extend(choices.last().cloned()),
            4 => choices.insert(0, choice(1, [9; 16])),
            5 => choices.iter_mut().for_each(|choice| choice.etag.make_ascii_uppercase()),
            _ => {}
        }
        Completion {
            upload,
            parts: (!self.chance(25)).then_some(choices),
            condition: self.write_condition(upload.at),
            size_bytes: self.chance(3).then_some(7),
        }
    }
}

fn choice(number: u32, md5: [u8; 16]) -> PartChoice {
    PartChoice { number, etag: hex::encode(md5), checksum: None }
}
