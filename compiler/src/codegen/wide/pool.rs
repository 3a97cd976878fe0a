//! Constants that code reads from memory behind itself.

use std::collections::HashMap;

use cranelift_entity::{PrimaryMap, SecondaryMap, entity_impl};

/// A constant of a [`Pool`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ConstantId(u32);
entity_impl!(ConstantId, "const");

/// The constants of a function, each once.
#[derive(Clone, Debug, Default)]
pub(super) struct Pool {
    constants: PrimaryMap<ConstantId, Vec<u8>>,
    known: HashMap<Vec<u8>, ConstantId>,
}

impl Pool {
    /// A constant of these bytes, as many as a power of two and at most 64; it is aligned to its size.
    pub(super) fn add(&mut self, bytes: &[u8]) -> ConstantId {
        debug_assert!(bytes.len().is_power_of_two() && bytes.len() <= 64);
        let Pool { constants, known } = self;
        *known.entry(bytes.to_vec()).or_insert_with(|| constants.push(bytes.to_vec()))
    }

    /// A constant of elements of `width` bytes that are the low ones of `element`.
    pub(super) fn repeated(&mut self, element: u64, width: usize, bytes: usize) -> ConstantId {
        let element = &element.to_le_bytes()[..width];
        self.add(&element.repeat(bytes / width))
    }

    /// The bytes of a constant.
    #[cfg(test)]
    pub(super) fn bytes(&self, id: ConstantId) -> &[u8] {
        &self.constants[id]
    }

    /// All constants in a row that starts at a multiple of 64, and where each of them is in it. Only those that are
    /// `used` are there.
    pub(super) fn place(
        &self,
        used: impl Fn(ConstantId) -> bool,
    ) -> (Vec<u8>, SecondaryMap<ConstantId, usize>) {
        let mut order: Vec<_> = self.constants.keys().filter(|&id| used(id)).collect();
        order.sort_by_key(|&id| std::cmp::Reverse(self.constants[id].len()));
        let (mut row, mut places) = (Vec::new(), SecondaryMap::new());
        for id in order {
            places[id] = row.len();
            row.extend_from_slice(&self.constants[id]);
        }
        (row, places)
    }
}
