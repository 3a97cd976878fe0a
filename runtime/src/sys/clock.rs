//! Time.

use super::c;

/// Nanoseconds since some fixed moment; never goes back.
pub(crate) fn monotonic_nanos() -> u64 {
    let mut time = c::Timespec { seconds: 0, nanoseconds: 0 };
    // SAFETY: `time` is valid for writes. The monotonic clock exists on every Linux; were it missing, `time`
    // would stay zero.
    unsafe { c::clock_gettime(c::CLOCK_MONOTONIC, &raw mut time) };
    time.seconds as u64 * 1_000_000_000 + time.nanoseconds as u64
}
