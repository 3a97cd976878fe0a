//! Noticing that this process is a forked child.

use super::c;
use super::pages::{self, Pages};
use core::sync::atomic::{AtomicU32, Ordering};

/// Knows whether the process it was created in is the one that asks.
///
/// It owns a page that the kernel zeroes in a forked child (`MADV_WIPEONFORK`, Linux 4.14), so that asking
/// costs one load and no global state or fork handler is needed. On older kernels it compares process ids.
pub(crate) struct ForkDetector {
    page: Pages,
    creator: c::Pid,
    wiped_on_fork: bool,
}

impl ForkDetector {
    /// A detector for this process; `None` if there is no memory for it.
    pub(crate) fn new() -> Option<ForkDetector> {
        let page = pages::map(pages::page_size())?;
        // SAFETY: `page` is a private anonymous mapping of one page that is ours.
        let advice = unsafe { c::madvise(page.start.as_ptr().cast(), page.len, c::MADV_WIPEONFORK) };
        // SAFETY: no argument is a pointer.
        let creator = unsafe { c::getpid() };
        let detector = ForkDetector { page, creator, wiped_on_fork: advice == 0 };
        detector.mark().store(1, Ordering::Relaxed);
        Some(detector)
    }

    /// Whether this is a child that was forked after the detector was created.
    pub(crate) fn is_forked_child(&self) -> bool {
        if self.wiped_on_fork {
            self.mark().load(Ordering::Relaxed) == 0
        } else {
            // SAFETY: no argument is a pointer.
            unsafe { c::getpid() != self.creator }
        }
    }

    /// The word that is 1 in the creating process and 0 in its children.
    fn mark(&self) -> &AtomicU32 {
        // SAFETY: the page is mapped and writable while `self` lives, starts at a multiple of 4, and is
        // accessed through this reference only.
        unsafe { self.page.start.cast().as_ref() }
    }
}

// SAFETY: the page is accessed through an atomic only.
unsafe impl Send for ForkDetector {}
// SAFETY: as above.
unsafe impl Sync for ForkDetector {}

impl Drop for ForkDetector {
    fn drop(&mut self) {
        // SAFETY: the page came from `map`, and no reference to it outlives `self`.
        unsafe { pages::unmap(self.page) };
    }
}
