//! How much memory a program needs.

use super::{ABI_VERSION, StateHeader, align_up};

/// What a caller must know of a program to allocate its memory; the compiler writes it, artefacts embed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct ProgramLayout {
    /// [`ABI_VERSION`] that the code was compiled for.
    pub abi_version: u32,
    /// Zero.
    pub reserved: u32,
    /// Identifies names, types and layouts of the variables; goes into the header of the state.
    pub fingerprint: u64,
    /// Size of the state block in bytes, the header included.
    pub state_bytes: u64,
    /// Bytes of scratch that a call needs whatever the number of threads.
    pub scratch_bytes: u64,
    /// Further bytes of scratch for each thread that may run a task; they follow the first, a worker's part
    /// at `scratch_bytes + worker · scratch_bytes_per_worker`. Both are multiples of [`ALIGN`](super::ALIGN).
    pub scratch_bytes_per_worker: u64,
}

impl ProgramLayout {
    /// Layout of a program of this ABI version that needs no scratch per worker.
    pub const fn new(fingerprint: u64, state_bytes: u64, scratch_bytes: u64) -> ProgramLayout {
        ProgramLayout {
            abi_version: ABI_VERSION,
            reserved: 0,
            fingerprint,
            state_bytes,
            scratch_bytes,
            scratch_bytes_per_worker: 0,
        }
    }

    /// Whether memory of this layout has the variables of another program, and room for its calls.
    pub const fn has_room_for(&self, program: &ProgramLayout) -> bool {
        self.abi_version == program.abi_version
            && self.fingerprint == program.fingerprint
            && self.state_bytes == program.state_bytes
            && self.scratch_bytes >= program.scratch_bytes
            && self.scratch_bytes_per_worker >= program.scratch_bytes_per_worker
    }

    /// Size of a state block in bytes, at least that of the header and a multiple of
    /// [`ALIGN`](super::ALIGN); `None` where it exceeds the address space.
    pub const fn state_size(&self) -> Option<usize> {
        let bytes = if self.state_bytes < StateHeader::SIZE as u64 {
            StateHeader::SIZE as u64
        } else {
            self.state_bytes
        };
        if bytes > isize::MAX as u64 { None } else { align_up(bytes as usize) }
    }

    /// Size of a scratch block in bytes for calls with `workers` threads, a multiple of
    /// [`ALIGN`](super::ALIGN); `None` where it exceeds the address space.
    pub const fn scratch_size(&self, workers: u32) -> Option<usize> {
        let Some(of_workers) = self.scratch_bytes_per_worker.checked_mul(workers as u64) else { return None };
        match self.scratch_bytes.checked_add(of_workers) {
            Some(bytes) if bytes <= isize::MAX as u64 => align_up(bytes as usize),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_calls_over_the_same_variables() {
        let small = ProgramLayout { scratch_bytes_per_worker: 64, ..ProgramLayout::new(1, 128, 256) };
        let large = ProgramLayout { scratch_bytes_per_worker: 128, ..ProgramLayout::new(1, 128, 512) };
        assert!(small.has_room_for(&small) && large.has_room_for(&small) && !small.has_room_for(&large));
        for other in [
            ProgramLayout { abi_version: 0, ..small },
            ProgramLayout { fingerprint: 2, ..small },
            ProgramLayout { state_bytes: 64, ..small },
            ProgramLayout { scratch_bytes: 320, ..small },
            ProgramLayout { scratch_bytes_per_worker: 128, ..small },
        ] {
            assert!(!small.has_room_for(&other), "{other:?}");
        }
    }

    #[test]
    fn sizes_are_rounded_and_overflow_is_seen() {
        let layout = ProgramLayout { scratch_bytes_per_worker: 64, ..ProgramLayout::new(1, 0, 65) };
        assert_eq!(layout.state_size(), Some(64));
        assert_eq!(layout.scratch_size(1), Some(192));
        assert_eq!(layout.scratch_size(4), Some(384));

        let huge = ProgramLayout { scratch_bytes_per_worker: u64::MAX, ..ProgramLayout::new(1, u64::MAX, 1) };
        assert_eq!(huge.state_size(), None);
        assert_eq!(huge.scratch_size(1), None);
        assert_eq!(huge.scratch_size(2), None);
        assert_eq!(ProgramLayout::new(1, 64, u64::MAX).scratch_size(1), None);
    }
}
