//! The passes over an extract, one after the other.
//!
//! [`Passes::run`] carries out an import. Relations name the ways that are needed, and ways name the nodes that are
//! needed. Nodes have the points, and the middles of ways and relations are computed from these points. This module
//! does not know how an extract is encoded, or how places are sorted.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use super::nodes::Nodes;
use super::outline::{OutlinePiece, middle};
use super::place::ImportedPlaces;
use super::source::{ExtractFile, Halt};
use super::spool::{Spool, WaitingWay, packed, unpacked};
use super::{ImportError, ImportSummary, Progress};
use crate::provider::osm::index::{ByteReader, IndexRecord, IndexWriter, NUMBER_MAX, Object, ObjectId};
use crate::provider::osm::limits::{WAITING_LEN_MIN, WAITING_RATIO_MAX};
use crate::provider::osm::pbf::{Content, Damage};
use crate::provider::osm::tags::{Described, Tags, kinds_checksum};

/// The number of places between two updates of the progress.
const SHOWN_EVERY: u64 = 1024;

/// Memory for a member of a relation until the middle of the relation is known, bytes.
const MEMBER_LEN: usize = 8 + size_of::<(i64, Outline)>();
/// Memory for each use of a node until the middle of its way is known, bytes.
const NODE_LEN: usize = 16;

/// An import under way.
pub(super) struct Passes {
    source: ExtractFile,
    source_s: i64,
    out: PathBuf,
    writer: IndexWriter,
    allowance: MemoryAllowance,
    /// The ways that relations need.
    outlines: HashMap<i64, Outline>,
    nodes: Nodes,
    places: ImportedPlaces,
    summary: ImportSummary,
}

/// A way that relations need.
#[derive(Debug, Default)]
struct Outline {
    /// The number of relations that need the way. Each of these relations reads all nodes of the way.
    relations: u32,
    /// The nodes of the way. Empty until the pass over ways has found the way.
    refs: Box<[u8]>,
}

/// A relation that is a place and waits for its ways.
struct WaitingRelation {
    id: ObjectId,
    version: u32,
    described: Described,
    outer: Box<[i64]>,
}

/// Makes errors about the file `out` and about temporary files in the same directory.
struct Unwritable<'a>(&'a Path);

impl Unwritable<'_> {
    fn error(&self) -> impl Fn(io::Error) -> ImportError {
        |error| ImportError::Unwritable(self.0.to_owned(), error)
    }
}

impl Passes {
    /// Opens both files. A file that is not an extract is refused before anything is written.
    pub(super) fn begin(source: &Path, out: &Path) -> Result<Passes, ImportError> {
        let source = ExtractFile::open(source)?;
        let source_s = source.up_to_date_s()?;
        let unwritable = Unwritable(out);
        let unwritable = unwritable.error();
        Ok(Passes {
            writer: IndexWriter::create(out).map_err(&unwritable)?,
            places: ImportedPlaces::new(directory_of(out)).map_err(&unwritable)?,
            allowance: MemoryAllowance::of(source.len()),
            source,
            source_s,
            out: out.to_owned(),
            outlines: HashMap::new(),
            nodes: Nodes::default(),
            summary: ImportSummary::default(),
        })
    }

    pub(super) fn run(mut self, progress: &mut dyn Progress) -> Result<ImportSummary, ImportError> {
        let len = self.source.len();
        progress.begin("relations", len);
        let relations = self.read_relations(progress)?;
        progress.end();
        progress.begin("ways", len);
        let ways = self.read_ways(progress)?;
        progress.end();
        progress.begin("nodes", len);
        self.read_nodes(progress)?;
        progress.end();
        progress.begin("places", ways.len());
        self.place_relations(relations)?;
        self.place_ways(ways, progress)?;
        progress.end();
        self.write(progress)
    }

    fn read_relations(&mut self, progress: &mut dyn Progress) -> Result<Vec<WaitingRelation>, ImportError> {
        let (mut relations, mut known) = (Vec::new(), HashSet::new());
        let (outlines, allowance) = (&mut self.outlines, &mut self.allowance);
        self.source.pass(Content::Relations, progress, |block| {
            let mut tags = Tags::default();
            block.relations(|relation| {
                tags.fill(relation.tags())?;
                let has_outline = matches!(tags.value("type"), Some("multipolygon" | "boundary"));
                if !has_outline || !tags.are_a_place() {
                    return Ok(());
                }
                let described = tags.describe();
                allowance.take(size_of::<WaitingRelation>() + described.len())?;
                let mut outer = Vec::new();
                known.clear();
                relation.members(|object, id, role| {
                    // If the relation names a way a second time, the way adds nothing to the outline.
                    if object == Object::Way && role != b"inner" && known.insert(id) {
                        allowance.take(MEMBER_LEN)?;
                        outer.push(id);
                        outlines.entry(id).or_default().relations += 1;
                    }
                    Ok(())
                })?;
                relations.push(WaitingRelation {
                    id: id(Object::Relation, relation.id)?,
                    version: relation.version()?,
                    described,
                    outer: outer.into(),
                });
                Ok(())
            })
        })?;
        Ok(relations)
    }

    fn read_ways(&mut self, progress: &mut dyn Progress) -> Result<Spool, ImportError> {
        let (outlines, nodes, out) = (&mut self.outlines, &mut self.nodes, &self.out);
        let allowance = &mut self.allowance;
        let mut ways = Spool::new(directory_of(out)).map_err(Unwritable(out).error())?;
        self.source.pass(Content::Ways, progress, |block| {
            let mut tags = Tags::default();
            block.ways(|way| {
                tags.fill(way.tags())?;
                let is_place = tags.are_a_place();
                let outline = outlines.get_mut(&way.id);
                if !is_place && outline.is_none() {
                    return Ok(());
                }
                let uses = 1 + outline.as_ref().map_or(0, |outline| outline.relations as usize);
                let mut refs = Vec::new();
                way.refs(|node, point| {
                    allowance.take(uses * NODE_LEN)?;
                    refs.push(node);
                    match point {
                        Some(point) => nodes.need_at(node, point),
                        None => nodes.need(node),
                    }
                    Ok(())
                })?;
                if let Some(outline) = outline {
                    outline.refs = packed(&refs);
                }
                if is_place {
                    let ObjectId { number, .. } = id(Object::Way, way.id)?;
                    let waiting =
                        WaitingWay { id: number, version: way.version()?, described: tags.describe(), refs };
                    ways.put(&waiting).map_err(Unwritable(out).error())?;
                }
                Ok(())
            })
        })?;
        nodes.seal();
        self.summary.needed_nodes = nodes.len() as u64;
        Ok(ways)
    }

    fn read_nodes(&mut self, progress: &mut dyn Progress) -> Result<(), ImportError> {
        let (nodes, places, summary, out) = (&mut self.nodes, &mut self.places, &mut self.summary, &self.out);
        self.source.pass(Content::Nodes, progress, |block| {
            let mut tags = Tags::default();
            block.nodes(|node| {
                if let Some(point) = node.point {
                    nodes.meet(node.id, point);
                }
                tags.fill(node.tags)?;
                match node.point {
                    Some(point) if tags.are_a_place() => {
                        let id = id(Object::Node, node.id)?;
                        let added = places.add(id, node.version, &tags.describe(), point);
                        added.map_err(Unwritable(out).error())?;
                    }
                    None if tags.are_a_place() => summary.nowhere += 1,
                    _ => {}
                }
                Ok(())
            })
        })
    }

    fn place_relations(&mut self, relations: Vec<WaitingRelation>) -> Result<(), ImportError> {
        for WaitingRelation { id, version, described, outer } in relations {
            let pieces = outer.iter().filter_map(|way| self.outlines.get(way));
            let pieces = pieces.map(|outline| self.nodes.piece(unpacked(ByteReader::new(&outline.refs))));
            match middle(pieces.collect()) {
                Some(point) => {
                    let added = self.places.add(id, version, &described, point);
                    added.map_err(Unwritable(&self.out).error())?;
                }
                None => self.summary.nowhere += 1,
            }
        }
        self.outlines = HashMap::new();
        Ok(())
    }

    fn place_ways(&mut self, ways: Spool, progress: &mut dyn Progress) -> Result<(), ImportError> {
        let (nodes, places, summary) = (&self.nodes, &mut self.places, &mut self.summary);
        let drained: io::Result<()> = ways.drain(|number, way| {
            if number.is_multiple_of(SHOWN_EVERY) {
                progress.advance(number);
            }
            match middle(vec![nodes.piece(way.refs.iter().copied())]) {
                Some(point) => {
                    let id = ObjectId { object: Object::Way, number: way.id };
                    places.add(id, way.version, &way.described, point)
                }
                None => {
                    summary.nowhere += 1;
                    Ok(())
                }
            }
        });
        drained.map_err(Unwritable(&self.out).error())
    }

    fn write(self, progress: &mut dyn Progress) -> Result<ImportSummary, ImportError> {
        let Passes { mut writer, places, mut summary, out, source_s, .. } = self;
        let unwritable = Unwritable(&out);
        let unwritable = unwritable.error();
        progress.begin("index", places.len());
        summary.hours_failed = places.hours_failed();
        let places = places.finish().map_err(&unwritable)?;
        places
            .each(|point, record| {
                summary.count(record);
                if summary.places().is_multiple_of(SHOWN_EVERY) {
                    progress.advance(summary.places());
                }
                writer.push(point, record)
            })
            .map_err(&unwritable)?;
        let (bytes, blocks) =
            writer.finish(&places.locales, kinds_checksum(), source_s).map_err(&unwritable)?;
        progress.end();
        Ok(ImportSummary { bytes, blocks: blocks as u64, ..summary })
    }
}

impl ImportSummary {
    /// Adds a written place to the counts.
    fn count(&mut self, record: &[u8]) {
        let record = IndexRecord::decode(record).expect("the importer has encoded it");
        *match record.id.object {
            Object::Node => &mut self.nodes,
            Object::Way => &mut self.ways,
            Object::Relation => &mut self.relations,
        } += 1;
        self.with_hours += u64::from(!record.hours.is_empty());
    }
}

/// The ID of a place, if an index can hold it.
fn id(object: Object, number: i64) -> Result<ObjectId, Halt> {
    if number.unsigned_abs() <= NUMBER_MAX.unsigned_abs() {
        Ok(ObjectId { object, number })
    } else {
        Err(Damage("an object's ID is farther from zero than any in OpenStreetMap").into())
    }
}

/// The directory of a file.
fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

impl Nodes {
    /// The nodes of a way whose points are known.
    fn piece(&self, refs: impl Iterator<Item = i64>) -> OutlinePiece {
        refs.filter_map(|id| Some((id, self.find(id)?))).collect()
    }
}

/// The memory that an import may still take until it has read the whole extract, bytes.
///
/// Zlib compresses a list of equal numbers to a thousandth of its length. So a file of some kilobytes can hold millions
/// of references to nodes and ways, and each reference takes memory in the importer. The memory that a file may use is
/// therefore limited by the file's length.
#[derive(Debug)]
struct MemoryAllowance(u64);

const TOO_MUCH: Damage =
    Damage("with it, the file has far more references than a file of its length can hold");

impl MemoryAllowance {
    /// The memory for an extract of this length, bytes.
    pub(super) fn of(file_len: u64) -> MemoryAllowance {
        MemoryAllowance(file_len.saturating_mul(WAITING_RATIO_MAX).max(WAITING_LEN_MIN))
    }

    /// Takes this many bytes from the allowance. If the allowance is too small, the extract counts as damaged.
    pub(super) fn take(&mut self, len: usize) -> Result<(), Damage> {
        self.0 = self.0.checked_sub(len as u64).ok_or(TOO_MUCH)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_follows_the_files_length_and_is_used_up() {
        for (file_len, expected) in
            [(0, WAITING_LEN_MIN), (1 << 30, WAITING_RATIO_MAX << 30), (u64::MAX, u64::MAX)]
        {
            let mut allowance = MemoryAllowance::of(file_len);
            assert_eq!(allowance.take(usize::try_from(expected - 1).unwrap()), Ok(()), "{file_len}");
            assert_eq!(allowance.take(2), Err(TOO_MUCH), "{file_len}");
            assert_eq!(allowance.take(1), Ok(()), "{file_len}");
        }
    }
}
