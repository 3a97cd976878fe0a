//! Zeroed, aligned bytes.

use super::round_up;
use crate::abi::{ALIGN, Status, align_up};
use crate::sys::pages::{self, Pages};
use core::num::NonZero;
use core::ptr::NonNull;

/// Blocks of at least this many bytes ask for huge pages: below, one would be mostly empty.
const HUGE_THRESHOLD: usize = 4 << 20;

/// Address of the bytes of a block that has none.
const DANGLING: NonZero<usize> = NonZero::new(ALIGN).unwrap();

/// An owned run of bytes, zeroed when created, its start aligned to [`ALIGN`].
///
/// Physical memory is committed by the kernel as pages are first touched. The pointers that it hands out stay
/// valid when the block itself is moved.
#[derive(Debug)]
pub struct Block {
    start: NonNull<u8>,
    len: usize,
    /// The mapping that holds the bytes; none where there are no bytes.
    pages: Option<Pages>,
}

impl Block {
    /// A block of `len` bytes. Its start is aligned to a page where `len` is not 0.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`] if the memory cannot be had or `len` exceeds the address space.
    pub fn new(len: usize) -> Result<Block, Status> {
        if len == 0 {
            return Ok(Block::empty());
        }
        let size = round_up(len, pages::page_size()).ok_or(Status::OutOfMemory)?;
        let pages = pages::map(size).ok_or(Status::OutOfMemory)?;
        if size >= HUGE_THRESHOLD {
            pages::advise_huge(pages);
        }
        Ok(Block { start: pages.start, len, pages: Some(pages) })
    }

    /// A block of `len` bytes between two pages that must not be touched: an access past either end ends the
    /// process with SIGSEGV. For tests of generated code.
    ///
    /// The end is the tight one: the forbidden page follows the last byte, or the up to 63 bytes of padding
    /// that the alignment of the start forces where `len` is not a multiple of [`ALIGN`]. Before the start,
    /// the rest of a page may be accessible.
    ///
    /// # Errors
    /// As [`Block::new`].
    pub fn guarded(len: usize) -> Result<Block, Status> {
        let page = pages::page_size();
        let used = align_up(len).ok_or(Status::OutOfMemory)?;
        let accessible = round_up(used, page).ok_or(Status::OutOfMemory)?;
        let size = accessible.checked_add(2 * page).ok_or(Status::OutOfMemory)?;
        let pages = pages::map(size).ok_or(Status::OutOfMemory)?;
        // SAFETY: both offsets are within the mapping, which has `page + accessible + page` bytes, and
        // `used <= accessible`.
        let (end, start) = unsafe {
            let end = pages.start.add(page + accessible);
            (end, end.sub(used))
        };
        let block = Block { start, len, pages: Some(pages) };
        // SAFETY: the two ranges are the first and the last page of the mapping, and the block's bytes lie
        // between them.
        let forbidden = unsafe { pages::forbid(pages.start, page) && pages::forbid(end, page) };
        if forbidden { Ok(block) } else { Err(Status::OutOfMemory) }
    }

    /// The block of no bytes.
    fn empty() -> Block {
        Block { start: NonNull::without_provenance(DANGLING), len: 0, pages: None }
    }

    /// The first byte, aligned to [`ALIGN`]. Never null; must not be read or written where the block is empty.
    pub fn as_ptr(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// Number of bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        // SAFETY: `len` initialised bytes start here and live as long as `self`. Whoever writes through
        // `as_ptr` answers for the absence of such borrows.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }

    /// The bytes, to be written.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`, and `self` is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

// SAFETY: a block owns its memory, and shared access through it only reads.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl Drop for Block {
    fn drop(&mut self) {
        if let Some(pages) = self.pages {
            // SAFETY: the mapping is this block's own; borrows of its bytes have ended, and users of `as_ptr`
            // know that the bytes live as long as the block.
            unsafe { pages::unmap(pages) };
        }
    }
}
