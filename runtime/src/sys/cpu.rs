//! Which CPUs this process may run on.

/// CPUs that the kernel tells apart at most, 8 to a byte of the mask.
const MASK_BYTES: usize = 8192 / 8;

/// Number of CPUs in this thread's affinity mask, at least 1.
pub(crate) fn affinity_count() -> u32 {
    let mut mask = [0u64; MASK_BYTES / 8];
    // SAFETY: the kernel writes at most `MASK_BYTES` bytes to `mask`, which has as many.
    let failed = unsafe { libc::sched_getaffinity(0, MASK_BYTES, mask.as_mut_ptr().cast()) } != 0;
    let count = if failed {
        // SAFETY: no argument is a pointer.
        let online = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) };
        u32::try_from(online).unwrap_or(1)
    } else {
        mask.iter().map(|word| word.count_ones()).sum()
    };
    count.max(1)
}
