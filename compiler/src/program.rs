//! What a caller has to know of compiled code: plain data, with nothing left of the graph.

use bessemer_runtime::abi::{ProgramLayout, StateHeader, align_up};

use crate::diagnostic::Diagnostic;
use crate::kernel::{BufferId, BufferKind, CheckSite, KernelFunction};
use crate::memory::{Holder, MemoryPlan, pitch};
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

/// Where variables are stored in the state block. All figures are in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateLayout {
    /// In the order of the module's variables.
    pub variables: Vec<VariableLayout>,
    /// Size of the state block with its header, a multiple of 64.
    pub bytes: usize,
}

/// Where a variable is stored: row-major, with gaps between the rows if `pitch` says so (see [`memory::rows`](crate::memory)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableLayout {
    /// Its name and type.
    pub variable: NamedType,
    /// Offset from the start of the state block, in bytes; a multiple of 64.
    pub offset: usize,
    /// Size in bytes, with the gaps between rows and the one after the last row.
    pub bytes: usize,
    /// Bytes of a row, all that is stored on the innermost axis; at least 1.
    pub row: usize,
    /// Bytes from the start of a row to the start of the next one, at least `row`.
    pub pitch: usize,
}

impl VariableLayout {
    /// The elements of the variable, dense, of the `bytes` that are stored.
    pub fn gather(&self, stored: &[u8]) -> Vec<u8> {
        let mut elements = Vec::with_capacity(stored.len());
        for stored in stored.chunks(self.pitch) {
            elements.extend_from_slice(&stored[..self.row.min(stored.len())]);
        }
        elements
    }

    /// What is to be stored for the variable to have these elements, which are dense. Gaps are zero.
    pub fn scatter(&self, elements: &[u8]) -> Vec<u8> {
        let mut stored = vec![0; self.bytes];
        for (stored, row) in stored.chunks_mut(self.pitch).zip(elements.chunks(self.row)) {
            stored[..row.len()].copy_from_slice(row);
        }
        stored
    }
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

impl StateLayout {
    /// A layout for variables with these names and types.
    ///
    /// # Errors
    /// `E0611` if they exceed the address space together.
    pub fn new(variables: impl IntoIterator<Item = NamedType>) -> Result<StateLayout, Diagnostic> {
        let mut layout = StateLayout { variables: Vec::new(), bytes: StateHeader::SIZE };
        for variable in variables {
            let offset = layout.bytes;
            let ty = &variable.ty;
            let shape = byte_size(ty).map_or(Vec::new(), |_| ty.shape.bound());
            let row = shape.last().map_or(1, |&row| row).saturating_mul(ty.dtype.bytes()).max(1);
            let pitch = pitch(ty.dtype, &shape).map_or(row, |pitch| pitch * ty.dtype.bytes());
            let bytes = byte_size(ty).and_then(|bytes| (bytes / row).checked_mul(pitch));
            layout.bytes = bytes
                .and_then(align_up)
                .and_then(|padded| offset.checked_add(padded))
                .filter(|&end| isize::try_from(end).is_ok())
                .ok_or_else(|| {
                    Diagnostic::new("E0611", "the variables exceed the address space")
                        .note(format!("`@{}` : {} does not fit", variable.name, variable.ty))
                })?;
            layout.variables.push(VariableLayout { variable, offset, bytes: bytes.unwrap_or(0), row, pitch });
        }
        Ok(layout)
    }

    /// The offsets of the variables, in bytes, in order.
    pub fn offsets(&self) -> Vec<usize> {
        self.variables.iter().map(|v| v.offset).collect()
    }

    /// Identifies the meaning of a state block: the FNV-1a hash, 64 bits, of the lines `NAME : TYPE` of all variables.
    /// It is the same wherever and whenever it is computed.
    pub fn fingerprint(&self) -> u64 {
        let lines = self.variables.iter().map(|v| format!("{} : {}\n", v.variable.name, v.variable.ty));
        lines.fold(0xcbf2_9ce4_8422_2325, |hash, line| {
            line.bytes().fold(hash, |h, byte| (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
        })
    }
}

/// Size of a tensor in bytes; `None` on overflow or if its batch size is not bound.
fn byte_size(ty: &TensorType) -> Option<usize> {
    let (elements, _) = ty.shape.elements().filter(|&(_, power)| power == 0)?;
    elements.checked_mul(ty.dtype.bytes())
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
    use crate::types::DType;

    fn variable(name: &str, dtype: DType, shape: &[usize]) -> NamedType {
        NamedType { name: name.into(), ty: TensorType::new(dtype, shape) }
    }

    #[test]
    fn variables_follow_the_header_at_multiples_of_64() {
        let layout = StateLayout::new([
            variable("w", DType::F32, &[17]),
            variable("empty", DType::F64, &[0, 3]),
            variable("b", DType::Bool, &[]),
        ])
        .unwrap();
        assert_eq!(layout.offsets(), [64, 192, 192]);
        assert_eq!(layout.variables.iter().map(|v| v.bytes).collect::<Vec<_>>(), [68, 0, 1]);
        assert_eq!(layout.bytes, 256);
    }

    #[test]
    fn crowded_rows_have_gaps() {
        let layout =
            StateLayout::new([variable("w", DType::F32, &[9, 512]), variable("b", DType::F32, &[3])])
                .unwrap();
        let w = &layout.variables[0];
        assert_eq!((w.row, w.pitch, w.bytes), (2048, 2112, 9 * 2112));
        assert_eq!(layout.offsets(), [64, 64 + 9 * 2112]);
        for (layout, elements) in layout.variables.iter().zip([9 * 512, 3]) {
            let dense: Vec<u8> = (0..4 * elements).map(|n| (n % 251) as u8 + 1).collect();
            let stored = layout.scatter(&dense);
            assert_eq!(stored.len(), layout.bytes);
            assert_eq!(layout.gather(&stored), dense);
        }
        let stored = w.scatter(&[1; 9 * 2048]);
        assert!(stored.chunks(w.pitch).all(|row| row[..w.row] == [1; 2048] && row[w.row..] == [0; 64]));
    }

    #[test]
    fn variables_beyond_the_address_space_are_refused() {
        let huge = || variable("w", DType::F64, &[1 << 59]);
        assert!(StateLayout::new([huge()]).is_ok());
        assert_eq!(StateLayout::new([huge(), huge()]).unwrap_err().code, "E0611");
        assert_eq!(StateLayout::new([variable("w", DType::F32, &[1 << 62])]).unwrap_err().code, "E0611");
        assert_eq!(
            StateLayout::new([variable("w", DType::F32, &[1 << 40, 1 << 40])]).unwrap_err().code,
            "E0611"
        );
    }

    #[test]
    fn the_fingerprint_is_that_of_names_and_types() {
        let of = |variables: &[NamedType]| StateLayout::new(variables.to_vec()).unwrap().fingerprint();
        let w = variable("w", DType::F32, &[2, 3]);
        // FNV-1a of nothing, and of "w : f32[2,3]\n".
        assert_eq!(of(&[]), 0xcbf2_9ce4_8422_2325);
        assert_eq!(of(std::slice::from_ref(&w)), FINGERPRINT);
        assert_ne!(of(&[variable("w", DType::F32, &[3, 2])]), FINGERPRINT);
        assert_ne!(of(&[variable("v", DType::F32, &[2, 3])]), FINGERPRINT);
        assert_ne!(of(&[w.clone(), w]), FINGERPRINT);
    }

    const FINGERPRINT: u64 = 0x4ceb_bde7_6f72_19cc;

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
