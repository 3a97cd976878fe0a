//! How long a thread spins before it sleeps.

use crate::sys::clock;
use core::hint;

/// Nanoseconds that a thread spins before it sleeps: about what falling asleep and waking up again costs, so
/// that spinning at most doubles the cost of a wait.
const SPIN_NANOS: u64 = 100_000;

/// Turns of the loop between two looks at the clock.
const TURNS_PER_LOOK: u32 = 64;

/// Spins until `done()` says so; `false` if that took longer than a thread should spin.
pub(super) fn spin_until(mut done: impl FnMut() -> bool) -> bool {
    let mut deadline = None;
    loop {
        for _ in 0..TURNS_PER_LOOK {
            if done() {
                return true;
            }
            hint::spin_loop();
        }
        let now = clock::monotonic_nanos();
        if now >= *deadline.get_or_insert(now + SPIN_NANOS) {
            return false;
        }
    }
}
