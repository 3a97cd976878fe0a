//! Memory for states, scratch and the runtime's own objects.
//!
//! A [`Block`] is a run of zeroed bytes from the kernel, for generated code to use. Inside the crate, `Owned`
//! keeps a value in pages of its own: a box whose allocation can fail.

mod block;
mod owned;

pub use block::Block;
pub(crate) use owned::Owned;

/// `size` rounded up to a multiple of `unit`, a power of two; `None` if that exceeds the address space.
fn round_up(size: usize, unit: usize) -> Option<usize> {
    let rounded = size.checked_add(unit - 1)? & !(unit - 1);
    (rounded <= isize::MAX as usize).then_some(rounded)
}
