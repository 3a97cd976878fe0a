//! Memory straight from the kernel.

use super::c;
use core::ptr::{self, NonNull};

/// A mapping of whole pages. Plain data: whoever holds it last calls [`unmap`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pages {
    /// The first byte, at a multiple of the page size.
    pub(crate) start: NonNull<u8>,
    /// Bytes, a multiple of the page size, not 0.
    pub(crate) len: usize,
}

/// Bytes in a page: a power of two, at least 4096.
pub(crate) fn page_size() -> usize {
    // SAFETY: no argument is a pointer.
    let size = unsafe { c::sysconf(c::_SC_PAGESIZE) };
    usize::try_from(size).unwrap_or(4096).max(4096)
}

/// Maps `len` zeroed bytes, private to this process; `None` if the kernel refuses.
///
/// `len` is a multiple of [`page_size`].
pub(crate) fn map(len: usize) -> Option<Pages> {
    // SAFETY: without MAP_FIXED the kernel picks a range that nothing uses.
    let start = unsafe {
        c::mmap(ptr::null_mut(), len, c::PROT_READ | c::PROT_WRITE, c::MAP_PRIVATE | c::MAP_ANONYMOUS, -1, 0)
    };
    if start == c::MAP_FAILED {
        return None;
    }
    NonNull::new(start.cast()).map(|start| Pages { start, len })
}

/// Gives pages back.
///
/// # Safety
/// `pages` came from [`map`], was not unmapped before, and nothing uses the memory any more.
pub(crate) unsafe fn unmap(pages: Pages) {
    // SAFETY: by this function's contract nobody refers to the range.
    let result = unsafe { c::munmap(pages.start.as_ptr().cast(), pages.len) };
    debug_assert_eq!(result, 0, "munmap of a mapping of our own");
}

/// Makes any access to the page-aligned range end the process with SIGSEGV; `false` if the kernel refuses.
///
/// # Safety
/// The range lies in one mapping from [`map`], and nothing refers to its bytes.
pub(crate) unsafe fn forbid(start: NonNull<u8>, len: usize) -> bool {
    // SAFETY: by this function's contract nobody's memory is taken away.
    unsafe { c::mprotect(start.as_ptr().cast(), len, c::PROT_NONE) == 0 }
}

/// Asks for huge pages. A hint: nothing depends on the outcome.
pub(crate) fn advise_huge(pages: Pages) {
    // SAFETY: the advice changes no content, whatever the range.
    unsafe { c::madvise(pages.start.as_ptr().cast(), pages.len, c::MADV_HUGEPAGE) };
}
