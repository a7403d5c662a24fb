//! The middle of an area or a line, from the points of its ways.
//!
//! [`middle`] joins ways that share end nodes into rings, and returns the center of mass of the rings, weighted by
//! area. If no ring closes, because the object is a line or crosses the edge of the extract, the middle is the center
//! of the box around all points. Holes are ignored, because they rarely move the middle of a building or a park by
//! much. This module does not know which object the ways belong to.

use std::collections::HashMap;

use super::super::index::{self, ANTIMERIDIAN, IndexPoint, POLE};

/// The nodes of a way whose points are known, in their order.
pub(super) type OutlinePiece = Vec<(i64, IndexPoint)>;

const GIRTH: f64 = index::GIRTH as f64;

/// The middle of the area or line that these ways form. `None` if there is no point.
pub(super) fn middle(pieces: Vec<OutlinePiece>) -> Option<IndexPoint> {
    let origin = pieces.iter().flatten().next()?.1;
    let points = || pieces.iter().flatten().map(|&(_, point)| Flat::new(origin, point));
    let boxed = middle_of_box(points());
    let mut mass = Mass::default();
    for ring in rings(pieces) {
        mass.add(&ring.iter().map(|&(_, point)| Flat::new(origin, point)).collect::<Vec<_>>());
    }
    Some(mass.middle().unwrap_or(boxed).on_earth(origin))
}

/// A point relative to another one, units.
#[derive(Clone, Copy, Debug, Default)]
struct Flat {
    x: f64,
    y: f64,
}

impl Flat {
    fn new(origin: IndexPoint, point: IndexPoint) -> Flat {
        let x = f64::from(point.longitude) - f64::from(origin.longitude);
        // A point just beyond the antimeridian is near.
        let x = if x.abs() > GIRTH / 2.0 { x - GIRTH.copysign(x) } else { x };
        Flat { x, y: f64::from(point.latitude) - f64::from(origin.latitude) }
    }

    fn on_earth(self, origin: IndexPoint) -> IndexPoint {
        let edge = f64::from(ANTIMERIDIAN);
        let x = f64::from(origin.longitude) + self.x;
        let x = if x.abs() > edge { x - GIRTH.copysign(x) } else { x };
        let y = f64::from(origin.latitude) + self.y;
        IndexPoint {
            longitude: x.round() as i32,
            latitude: y.round().clamp(-f64::from(POLE), f64::from(POLE)) as i32,
        }
    }
}

fn middle_of_box(points: impl Iterator<Item = Flat>) -> Flat {
    let mut edges = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
    for Flat { x, y } in points {
        edges = [edges[0].min(x), edges[1].min(y), edges[2].max(x), edges[3].max(y)];
    }
    Flat { x: f64::midpoint(edges[0], edges[2]), y: f64::midpoint(edges[1], edges[3]) }
}

/// The area of rings and its first moment.
#[derive(Debug, Default)]
struct Mass {
    area: f64,
    moment: Flat,
}

impl Mass {
    /// Adds a ring, in either direction.
    fn add(&mut self, ring: &[Flat]) {
        let (mut area, mut moment) = (0.0, Flat::default());
        for (at, one) in ring.iter().enumerate() {
            let next = ring[(at + 1) % ring.len()];
            let cross = one.x * next.y - next.x * one.y;
            area += cross / 2.0;
            moment.x += (one.x + next.x) * cross / 6.0;
            moment.y += (one.y + next.y) * cross / 6.0;
        }
        self.area += area.abs();
        self.moment.x += moment.x * area.signum();
        self.moment.y += moment.y * area.signum();
    }

    /// The center. `None` if the area is not larger than a square of one unit, which is about a centimeter.
    fn middle(&self) -> Option<Flat> {
        (self.area > 1.0).then(|| Flat { x: self.moment.x / self.area, y: self.moment.y / self.area })
    }
}

/// The closed rings that these ways form when their ends are joined. Ways that are in no closed ring are left out.
///
/// The time is linear in the number of nodes and does not depend on the number of ways.
fn rings(pieces: Vec<OutlinePiece>) -> Vec<OutlinePiece> {
    let mut ends = Ends::of(&pieces);
    let mut pieces: Vec<Option<OutlinePiece>> = pieces.into_iter().map(Some).collect();
    let mut rings = Vec::new();
    for first in 0..pieces.len() {
        let Some(mut chain) = pieces[first].take() else { continue };
        while !is_closed(&chain) && join_one(&mut chain, &mut pieces, &mut ends) {}
        if is_closed(&chain) {
            rings.push(chain);
        }
    }
    rings
}

fn is_closed(piece: &OutlinePiece) -> bool {
    piece.len() > 3 && piece.first().map(|node| node.0) == piece.last().map(|node| node.0)
}

/// For each node, the pieces that begin or end at this node. The first pieces are at the end of each list.
struct Ends(HashMap<i64, Vec<usize>>);

impl Ends {
    fn of(pieces: &[OutlinePiece]) -> Ends {
        let mut ends: HashMap<i64, Vec<usize>> = HashMap::new();
        for (at, piece) in pieces.iter().enumerate().rev() {
            for end in [piece.first(), piece.last()].into_iter().flatten() {
                ends.entry(end.0).or_default().push(at);
            }
        }
        Ends(ends)
    }
}

/// Lengthens a chain by a piece that begins or ends at the end of the chain.
fn join_one(chain: &mut OutlinePiece, pieces: &mut [Option<OutlinePiece>], ends: &mut Ends) -> bool {
    let Some(&(last, _)) = chain.last() else { return false };
    let Some(there) = ends.0.get_mut(&last) else { return false };
    // Pieces that are already used are dropped here, at most once for each of their two ends.
    let Some(mut piece) = std::iter::from_fn(|| there.pop()).find_map(|at| pieces[at].take()) else {
        return false;
    };
    if piece.first().is_none_or(|first| first.0 != last) {
        piece.reverse();
    }
    chain.extend(piece.into_iter().skip(1));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(nodes: &[(i64, i32, i32)]) -> OutlinePiece {
        nodes.iter().map(|&(id, longitude, latitude)| (id, IndexPoint { longitude, latitude })).collect()
    }

    fn check(pieces: &[&[(i64, i32, i32)]], expected: Option<(i32, i32)>) {
        let found = middle(pieces.iter().map(|nodes| piece(nodes)).collect());
        assert_eq!(found.map(|point| (point.longitude, point.latitude)), expected, "{pieces:?}");
    }

    #[test]
    fn an_area_is_at_its_center_of_mass_whichever_way_it_is_drawn() {
        let square = [(1, 0, 0), (2, 100, 0), (3, 100, 100), (4, 0, 100), (1, 0, 0)];
        let mut back = square;
        back.reverse();
        check(&[&square], Some((50, 50)));
        check(&[&back], Some((50, 50)));
        // An L of three squares. The center of its box is at 100, 100, outside of most of the L.
        let l = [(1, 0, 0), (2, 200, 0), (3, 200, 100), (4, 100, 100), (5, 100, 200), (6, 0, 200), (1, 0, 0)];
        check(&[&l], Some((83, 83)));
    }

    #[test]
    fn an_outline_in_pieces_is_put_together() {
        check(
            &[&[(1, 0, 0), (2, 100, 0), (3, 100, 100)], &[(1, 0, 0), (4, 0, 100), (3, 100, 100)]],
            Some((50, 50)),
        );
        let far = [(7, 1000, 0), (8, 1100, 0), (9, 1100, 100), (10, 1000, 100), (7, 1000, 0)];
        let near = [(1, 0, 0), (2, 100, 0), (3, 100, 100), (4, 0, 100), (1, 0, 0)];
        check(&[&near, &far], Some((550, 50)));
    }

    /// Before, each way was searched for among all other ways, and such an outline took minutes.
    #[test]
    fn an_outline_in_very_many_pieces_is_put_together() {
        const COUNT: i32 = 400_000;
        // A square. Each side is made from a quarter of the pieces, and the pieces are in random order.
        let node = |number: i32| {
            let (side, at) = (number % COUNT / (COUNT / 4), number % (COUNT / 4));
            let (x, y) =
                [(at, 0), (COUNT / 4, at), (COUNT / 4 - at, COUNT / 4), (0, COUNT / 4 - at)][side as usize];
            (i64::from(number % COUNT), IndexPoint { longitude: x, latitude: y })
        };
        let pieces = (0..COUNT).map(|number| {
            let number = (i64::from(number) * 7919 % i64::from(COUNT)) as i32;
            let (one, next) = (node(number), node(number + 1));
            if number % 3 == 0 { vec![one, next] } else { vec![next, one] }
        });
        let found = middle(pieces.collect()).unwrap();
        assert_eq!((found.longitude, found.latitude), (COUNT / 8, COUNT / 8));
    }

    #[test]
    fn what_does_not_close_is_in_the_middle_of_its_box() {
        check(&[&[(1, 0, 0), (2, 100, 0), (3, 100, 50)]], Some((50, 25)));
        check(&[&[(1, 7, 8)]], Some((7, 8)));
        check(&[&[]], None);
        check(&[], None);
    }

    #[test]
    fn an_area_across_the_antimeridian_stays_there() {
        let edge = ANTIMERIDIAN;
        let square = [
            (1, edge - 100, 0),
            (2, 300 - edge, 0),
            (3, 300 - edge, 100),
            (4, edge - 100, 100),
            (1, edge - 100, 0),
        ];
        check(&[&square], Some((100 - edge, 50)));
    }
}
