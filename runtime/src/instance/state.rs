//! The state of an instance, to be read or written between calls.

use super::access::Pass;
use crate::abi::{StateHeader, Status};
use crate::memory::Block;
use core::ops::Range;

/// Read access to the state of an instance. While it lives, calls that assign variables are refused.
pub struct StateRef<'a> {
    state: &'a Block,
    _pass: Pass<'a>,
}

impl<'a> StateRef<'a> {
    /// `pass` is for the gate of the instance that `state` belongs to.
    pub(super) fn new(state: &'a Block, pass: Pass<'a>) -> StateRef<'a> {
        StateRef { state, _pass: pass }
    }

    /// The header.
    pub fn header(&self) -> StateHeader {
        read_header(self.state)
    }

    /// The `len` bytes at `offset`, in bytes from the start of the state block. The header is at 0.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] if they are not all inside the block.
    pub fn bytes(&self, offset: usize, len: usize) -> Result<&[u8], Status> {
        self.state.as_slice().get(range(offset, len)?).ok_or(Status::InvalidArgument)
    }
}

/// Write access to the state of an instance. While it lives, all calls on the instance are refused.
pub struct StateMut<'a> {
    state: &'a Block,
    _pass: Pass<'a>,
}

impl<'a> StateMut<'a> {
    /// `pass` is an exclusive one for the gate of the instance that `state` belongs to.
    pub(super) fn new(state: &'a Block, pass: Pass<'a>) -> StateMut<'a> {
        StateMut { state, _pass: pass }
    }

    /// The header.
    pub fn header(&self) -> StateHeader {
        read_header(self.state)
    }

    /// The `len` bytes at `offset`, in bytes from the start of the state block. The header is out of reach.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] if they are not all inside the block and after its header.
    pub fn bytes(&mut self, offset: usize, len: usize) -> Result<&mut [u8], Status> {
        let range = range(offset, len)?;
        if offset < StateHeader::SIZE || range.end > self.state.len() {
            return Err(Status::InvalidArgument);
        }
        // SAFETY: the range is inside the block. The exclusive pass and the borrow of `self` keep everybody
        // else from the state.
        Ok(unsafe { core::slice::from_raw_parts_mut(self.state.as_ptr().add(offset), len) })
    }

    /// Sets the seed of all random operations.
    pub fn set_seed(&mut self, seed: u64) {
        self.write_header(StateHeader { seed, ..self.header() });
    }

    /// Sets the number of completed calls that assigned a variable.
    pub fn set_step(&mut self, step: u64) {
        self.write_header(StateHeader { step, ..self.header() });
    }

    fn write_header(&mut self, header: StateHeader) {
        // SAFETY: a state block is aligned for its header and no smaller. Nobody else uses it, as above.
        unsafe { self.state.as_ptr().cast::<StateHeader>().write(header) };
    }
}

/// The header of a state block that nobody writes at the moment.
fn read_header(state: &Block) -> StateHeader {
    // SAFETY: a state block is aligned for its header and no smaller; any bytes are a header.
    unsafe { state.as_ptr().cast::<StateHeader>().read() }
}

/// `offset..offset + len`.
fn range(offset: usize, len: usize) -> Result<Range<usize>, Status> {
    Ok(offset..offset.checked_add(len).ok_or(Status::InvalidArgument)?)
}
