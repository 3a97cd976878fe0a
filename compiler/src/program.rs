//! What a caller has to know of compiled code: plain data, with nothing left of the graph.

mod state;

pub use state::{StateLayout, StoredVariable, VariableLayout};

use bessemer_runtime::abi::ProgramLayout;

use crate::kernel::{BufferId, BufferKind, CheckSite, KernelFunction};
use crate::memory::{Holder, MemoryPlan};
use crate::types::TensorType;

/// A compiled module: where its variables are stored and how its entry points are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Name of the module.
    pub name: String,
    /// Where variables are stored.
    pub state: StateLayout,
    /// In the order in which the functions were given.
    pub entries: Vec<Entry>,
}

/// A tensor with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedType {
    /// Name in the source, such as `x` or `dense1/kernel`.
    pub name: String,
    /// Dtype and shape; the batch size is bound.
    pub ty: TensorType,
}

/// An entry point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the function.
    pub name: String,
    /// Arguments that it reads, in order.
    pub params: Vec<NamedType>,
    /// Arguments that it writes, in order; they follow the parameters.
    pub results: Vec<NamedType>,
    /// Whether it assigns variables, so that no other call may use the state meanwhile.
    pub exclusive: bool,
    /// What its checks compare; the site of an index error is a position in this list.
    pub checks: Vec<CheckSite>,
    /// Number of kernels.
    pub kernels: usize,
    /// Floating-point operations of a call.
    pub flops: u64,
    /// Bytes that a call moves; see [`KernelFunction::bytes_moved`].
    pub bytes_moved: u64,
    /// Bytes of scratch that each worker needs, a multiple of 64.
    pub worker_bytes: usize,
    /// How the scratch that all workers share is used.
    pub memory: MemoryReport,
}

/// How an entry point uses the arena, for people. All figures are in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryReport {
    /// Size of the arena, a multiple of 64.
    pub arena_bytes: usize,
    /// Size that it would have if nothing were reused.
    pub without_reuse_bytes: usize,
    /// Bytes alive at the peak: no arena could be smaller.
    pub peak_bytes: usize,
    /// The kernel at the peak.
    pub peak_kernel: String,
    /// What is alive at the peak, the largest first.
    pub holders: Vec<MemoryHolder>,
    /// Names of the variables that could not be assigned in place, so that their new values are copied at the end.
    pub copied: Vec<String>,
}

/// A buffer that is alive when most memory is needed, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryHolder {
    /// Name of the value that it holds, as in the source, or its number.
    pub name: String,
    /// Its name among the kernels.
    pub buffer: String,
    /// Its size, in bytes.
    pub bytes: usize,
    /// Name of the first kernel that touches it.
    pub first: String,
    /// Name of the last kernel that touches it.
    pub last: String,
    /// What the first one computes.
    pub origin: Vec<String>,
}

impl Program {
    /// How much memory a caller has to provide.
    pub fn layout(&self) -> ProgramLayout {
        let most = |of: fn(&Entry) -> usize| self.entries.iter().map(of).max().unwrap_or(0) as u64;
        ProgramLayout {
            scratch_bytes_per_worker: most(|e| e.worker_bytes),
            ..ProgramLayout::new(
                self.state.fingerprint(),
                self.state.bytes as u64,
                most(|e| e.memory.arena_bytes),
            )
        }
    }

    /// Position and description of the entry point with this name.
    pub fn entry(&self, name: &str) -> Option<(usize, &Entry)> {
        self.entries.iter().enumerate().find(|(_, e)| e.name == name)
    }
}

impl MemoryReport {
    /// What people want to know of a plan for `f`.
    pub fn new(f: &KernelFunction, plan: &MemoryPlan) -> MemoryReport {
        let name = |id: BufferId| {
            let buffer = &f.buffers[id];
            if buffer.name.is_empty() { format!("{id}") } else { buffer.name.clone() }
        };
        // Behind the last kernel, new values of variables are copied.
        let kernel = |n: usize| f.kernels.get(n).map_or("the end".into(), |kernel| kernel.name.clone());
        let holder = |holder: &Holder| MemoryHolder {
            name: name(holder.buffer),
            buffer: holder.buffer.to_string(),
            bytes: holder.range.bytes,
            first: kernel(holder.range.first),
            last: kernel(holder.range.last),
            origin: f.kernels.get(holder.range.first).map_or(Vec::new(), |kernel| kernel.origin.clone()),
        };
        MemoryReport {
            arena_bytes: plan.arena_bytes,
            without_reuse_bytes: plan.without_reuse_bytes,
            peak_bytes: plan.peak.bytes,
            peak_kernel: kernel(plan.peak.kernel),
            holders: plan.peak.holders.iter().map(holder).collect(),
            copied: plan.copies.iter().map(|copy| name(copy.from)).collect(),
        }
    }
}

/// Whether a function assigns variables.
pub(crate) fn assigns(f: &KernelFunction) -> bool {
    f.buffers.values().any(|b| matches!(b.kind, BufferKind::Next(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scratch_is_enough_for_every_entry_point() {
        let entry = |arena_bytes, worker_bytes| Entry {
            name: format!("f{arena_bytes}"),
            params: vec![],
            results: vec![],
            exclusive: false,
            checks: vec![],
            kernels: 0,
            flops: 0,
            bytes_moved: 0,
            worker_bytes,
            memory: MemoryReport { arena_bytes, ..MemoryReport::default() },
        };
        let program = Program {
            name: "p".into(),
            state: StateLayout::new([]).unwrap(),
            entries: vec![entry(128, 64), entry(64, 192)],
        };
        assert_eq!(program.layout().state_size(), Some(64));
        assert_eq!(program.layout().scratch_size(3), Some(128 + 3 * 192));
        assert_eq!(program.entry("f64").map(|(n, _)| n), Some(1));
        assert_eq!(program.entry("f65"), None);
    }
}
