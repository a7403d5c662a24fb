//! Numbered items in memory that grows piece by piece. So growth never copies the items, and wastes at most one piece.

/// The number of no item.
pub(super) const NONE: u32 = u32::MAX;

/// An item that a pool holds.
pub(super) trait Pooled: Clone {
    /// An unused item.
    const UNUSED: Self;

    /// In an unused item: the number of the next unused item.
    fn next_unused(&mut self) -> &mut u32;
}

/// Items by their numbers. The numbers of freed items are used again, the last one first.
#[derive(Debug)]
pub(super) struct Pool<T, const PIECE: usize> {
    pieces: Vec<Box<[T; PIECE]>>,
    /// The number of items that were ever used.
    used: u32,
    unused: u32,
}

impl<T: Pooled, const PIECE: usize> Pool<T, PIECE> {
    pub(super) const fn new() -> Pool<T, PIECE> {
        Pool { pieces: Vec::new(), used: 0, unused: NONE }
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> &T {
        &self.pieces[number as usize / PIECE][number as usize % PIECE]
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u32) -> &mut T {
        &mut self.pieces[number as usize / PIECE][number as usize % PIECE]
    }

    /// Keeps an item, and returns its number.
    pub(super) fn add(&mut self, item: T) -> u32 {
        let number = match self.unused {
            NONE => {
                self.used += 1;
                self.used - 1
            }
            number => {
                self.unused = *self.get_mut(number).next_unused();
                number
            }
        };
        self.grow_to(number);
        *self.get_mut(number) = item;
        number
    }

    /// Frees an item's number.
    pub(super) fn free(&mut self, number: u32) {
        let unused = std::mem::replace(&mut self.unused, number);
        let item = self.get_mut(number);
        *item = T::UNUSED;
        *item.next_unused() = unused;
    }

    /// Makes room for the item of this number.
    pub(super) fn grow_to(&mut self, number: u32) {
        while self.pieces.len() <= number as usize / PIECE {
            self.pieces.push(Box::new([const { T::UNUSED }; PIECE]));
        }
    }

    /// The number of items that were ever in use at the same time.
    pub(super) fn used(&self) -> u32 {
        self.used
    }

    /// All items with smaller numbers can be read, used or not.
    pub(super) fn room(&self) -> u32 {
        (self.pieces.len() * PIECE) as u32
    }

    /// The number of allocated bytes.
    pub(super) fn bytes(&self) -> usize {
        self.pieces.len() * size_of::<[T; PIECE]>() + self.pieces.capacity() * size_of::<Box<[T; PIECE]>>()
    }
}
