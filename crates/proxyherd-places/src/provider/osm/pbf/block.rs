//! A block: groups of nodes, ways or relations, with the strings and the scale of coordinates that they share.
//!
//! [`PbfBlock::read`] decodes the data that the objects share. [`PbfBlock::nodes`], [`PbfBlock::ways`] and
//! [`PbfBlock::relations`] decode the objects one after the other, and borrow from the block. This module does not know
//! what tags mean.

use super::message::{Damage, Deltas, List, PbfMessage, Value, pick, unfolded};
use super::strings::{Strings, TagIter};
use crate::provider::osm::index::{ANTIMERIDIAN, IndexPoint, Object, POLE};

/// The content of a frame of the kind [`FrameKind::Data`](super::FrameKind::Data).
#[derive(Debug)]
pub(in crate::provider::osm) struct PbfBlock<'a> {
    bytes: &'a [u8],
    strings: Strings<'a>,
    scale: Scale,
}

/// The kinds of objects that a block may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider::osm) enum Content {
    Nodes = 1,
    Ways = 2,
    Relations = 4,
}

/// A node.
#[derive(Clone, Debug)]
pub(in crate::provider::osm) struct Node<'a> {
    pub(in crate::provider::osm) id: i64,
    /// The version. 0 if the file does not say.
    pub(in crate::provider::osm) version: u32,
    /// `None` if the coordinates are missing, undefined, or outside of ±90 and ±180 degrees.
    pub(in crate::provider::osm) point: Option<IndexPoint>,
    pub(in crate::provider::osm) tags: TagIter<'a>,
}

/// A way.
#[derive(Clone, Debug)]
pub(in crate::provider::osm) struct Way<'a> {
    pub(in crate::provider::osm) id: i64,
    info: Option<Value<'a>>,
    tags: TagIter<'a>,
    refs: Option<Value<'a>>,
    latitudes: Option<Value<'a>>,
    longitudes: Option<Value<'a>>,
    scale: Scale,
}

/// A relation.
#[derive(Clone, Debug)]
pub(in crate::provider::osm) struct Relation<'a> {
    pub(in crate::provider::osm) id: i64,
    info: Option<Value<'a>>,
    tags: TagIter<'a>,
    roles: Option<Value<'a>>,
    members: Option<Value<'a>>,
    types: Option<Value<'a>>,
}

/// The scale that converts the numbers of a block to coordinates.
#[derive(Clone, Copy, Debug)]
struct Scale {
    granularity: i64,
    north: i64,
    east: i64,
}

// The fields of a group. Each value is one object, except that one value holds many dense nodes.
const NODE: u64 = 1;
const DENSE_NODES: u64 = 2;
const WAY: u64 = 3;
const RELATION: u64 = 4;

const NO_ID: Damage = Damage("an object has no ID");
const UNEQUAL_NODES: Damage = Damage("dense nodes have lists of unequal length");
const UNEQUAL_REFS: Damage = Damage("the numbers of coordinates and nodes of a way differ");
const UNEQUAL_MEMBERS: Damage = Damage("a relation's members have lists of unequal length");

impl<'a> PbfBlock<'a> {
    /// Decodes the data that the objects share. Damage in an object is found when that object is visited.
    pub(in crate::provider::osm) fn read(bytes: &'a [u8]) -> Result<PbfBlock<'a>, Damage> {
        let (mut message, mut table) = (PbfMessage::new(bytes), None);
        let mut scale = Scale { granularity: 100, north: 0, east: 0 };
        while let Some((number, value)) = message.field()? {
            match number {
                1 => table = Some(value.bytes()?),
                17 => scale.granularity = value.number()? as i64,
                19 => scale.north = value.number()? as i64,
                20 => scale.east = value.number()? as i64,
                _ => {}
            }
        }
        Ok(PbfBlock { bytes, strings: Strings::read(table.unwrap_or_default())?, scale })
    }

    /// Which kinds of objects the block holds: bits of [`Content`].
    pub(in crate::provider::osm) fn contents(&self) -> Result<u8, Damage> {
        let mut contents = 0;
        self.each_field(|number, _| {
            contents |= match number {
                NODE | DENSE_NODES => Content::Nodes as u8,
                WAY => Content::Ways as u8,
                RELATION => Content::Relations as u8,
                _ => 0,
            };
            Ok::<(), Damage>(())
        })?;
        Ok(contents)
    }

    /// Passes every node to `visit`.
    pub(in crate::provider::osm) fn nodes<'b, E: From<Damage>>(
        &'b self,
        mut visit: impl FnMut(Node<'b>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.each_field(|number, value| match number {
            NODE => visit(self.node(value.bytes()?)?),
            DENSE_NODES => self.dense_nodes(value.bytes()?, &mut visit),
            _ => Ok(()),
        })
    }

    /// Passes every way to `visit`.
    pub(in crate::provider::osm) fn ways<'b, E: From<Damage>>(
        &'b self,
        mut visit: impl FnMut(Way<'b>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.each_field(|number, value| match number {
            WAY => visit(self.way(value.bytes()?)?),
            _ => Ok(()),
        })
    }

    /// Passes every relation to `visit`.
    pub(in crate::provider::osm) fn relations<'b, E: From<Damage>>(
        &'b self,
        mut visit: impl FnMut(Relation<'b>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.each_field(|number, value| match number {
            RELATION => visit(self.relation(value.bytes()?)?),
            _ => Ok(()),
        })
    }

    /// Passes every field of every group to `visit`.
    fn each_field<'b, E: From<Damage>>(
        &'b self,
        mut visit: impl FnMut(u64, Value<'b>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut message = PbfMessage::new(self.bytes);
        while let Some((number, value)) = message.field()? {
            if number == 2 {
                let mut group = PbfMessage::new(value.bytes()?);
                while let Some((number, value)) = group.field()? {
                    visit(number, value)?;
                }
            }
        }
        Ok(())
    }

    fn node<'b>(&'b self, bytes: &'b [u8]) -> Result<Node<'b>, Damage> {
        let [id, keys, values, info, latitude, longitude] = pick(bytes, [1, 2, 3, 4, 8, 9])?;
        let number = |value: Value<'_>| value.number().map(unfolded);
        let (latitude, longitude) = (latitude.map(number).transpose()?, longitude.map(number).transpose()?);
        Ok(Node {
            id: number(id.ok_or(NO_ID)?)?,
            version: version(info)?,
            point: latitude.zip(longitude).and_then(|(north, east)| self.scale.point(north, east)),
            tags: self.tags(keys, values)?,
        })
    }

    /// Dense nodes are stored as lists: all IDs, all latitudes, and so on.
    fn dense_nodes<'b, E: From<Damage>>(
        &'b self,
        bytes: &'b [u8],
        mut visit: impl FnMut(Node<'b>) -> Result<(), E>,
    ) -> Result<(), E> {
        let [ids, info, latitudes, longitudes, tags] = pick(bytes, [1, 5, 8, 9, 10])?;
        let mut ids = Deltas::of(ids)?;
        let (mut latitudes, mut longitudes) = (Deltas::of(latitudes)?, Deltas::of(longitudes)?);
        let mut tags = List::of(tags)?;
        let mut versions =
            List::of(info.map(|info| pick(info.bytes()?, [1])).transpose()?.and_then(|[it]| it))?;
        // The list of tags is missing if no node has tags. The list of versions is missing if the file has no versions.
        let (have_tags, have_versions) = (!tags.is_empty(), !versions.is_empty());
        while let Some(id) = ids.number()? {
            if have_tags && tags.is_empty() {
                return Err(UNEQUAL_NODES.into());
            }
            let version = if have_versions { versions.number()?.ok_or(UNEQUAL_NODES)? } else { 0 };
            let (north, east) =
                (latitudes.number()?.ok_or(UNEQUAL_NODES)?, longitudes.number()?.ok_or(UNEQUAL_NODES)?);
            visit(Node {
                id,
                version: version as u32,
                point: self.scale.point(north, east),
                tags: TagIter::new(&self.strings, tags.until_zero()?, None),
            })?;
        }
        let are_over =
            latitudes.is_empty() && longitudes.is_empty() && tags.is_empty() && versions.is_empty();
        if are_over { Ok(()) } else { Err(UNEQUAL_NODES.into()) }
    }

    fn way<'b>(&'b self, bytes: &'b [u8]) -> Result<Way<'b>, Damage> {
        let [id, keys, values, info, refs, latitudes, longitudes] = pick(bytes, [1, 2, 3, 4, 8, 9, 10])?;
        let id = id.ok_or(NO_ID)?.number()? as i64;
        let tags = self.tags(keys, values)?;
        Ok(Way { id, info, tags, refs, latitudes, longitudes, scale: self.scale })
    }

    fn relation<'b>(&'b self, bytes: &'b [u8]) -> Result<Relation<'b>, Damage> {
        let [id, keys, values, info, roles, members, types] = pick(bytes, [1, 2, 3, 4, 8, 9, 10])?;
        let id = id.ok_or(NO_ID)?.number()? as i64;
        let tags = self.tags(keys, values)?;
        Ok(Relation { id, info, tags, roles, members, types })
    }

    fn tags<'b>(&'b self, keys: Option<Value<'b>>, values: Option<Value<'b>>) -> Result<TagIter<'b>, Damage> {
        Ok(TagIter::new(&self.strings, List::of(keys)?, Some(List::of(values)?)))
    }
}

impl<'a> Way<'a> {
    /// The version. 0 if the file does not say.
    pub(in crate::provider::osm) fn version(&self) -> Result<u32, Damage> {
        version(self.info)
    }

    pub(in crate::provider::osm) fn tags(&self) -> TagIter<'a> {
        self.tags.clone()
    }

    /// Passes the nodes of the way to `visit`: the ID, and the position if the way itself holds it (`LocationsOnWays`).
    pub(in crate::provider::osm) fn refs(
        &self,
        mut visit: impl FnMut(i64, Option<IndexPoint>) -> Result<(), Damage>,
    ) -> Result<(), Damage> {
        let mut refs = Deltas::of(self.refs)?;
        let (mut latitudes, mut longitudes) = (Deltas::of(self.latitudes)?, Deltas::of(self.longitudes)?);
        let have_points = !latitudes.is_empty() || !longitudes.is_empty();
        while let Some(node) = refs.number()? {
            let point = if have_points {
                let north = latitudes.number()?.ok_or(UNEQUAL_REFS)?;
                self.scale.point(north, longitudes.number()?.ok_or(UNEQUAL_REFS)?)
            } else {
                None
            };
            visit(node, point)?;
        }
        if latitudes.is_empty() && longitudes.is_empty() { Ok(()) } else { Err(UNEQUAL_REFS) }
    }
}

impl<'a> Relation<'a> {
    /// The version. 0 if the file does not say.
    pub(in crate::provider::osm) fn version(&self) -> Result<u32, Damage> {
        version(self.info)
    }

    pub(in crate::provider::osm) fn tags(&self) -> TagIter<'a> {
        self.tags.clone()
    }

    /// Passes the members of the relation to `visit`: kind, ID and role. Members of an unknown kind are skipped.
    pub(in crate::provider::osm) fn members(
        &self,
        mut visit: impl FnMut(Object, i64, &'a [u8]) -> Result<(), Damage>,
    ) -> Result<(), Damage> {
        let (mut roles, mut ids) = (List::of(self.roles)?, Deltas::of(self.members)?);
        let mut types = List::of(self.types)?;
        while let Some(id) = ids.number()? {
            let role = roles.number()?.ok_or(UNEQUAL_MEMBERS)?;
            let role = self.tags.strings().get(role)?;
            match types.number()?.ok_or(UNEQUAL_MEMBERS)? {
                0 => visit(Object::Node, id, role)?,
                1 => visit(Object::Way, id, role)?,
                2 => visit(Object::Relation, id, role)?,
                _ => {}
            }
        }
        if roles.is_empty() && types.is_empty() { Ok(()) } else { Err(UNEQUAL_MEMBERS) }
    }
}

impl Scale {
    /// A point. `None` if the coordinates are not on Earth. The format's value for undefined coordinates is not on
    /// Earth either.
    fn point(self, north: i64, east: i64) -> Option<IndexPoint> {
        let units = |number: i64, offset: i64, edge: i32| {
            // This converts nanodegrees to the index's units of 10⁻⁷ degrees.
            let units = number.checked_mul(self.granularity)?.checked_add(offset)? / 100;
            i32::try_from(units).ok().filter(|units| units.unsigned_abs() <= edge.unsigned_abs())
        };
        let (latitude, longitude) = (units(north, self.north, POLE)?, units(east, self.east, ANTIMERIDIAN)?);
        Some(IndexPoint { longitude, latitude })
    }
}

fn version(info: Option<Value<'_>>) -> Result<u32, Damage> {
    let Some(info) = info else { return Ok(0) };
    let [version] = pick(info.bytes()?, [1])?;
    Ok(version.map_or(Ok(0), Value::number)? as u32)
}

#[cfg(test)]
mod tests;
