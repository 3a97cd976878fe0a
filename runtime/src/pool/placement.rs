//! Keeping a worker off the caller's CPU.
//!
//! Linux likes to wake a thread on the CPU of the thread that wakes it, though another is idle. There the worker
//! waits for a time slice of the caller, or takes one from it; either way the two share a core for milliseconds
//! (measured on a two-core virtual machine: 98 of 100 times, 1.9 ms until both ran). So a worker that wakes
//! on the caller's CPU takes that one CPU out of its affinity mask, where it stays until it wakes on another CPU
//! of a caller. On a machine that wakes threads elsewhere nothing is touched.

use crate::sys::cpu::{CpuSet, current_cpu};

/// The affinity of one worker's thread. All functions are called on that thread.
pub(super) struct Placement {
    /// The mask that others gave the thread, and the one that was made of it; `None` while it is as it was.
    narrowed: Option<Narrowed>,
}

struct Narrowed {
    from: CpuSet,
    to: CpuSet,
}

impl Placement {
    /// That of a new thread.
    pub(super) const fn new() -> Placement {
        Placement { narrowed: None }
    }

    /// Moves the thread away from `cpu` if it is there and may run elsewhere.
    pub(super) fn leave(&mut self, cpu: u32) {
        if current_cpu() != Some(cpu) {
            return;
        }
        let Some(now) = CpuSet::of_current_thread() else { return };
        // A mask that is not the one we set is somebody's wish, and what we start from.
        let from = match self.narrowed.take() {
            Some(narrowed) if narrowed.to == now => narrowed.from,
            _ => now,
        };
        let to = from.without(cpu);
        if to.len() > 0 {
            to.apply_to_current_thread();
            self.narrowed = Some(Narrowed { from, to });
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn a_thread_leaves_a_cpu_for_another_and_may_come_back() {
        std::thread::spawn(|| {
            let before = CpuSet::of_current_thread().expect("Linux says");
            let mut placement = Placement::new();
            for _ in 0..10 {
                let cpu = current_cpu().expect("Linux says");
                placement.leave(cpu);
                let after = CpuSet::of_current_thread().expect("Linux says");
                // The thread may have been moved between the two looks at its CPU.
                if before.len() > 1 && after != before {
                    assert!(after.len() == before.len() - 1, "one CPU is left out, not more each time");
                    assert_ne!(current_cpu(), Some(cpu));
                }
            }
        })
        .join()
        .expect("no panic");
    }
}
