//! The passes over an extract, one after the other, and what each hands to the next.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use osmpbf::{PrimitiveBlock, RelMemberType};

use super::nodes::Nodes;
use super::outline::{Piece, middle};
use super::place::Places;
use super::source::{Content, Source};
use super::spool::{Spool, Waiting, packed, unpacked};
use super::{ImportError, Progress, Summary};
use crate::provider::osm::index::{ANTIMERIDIAN, Id, Object, POLE, Point, Wire, Writer};
use crate::provider::osm::tags::{Described, Tags, kinds_checksum};

/// How many places pass between two looks at the progress.
const SHOWN_EVERY: u64 = 1024;

/// An import under way.
pub(super) struct Passes {
    source: Source,
    source_s: i64,
    out: PathBuf,
    writer: Writer,
    /// The ways that relations need: their nodes, once they were met.
    outlines: HashMap<u64, Box<[u8]>>,
    nodes: Nodes,
    places: Places,
    summary: Summary,
}

/// A relation that is a place, and waits for its ways.
struct Relation {
    id: u64,
    described: Described,
    outer: Box<[u64]>,
}

/// What can be met in the file `out`, or beside it.
struct Unwritable<'a>(&'a Path);

impl Unwritable<'_> {
    fn error(&self) -> impl Fn(io::Error) -> ImportError {
        |error| ImportError::Unwritable(self.0.to_owned(), error)
    }
}

impl Passes {
    /// Opens both files. What makes no sense at all is refused here, before anything is written.
    pub(super) fn begin(source: &Path, out: &Path) -> Result<Passes, ImportError> {
        let source = Source::open(source)?;
        let source_s = source.up_to_date_s()?;
        let unwritable = Unwritable(out);
        let unwritable = unwritable.error();
        Ok(Passes {
            writer: Writer::create(out).map_err(&unwritable)?,
            places: Places::new(directory_of(out)).map_err(&unwritable)?,
            source,
            source_s,
            out: out.to_owned(),
            outlines: HashMap::new(),
            nodes: Nodes::default(),
            summary: Summary::default(),
        })
    }

    pub(super) fn run(mut self, progress: &mut dyn Progress) -> Result<Summary, ImportError> {
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

    fn read_relations(&mut self, progress: &mut dyn Progress) -> Result<Vec<Relation>, ImportError> {
        let (mut relations, outlines) = (Vec::new(), &mut self.outlines);
        self.source.pass(Content::Relations, progress, |block| {
            let mut tags = Tags::default();
            for relation in block.groups().flat_map(|group| group.relations()) {
                tags.fill(relation.tags());
                let has_outline = matches!(tags.value("type"), Some("multipolygon" | "boundary"));
                if !has_outline || !tags.are_a_place() {
                    continue;
                }
                let outer = relation.members().filter(|member| {
                    member.member_type == RelMemberType::Way && !matches!(member.role(), Ok("inner"))
                });
                let outer: Box<[u64]> = outer.map(|member| member.member_id as u64).collect();
                outlines.extend(outer.iter().map(|&way| (way, Box::default())));
                relations.push(Relation { id: relation.id() as u64, described: tags.describe(), outer });
            }
            Ok(())
        })?;
        Ok(relations)
    }

    fn read_ways(&mut self, progress: &mut dyn Progress) -> Result<Spool, ImportError> {
        let (outlines, nodes, out) = (&mut self.outlines, &mut self.nodes, &self.out);
        let mut ways = Spool::new(directory_of(out)).map_err(Unwritable(out).error())?;
        self.source.pass(Content::Ways, progress, |block| {
            let mut tags = Tags::default();
            for way in block.groups().flat_map(|group| group.ways()) {
                tags.fill(way.tags());
                let (id, is_place) = (way.id() as u64, tags.are_a_place());
                let outline = outlines.get_mut(&id);
                if !is_place && outline.is_none() {
                    continue;
                }
                let refs: Vec<u64> = way.refs().map(|node| node as u64).collect();
                refs.iter().for_each(|&node| nodes.need(node));
                if let Some(outline) = outline {
                    *outline = packed(&refs);
                }
                if is_place {
                    let waiting = Waiting { id, described: tags.describe(), refs };
                    ways.put(&waiting).map_err(Unwritable(out).error())?;
                }
            }
            Ok(())
        })?;
        nodes.seal();
        self.summary.needed_nodes = nodes.len() as u64;
        Ok(ways)
    }

    fn read_nodes(&mut self, progress: &mut dyn Progress) -> Result<(), ImportError> {
        let (nodes, places, summary, out) = (&mut self.nodes, &mut self.places, &mut self.summary, &self.out);
        self.source.pass(Content::Nodes, progress, |block| {
            each_node(block, |id, point, tags| {
                nodes.meet(id, point);
                if tags.are_a_place() && is_on_earth(point) {
                    let id = Id { object: Object::Node, number: id };
                    places.add(id, &tags.describe(), point).map_err(Unwritable(out).error())?;
                    summary.nodes += 1;
                }
                Ok(())
            })
        })
    }

    fn place_relations(&mut self, relations: Vec<Relation>) -> Result<(), ImportError> {
        for relation in relations {
            let pieces = relation.outer.iter().filter_map(|way| self.outlines.get(way));
            let pieces = pieces.map(|refs| self.nodes.piece(unpacked(Wire::new(refs))));
            match middle(pieces.collect()) {
                Some(point) => {
                    let id = Id { object: Object::Relation, number: relation.id };
                    let added = self.places.add(id, &relation.described, point);
                    added.map_err(Unwritable(&self.out).error())?;
                    self.summary.relations += 1;
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
                    summary.ways += 1;
                    places.add(Id { object: Object::Way, number: way.id }, &way.described, point)
                }
                None => {
                    summary.nowhere += 1;
                    Ok(())
                }
            }
        });
        drained.map_err(Unwritable(&self.out).error())
    }

    fn write(self, progress: &mut dyn Progress) -> Result<Summary, ImportError> {
        let Passes { mut writer, places, mut summary, out, source_s, .. } = self;
        let unwritable = Unwritable(&out);
        let unwritable = unwritable.error();
        summary.with_hours = places.with_hours;
        progress.begin("index", summary.places());
        let (sorter, locales) = places.finish();
        let mut written = 0u64;
        sorter
            .finish(|point, record| {
                written += 1;
                if written.is_multiple_of(SHOWN_EVERY) {
                    progress.advance(written);
                }
                writer.push(point, record)
            })
            .map_err(&unwritable)?;
        let (bytes, blocks) = writer.finish(&locales, kinds_checksum(), source_s).map_err(&unwritable)?;
        progress.end();
        Ok(Summary { bytes, blocks: blocks as u64, ..summary })
    }
}

/// Shows `visit` every node of a block: its ID, where it is, and its tags.
fn each_node<'a>(
    block: &'a PrimitiveBlock,
    mut visit: impl FnMut(u64, Point, &Tags<'a>) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    let mut tags = Tags::default();
    for group in block.groups() {
        for node in group.dense_nodes() {
            let point = Point { longitude: node.decimicro_lon(), latitude: node.decimicro_lat() };
            tags.fill(node.tags());
            visit(node.id() as u64, point, &tags)?;
        }
        for node in group.nodes() {
            let point = Point { longitude: node.decimicro_lon(), latitude: node.decimicro_lat() };
            tags.fill(node.tags());
            visit(node.id() as u64, point, &tags)?;
        }
    }
    Ok(())
}

/// The directory that a file is in.
fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn is_on_earth(point: Point) -> bool {
    point.latitude.unsigned_abs() <= POLE.unsigned_abs()
        && point.longitude.unsigned_abs() <= ANTIMERIDIAN.unsigned_abs()
}

impl Nodes {
    /// Those of a way whose points are known.
    fn piece(&self, refs: impl Iterator<Item = u64>) -> Piece {
        refs.filter_map(|id| Some((id, self.find(id)?))).collect()
    }
}
