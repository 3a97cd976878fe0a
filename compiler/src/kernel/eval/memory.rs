//! What the buffers of a function hold while it is evaluated.

use cranelift_entity::PrimaryMap;

use super::super::{BufferId, BufferKind, KernelFunction, most};
use crate::tensor::{Scalar, Tensor};
use crate::types::DType;

/// The contents of every buffer of one function.
#[derive(Clone, Debug)]
pub struct Memory {
    contents: PrimaryMap<BufferId, Contents>,
}

#[derive(Clone, Debug)]
struct Contents {
    dtype: DType,
    shape: Vec<usize>,
    /// The buffer whose elements these are: another one for an alias.
    storage: BufferId,
    /// In row-major order; empty for an alias.
    elements: Vec<Scalar>,
}

impl Memory {
    /// Memory for a [verified](crate::kernel::verify()) function: constants are in place, all else is zero or false.
    pub fn new(function: &KernelFunction) -> Memory {
        let mut contents: PrimaryMap<BufferId, Contents> = PrimaryMap::new();
        for (id, buffer) in &function.buffers {
            let (storage, elements) = match &buffer.kind {
                BufferKind::Constant(tensor) => (id, tensor.scalars().collect()),
                BufferKind::Alias(of) => (contents[*of].storage, Vec::new()),
                _ => (id, vec![Scalar::zero(buffer.dtype); buffer.elements()]),
            };
            contents.push(Contents { dtype: buffer.dtype, shape: most(&buffer.shape), storage, elements });
        }
        Memory { contents }
    }

    /// Puts a tensor into a buffer.
    ///
    /// # Panics
    /// If its dtype or shape is not the buffer's.
    pub fn set(&mut self, buffer: BufferId, tensor: &Tensor) {
        let to = &self.contents[buffer];
        let fits = tensor.dtype() == to.dtype && tensor.shape() == to.shape;
        assert!(fits, "`{buffer}` is {}{:?}, the tensor {}", to.dtype, to.shape, tensor.ty());
        let storage = to.storage;
        self.contents[storage].elements = tensor.scalars().collect();
    }

    /// What a buffer holds.
    pub fn get(&self, buffer: BufferId) -> Tensor {
        let of = &self.contents[buffer];
        let elements = &self.contents[of.storage].elements;
        Tensor::from_scalars(of.dtype, &of.shape, elements.iter().copied())
    }

    /// The element of a buffer at a row-major position.
    pub(super) fn load(&self, storage: BufferId, position: usize) -> Scalar {
        self.contents[storage].elements[position]
    }

    /// The element of a buffer at a row-major position.
    pub(super) fn element_mut(&mut self, storage: BufferId, position: usize) -> &mut Scalar {
        &mut self.contents[storage].elements[position]
    }
}
