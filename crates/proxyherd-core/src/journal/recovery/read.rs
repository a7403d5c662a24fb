//! Reads the files that count into a replica.

use super::{
    Damage, Part, ReadProgress, Recovered, Restore, Stored,
    survey::{StoreFile, Survey},
};
use crate::{
    flood::Broken,
    journal::{
        Disk, DiskError,
        format::{BLOCK_HEADER_LEN, FileName, NO_SHARD, Payload, VectorPart},
        scan::{Found, Scan},
    },
    limits::{SHARDS, STORE_DAMAGE_MAX},
    types::{Body, Origin},
};

/// The number of bytes between two reports of progress.
const PROGRESS_LEN: u64 = 1024 * 1024;

/// A shard, while it is read.
#[derive(Default)]
struct ShardReading {
    /// The last whole vector that counts.
    vector: Option<Vec<(Origin, u64)>>,
    /// The parts of a vector whose last part has not come yet.
    parts: Option<Vec<(Origin, u64)>>,
    /// Something was lost, so no later vector counts.
    is_damaged: bool,
    /// Something of the file that is being read was not written completely, so no later vector in the file counts.
    is_torn: bool,
}

/// Bytes that are wrong, and the shard that they affect; `None`: every shard.
struct Bad {
    offset: u64,
    len: u64,
    shard: Option<u8>,
}

/// One part of a recovery.
pub(super) struct Reading<'a, D, R> {
    disk: &'a D,
    survey: &'a Survey,
    into: &'a R,
    now_ns: u64,
    part: Part,
    progress: &'a mut dyn FnMut(ReadProgress),
    done: ReadProgress,
    shards: [ShardReading; SHARDS],
    found: Recovered,
    window: Vec<u8>,
    /// The last time in the segment at which the server was alive.
    alive_ns: u64,
}

impl<'a, D: Disk, R: Restore> Reading<'a, D, R> {
    pub(super) fn new(
        disk: &'a D,
        survey: &'a Survey,
        into: &'a R,
        now_ns: u64,
        part: Part,
        progress: &'a mut dyn FnMut(ReadProgress),
    ) -> Reading<'a, D, R> {
        let found = Recovered {
            bytes: survey.bytes,
            last_number: survey.last_number,
            // Why the compaction had begun is in files that are no longer read for every shard.
            forgotten_since_ns: survey.is_half_compacted.then_some(0),
            ..Recovered::default()
        };
        Reading {
            disk,
            survey,
            into,
            now_ns,
            part,
            progress,
            done: ReadProgress::default(),
            shards: Default::default(),
            found,
            window: Vec::new(),
            alive_ns: 0,
        }
    }

    pub(super) fn run(mut self) -> Result<Recovered, DiskError> {
        let survey = self.survey;
        let snapshots = || (0..SHARDS).filter(|&shard| self.part.has(shard)).map(|at| &survey.snapshots[at]);
        let files = snapshots().flatten().chain(&survey.segments);
        self.done.total = files.map(|file| file.len).sum();
        for snapshot in snapshots().flatten().collect::<Vec<_>>() {
            self.read_snapshot(snapshot)?;
        }
        self.miss_first_segments();
        for (at, segment) in survey.segments.iter().enumerate() {
            self.read_segment(segment, survey.segments.get(at + 1))?;
        }
        for (shard, reading) in self.shards.iter().enumerate() {
            if let Some(vector) = &reading.vector {
                self.into.restore_vector(self.now_ns, shard, vector);
            }
        }
        self.found.records = self.done.records;
        (self.progress)(self.done);
        Ok(self.found)
    }

    /// A snapshot counts as a whole: if it is not whole, its records count, and no vector of its shard does.
    fn read_snapshot(&mut self, snapshot: &StoreFile) -> Result<(), DiskError> {
        self.note_all(&snapshot.damage);
        let (bads, is_ended, _) = self.read_file(snapshot)?;
        let FileName::Snapshot { shard, .. } = snapshot.file else { return Ok(()) };
        let is_whole = bads.is_empty() && is_ended && snapshot.header.is_some();
        for bad in &bads {
            self.note(&snapshot.name, bad.offset, bad.len);
        }
        if !is_ended && bads.is_empty() && snapshot.header.is_some() {
            self.note(&snapshot.name, snapshot.len, 0);
        }
        let reading = &mut self.shards[usize::from(shard)];
        if !is_whole {
            *reading = ShardReading { is_damaged: true, ..ShardReading::default() };
        }
        self.end_file();
        Ok(())
    }

    /// What was torn in a file concerns only this file, and a vector ends in the file in which it begins.
    fn end_file(&mut self) {
        for reading in &mut self.shards {
            (reading.is_torn, reading.parts) = (false, None);
        }
    }

    /// Notes the shards whose first segment is missing.
    fn miss_first_segments(&mut self) {
        let first = self.survey.segments.first().map_or(u64::MAX, |segment| segment.file.number());
        let is_empty = self.survey.last_number == 0;
        let part = self.part;
        for shard in (0..SHARDS).filter(|&shard| part.has(shard)) {
            let number = self.survey.first_for(shard);
            if first > number && !is_empty {
                self.note(&FileName::Segment { number }.to_string(), 0, 0);
                self.shards[shard].is_damaged = true;
            }
        }
    }

    fn read_segment(&mut self, segment: &StoreFile, next: Option<&StoreFile>) -> Result<(), DiskError> {
        let number = segment.file.number();
        self.note_all(&segment.damage);
        if segment.header.is_none() {
            self.damage_from(number, None);
        }
        let (bads, is_ended, synced) = self.read_file(segment)?;
        let is_last = next.is_none_or(|next| next.header.as_ref().is_some_and(|header| header.is_first));
        for bad in &bads {
            if is_last && bad.offset >= synced {
                self.found.torn.push(Damage { file: segment.name.clone(), offset: bad.offset, len: bad.len });
            } else {
                self.note(&segment.name, bad.offset, bad.len);
                self.damage_from(number, bad.shard);
            }
        }
        if !is_last && !is_ended && segment.header.is_some() {
            // Wrong bytes of one shard do not show what else is missing behind them.
            if bads.is_empty() {
                self.note(&segment.name, segment.len, 0);
            }
            self.damage_from(number, None);
        }
        self.end_file();
        if let Some(next) = next.filter(|next| next.file.number() > number + 1) {
            self.note(&FileName::Segment { number: number + 1 }.to_string(), 0, 0);
            self.damage_from(next.file.number() - 1, None);
        }
        Ok(())
    }

    /// Reads the blocks of a file. Returns the bytes that are wrong, whether the last block says that nothing is
    /// missing before it, and the number of bytes that were durable as far as the file says.
    fn read_file(&mut self, file: &StoreFile) -> Result<(Vec<Bad>, bool, u64), DiskError> {
        let Some(header) = &file.header else {
            self.advance(file.len);
            return Ok((Vec::new(), false, 0));
        };
        let (number, is_segment) = (file.file.number(), matches!(file.file, FileName::Segment { .. }));
        let wanted: [bool; SHARDS] = std::array::from_fn(|shard| {
            let is_here = file.file == FileName::Snapshot { shard: shard as u8, number };
            self.part.has(shard) && (is_here || is_segment && self.survey.first_for(shard) <= number)
        });
        let wants = |shard: u8| shard == NO_SHARD || wanted[usize::from(shard)];
        let window = std::mem::take(&mut self.window);
        let mut scan = Scan::new(self.disk, &file.name, (file.file, header.salt, file.len), window);
        let (mut bads, mut is_ended, mut read_before) = (Vec::new(), false, 0);
        loop {
            let bad = match scan.next(wants)? {
                Found::End => break,
                Found::Block { shard, payload, offset } => {
                    let len = (BLOCK_HEADER_LEN + payload.len()) as u64;
                    is_ended = false;
                    match self.take(shard, payload, is_segment) {
                        Some(ends) => {
                            is_ended = ends;
                            None
                        }
                        None => Some(Bad { offset, len, shard: Some(shard) }),
                    }
                }
                Found::Bad { offset, len, shard } => Some(Bad { offset, len, shard }),
            };
            if let Some(bad) = bad {
                is_ended = false;
                self.tear(bad.shard);
                if bads.len() < STORE_DAMAGE_MAX {
                    bads.push(bad);
                } else if let Some(last) = bads.last_mut() {
                    // Beyond the bound, the last run stands for all that follow.
                    (last.len, last.shard) = (bad.offset + bad.len - last.offset, None);
                }
            }
            let read = scan.read();
            if read - read_before >= PROGRESS_LEN {
                self.advance(read - read_before);
                read_before = read;
            }
        }
        let synced = scan.synced();
        self.window = scan.into_window();
        self.advance(file.len - read_before.min(file.len));
        Ok((bads, is_ended, synced))
    }

    /// Takes the entries of a block. Returns whether the block ends the file; `None`: the block is wrong.
    fn take(&mut self, shard: u8, payload: &[u8], is_segment: bool) -> Option<bool> {
        let origins = Payload::origins(payload)?;
        let Payload { changes, vectors, alive_ns, is_end } = Payload::decode(shard, payload, &origins)?;
        if let Some(alive_ns) = alive_ns {
            self.alive_ns = alive_ns;
            self.found.alive_until_ns = self.found.alive_until_ns.max(alive_ns);
        }
        let records = changes.iter().filter(|change| matches!(change, Stored::Update(_))).count();
        self.done.records += records as u64;
        if is_segment && self.found.forgotten_since_ns.is_none() && changes.iter().any(forgets) {
            self.found.forgotten_since_ns = Some(self.alive_ns);
        }
        if !changes.is_empty() {
            self.into.restore(self.now_ns, usize::from(shard), &changes);
        }
        let trusts_all = self.into.rules().breaks(Broken::TrustBehindDamage);
        for part in vectors {
            self.shards[usize::from(shard)].take_part(part, trusts_all);
        }
        Some(is_end)
    }

    /// Bytes of the file that is being read are wrong.
    fn tear(&mut self, shard: Option<u8>) {
        for (at, reading) in self.shards.iter_mut().enumerate() {
            if shard.is_none_or(|shard| usize::from(shard) == at) {
                (reading.is_torn, reading.parts) = (true, None);
            }
        }
    }

    /// Something is lost of the segment with this number, of one shard or of all.
    fn damage_from(&mut self, number: u64, shard: Option<u8>) {
        for (at, reading) in self.shards.iter_mut().enumerate() {
            let is_here = shard.is_none_or(|shard| usize::from(shard) == at);
            if is_here && self.survey.first_for(at) <= number {
                (reading.is_damaged, reading.parts) = (true, None);
            }
        }
    }

    fn note(&mut self, file: &str, offset: u64, len: u64) {
        self.note_all(&[Damage { file: file.to_owned(), offset, len }]);
    }

    fn note_all(&mut self, damage: &[Damage]) {
        let room = STORE_DAMAGE_MAX - self.found.damage.len();
        self.found.damage.extend(damage.iter().take(room).cloned());
    }

    fn advance(&mut self, read: u64) {
        self.done.read += read;
        (self.progress)(self.done);
    }
}

impl ShardReading {
    fn take_part(&mut self, part: VectorPart, trusts_all: bool) {
        if (self.is_damaged || self.is_torn) && !trusts_all {
            return;
        }
        if part.is_first {
            self.parts = Some(Vec::new());
        }
        let Some(parts) = &mut self.parts else { return };
        parts.extend(part.entries);
        if part.is_last {
            self.vector = self.parts.take();
        }
    }
}

/// Whether the store may hold something that this change has made the herd forget.
fn forgets(change: &Stored<'_>) -> bool {
    match change {
        Stored::Update(update) => update.record.body == Body::Gone,
        Stored::Removed { .. } => true,
    }
}

/// See [`super::alive_until`].
pub(super) fn alive_until<D: Disk>(disk: &D, survey: &Survey) -> Result<Option<u64>, DiskError> {
    let mut window = Vec::new();
    for segment in survey.segments.iter().rev() {
        let Some(header) = &segment.header else { continue };
        let mut scan = Scan::new(disk, &segment.name, (segment.file, header.salt, segment.len), window);
        let mut latest = None;
        loop {
            match scan.next(|shard| shard == NO_SHARD)? {
                Found::End => break,
                Found::Bad { .. } => {}
                Found::Block { shard, payload, .. } => {
                    let alive_ns = Payload::decode(shard, payload, &[]).and_then(|read| read.alive_ns);
                    latest = latest.max(alive_ns);
                }
            }
        }
        if latest.is_some() {
            return Ok(latest);
        }
        window = scan.into_window();
    }
    Ok(None)
}
