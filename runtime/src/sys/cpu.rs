//! Which CPUs a thread may run on, and which it runs on.

use super::c;

/// CPUs that a [`CpuSet`] tells apart: as many as any Linux kernel is built for.
const MAX_CPUS: usize = 8192;

/// A set of CPUs.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct CpuSet([u64; MAX_CPUS / 64]);

impl CpuSet {
    /// The CPUs that the calling thread may run on; `None` if the kernel does not say.
    pub(crate) fn of_current_thread() -> Option<CpuSet> {
        let mut set = CpuSet([0; MAX_CPUS / 64]);
        // SAFETY: the kernel writes at most the size of the array to it.
        let result = unsafe { c::sched_getaffinity(0, size_of_val(&set.0), set.0.as_mut_ptr().cast()) };
        (result == 0).then_some(set)
    }

    /// Lets the calling thread run on these CPUs only. A wish: nothing depends on the outcome.
    pub(crate) fn apply_to_current_thread(&self) {
        // SAFETY: the kernel reads the array.
        unsafe { c::sched_setaffinity(0, size_of_val(&self.0), self.0.as_ptr().cast()) };
    }

    /// Number of CPUs in the set.
    pub(crate) fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// The set without `cpu`.
    pub(crate) fn without(&self, cpu: u32) -> CpuSet {
        let mut set = self.clone();
        if let Some(word) = set.0.get_mut(cpu as usize / 64) {
            *word &= !(1 << (cpu % 64));
        }
        set
    }
}

/// Number of CPUs that the calling thread may run on, at least 1.
pub(crate) fn affinity_count() -> u32 {
    let count = CpuSet::of_current_thread().map_or_else(online_count, |set| set.len());
    count.max(1)
}

/// Number of CPUs that are online.
fn online_count() -> u32 {
    // SAFETY: no argument is a pointer.
    let online = unsafe { c::sysconf(c::_SC_NPROCESSORS_ONLN) };
    u32::try_from(online).unwrap_or(1)
}

/// The CPU that the calling thread is on; `None` if the kernel does not say.
pub(crate) fn current_cpu() -> Option<u32> {
    // SAFETY: always callable.
    u32::try_from(unsafe { c::sched_getcpu() }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_thread_is_on_a_cpu_of_its_set() {
        let set = CpuSet::of_current_thread().expect("Linux says");
        assert!(set.len() >= 1);
        let cpu = current_cpu().expect("Linux says");
        assert_eq!(set.without(cpu).len(), set.len() - 1);
        assert!(set.without(cpu).without(cpu) == set.without(cpu));
        assert!(set.without(u32::MAX) == set);
    }
}
