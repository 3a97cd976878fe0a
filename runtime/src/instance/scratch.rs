//! Scratch blocks, handed out to calls and taken back.

use crate::abi::Status;
use crate::memory::{Block, Owned};
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicBool, AtomicPtr};

/// The scratch blocks of an instance: as many as there ever were calls at the same time.
///
/// A linked list that only grows. A call looks for a block that is free and marks it; only where there is
/// none does it allocate. No lock is held, so a fork at any moment leaves the list usable.
pub(super) struct ScratchList {
    first: AtomicPtr<Node>,
    /// Makes one more block.
    allocate: fn(usize) -> Result<Block, Status>,
    /// Bytes in a block.
    size: usize,
}

/// One block of the list.
struct Node {
    block: Block,
    in_use: AtomicBool,
    /// Set before the node is reachable, and not changed afterwards.
    next: AtomicPtr<Node>,
}

impl ScratchList {
    /// A list with one free block of `size` bytes, for one call at a time to need no allocation.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub(super) fn new(
        size: usize,
        allocate: fn(usize) -> Result<Block, Status>,
    ) -> Result<ScratchList, Status> {
        let list = ScratchList { first: AtomicPtr::new(ptr::null_mut()), allocate, size };
        list.take()?;
        Ok(list)
    }

    /// Takes a block, which is the holder's alone until the value is dropped. Its content is arbitrary.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`].
    pub(super) fn take(&self) -> Result<Scratch<'_>, Status> {
        match self.nodes().find(|node| !node.in_use.swap(true, Acquire)) {
            Some(node) => Ok(Scratch { node }),
            None => self.add_taken(),
        }
    }

    /// Adds a block that is in use from the start.
    fn add_taken(&self) -> Result<Scratch<'_>, Status> {
        let block = (self.allocate)(self.size)?;
        let next = AtomicPtr::new(ptr::null_mut());
        let node = Owned::into_raw(Owned::new(Node { block, in_use: AtomicBool::new(true), next })?);
        // SAFETY: nodes live until the list is dropped.
        let added = unsafe { node.as_ref() };
        let mut first = self.first.load(Relaxed);
        loop {
            added.next.store(first, Relaxed);
            match self.first.compare_exchange_weak(first, node.as_ptr(), AcqRel, Relaxed) {
                Ok(_) => return Ok(Scratch { node: added }),
                Err(now) => first = now,
            }
        }
    }

    /// All nodes.
    fn nodes(&self) -> impl Iterator<Item = &Node> {
        let mut next = self.first.load(Acquire);
        core::iter::from_fn(move || {
            // SAFETY: pointers in the list are null or lead to nodes that live until the list is dropped.
            let node = unsafe { next.as_ref() }?;
            next = node.next.load(Relaxed);
            Some(node)
        })
    }
}

impl Drop for ScratchList {
    fn drop(&mut self) {
        let mut next = *self.first.get_mut();
        while let Some(node) = NonNull::new(next) {
            // SAFETY: the node came from `into_raw`, is in the list once, and nobody holds its block, as a
            // `Scratch` borrows the list.
            let node = unsafe { Owned::from_raw(node) };
            next = node.next.load(Relaxed);
        }
    }
}

/// A scratch block in use.
pub(super) struct Scratch<'a> {
    node: &'a Node,
}

impl Scratch<'_> {
    /// The first byte of the block.
    pub(super) fn as_ptr(&self) -> *mut u8 {
        self.node.block.as_ptr()
    }
}

impl Drop for Scratch<'_> {
    fn drop(&mut self) {
        self.node.in_use.store(false, Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_used_again() {
        let list = ScratchList::new(100, Block::new).expect("memory");
        let first = list.take().expect("memory").as_ptr();
        let again = list.take().expect("memory");
        assert_eq!(again.as_ptr(), first);
        let other = list.take().expect("memory").as_ptr();
        assert_ne!(other, first);
        assert_eq!(list.take().expect("memory").as_ptr(), other);
        assert_eq!(list.nodes().count(), 2);
    }

    #[test]
    fn failure_to_allocate_is_reported() {
        assert_eq!(ScratchList::new(usize::MAX, Block::new).err(), Some(Status::OutOfMemory));
    }
}
