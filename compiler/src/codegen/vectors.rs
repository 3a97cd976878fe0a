//! Which vectors a target has. Plans, schedules and costs ask here; what is emitted for a plan, an implementation of
//! [`VectorEmitter`](super::emitter::VectorEmitter) knows.

use super::{cranelift, wide};
use crate::kernel::InstKind;
use crate::types::DType;

/// The most lanes that a vector has.
pub(super) const MAX_LANES: usize = 16;

/// The vectors of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vectors {
    /// There are none: code is over scalars.
    None,
    /// Those of Cranelift, of 128 bits.
    Cranelift {
        /// Whether some lanes of a vector can be loaded and stored on their own. They can, but that takes an
        /// instruction for each of them, so no target says so but those of tests.
        partial: bool,
        /// How many registers a tile may fill without Cranelift spilling any; `None` where that depends on more than their number.
        registers: Option<usize>,
    },
    /// AVX2 or AVX-512, through an assembler of our own.
    Wide(wide::Level),
}

impl Vectors {
    /// How many elements of a dtype the widest vector holds; 1 if there are no vectors.
    pub fn lanes(self, dtype: DType) -> usize {
        match self {
            Vectors::None => 1,
            Vectors::Cranelift { .. } => (128 / (8 * dtype.bytes())).max(1),
            // Bytes are lanes of 32 bits.
            Vectors::Wide(level) => level.vector_bytes() / dtype.bytes().max(4),
        }
    }

    /// The numbers of lanes, more than one, that schedules may name.
    pub fn lane_counts(self) -> &'static [usize] {
        match self {
            Vectors::None => &[],
            Vectors::Cranelift { .. } => &[2, 4],
            Vectors::Wide(wide::Level::Avx2) => &[2, 4, 8],
            Vectors::Wide(wide::Level::Avx512) => &[2, 4, 8, 16],
        }
    }

    /// Lanes of the vector for so few points that they do not fill one of `lanes` lanes: half as many where they fit, if vectors
    /// may have 512 bits, for some processors take half of the time then.
    pub(super) fn lanes_for(self, points: usize, lanes: usize) -> usize {
        match self {
            Vectors::Wide(wide::Level::Avx512) if lanes > 2 && points <= lanes / 2 => lanes / 2,
            _ => lanes,
        }
    }

    /// How many registers a tile may fill; `None` if what it may fill is not known.
    pub(crate) fn tile_registers(self) -> Option<usize> {
        match self {
            Vectors::None => None,
            Vectors::Cranelift { registers, .. } => registers,
            Vectors::Wide(level) => Some(level.registers()),
        }
    }

    /// How many registers there are, where instructions stay in the order in which they are emitted; Cranelift
    /// has one of its own.
    pub(super) fn ordered_registers(self) -> Option<usize> {
        match self {
            Vectors::None | Vectors::Cranelift { .. } => None,
            Vectors::Wide(level) => Some(level.registers()),
        }
    }

    /// Whether the first `active` lanes of vectors of this type can be loaded and stored at once.
    pub(super) fn has_memory(self, dtype: DType, lanes: usize, active: usize) -> bool {
        match self {
            Vectors::None => false,
            Vectors::Cranelift { partial, .. } => {
                cranelift::has_vector_memory(dtype, lanes) && (partial || active == lanes)
            }
            Vectors::Wide(level) => level.fits(dtype, lanes),
        }
    }

    /// Whether vectors of this type can be shifted, by a scalar.
    pub(super) fn has_shift(self, dtype: DType, lanes: usize) -> bool {
        match self {
            Vectors::None => false,
            Vectors::Cranelift { .. } => cranelift::fits(dtype, lanes),
            Vectors::Wide(level) => level.fits(dtype, lanes),
        }
    }

    /// Whether an instruction that is no load and no shift, with a result of this type and operands of dtype
    /// `operand`, has a form over vectors.
    pub(super) fn has_form(self, kind: &InstKind, dtype: DType, operand: DType, lanes: usize) -> bool {
        match self {
            Vectors::None => false,
            Vectors::Cranelift { .. } => cranelift::has_vector_form(kind, dtype, operand, lanes),
            Vectors::Wide(level) => level.has_form(kind, dtype, operand, lanes),
        }
    }

    /// Whether as many vectors of this type as they have lanes can be turned, so that each lane becomes a vector. That
    /// is worth it where it takes fewer instructions than lanes.
    pub(crate) fn has_transpose(self, dtype: DType, lanes: usize) -> bool {
        match self {
            Vectors::None => false,
            // It does not take fewer there.
            Vectors::Cranelift { partial, .. } => {
                partial && cranelift::fits(dtype, lanes) && dtype != DType::Bool
            }
            Vectors::Wide(level) => level.has_transpose(dtype, lanes),
        }
    }

    /// Whether memory can be asked for what is needed later.
    pub(crate) fn has_prefetch(self) -> bool {
        matches!(self, Vectors::Wide(_))
    }

    /// Whether there are vectors of which only some lanes count. Then what fills no vector is one of them, else it is
    /// run point by point.
    pub(crate) fn has_partial(self) -> bool {
        match self {
            Vectors::None => false,
            Vectors::Cranelift { partial, .. } => partial,
            Vectors::Wide(_) => true,
        }
    }
}
