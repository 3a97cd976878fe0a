//! The header of a state block.

use super::{ABI_VERSION, Status};
use core::mem::{offset_of, size_of};

/// The first 64 bytes of a state block. Variables follow, each at a multiple of [`ALIGN`](super::ALIGN).
///
/// Whoever allocates the block writes the header ([`StateHeader::new`]); the program's `init` and its entry
/// points keep `version`, `seed` and `step`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct StateHeader {
    /// [`StateHeader::MAGIC`].
    pub magic: u64,
    /// [`ABI_VERSION`] of the code that the state belongs to.
    pub abi_version: u32,
    /// Which of several versions of the code, for different CPUs, was chosen: its position.
    pub version: u32,
    /// Identifies the program, and with it the meaning of every byte after the header.
    pub fingerprint: u64,
    /// Seed of all random operations: a value is Philox(`seed`, `step`, key, element).
    pub seed: u64,
    /// Number of completed calls that assigned a variable. Such an entry point adds one as its last act;
    /// a call that fails leaves it.
    pub step: u64,
    /// Zero.
    pub reserved: [u64; 3],
}

impl StateHeader {
    /// `BESSEMER`, as the bytes lie in memory on a little-endian machine.
    pub const MAGIC: u64 = u64::from_le_bytes(*b"BESSEMER");

    /// Bytes in the header: the smallest offset of a variable.
    pub const SIZE: usize = size_of::<StateHeader>();

    /// Offset of [`magic`](StateHeader::magic), in bytes from the start of the state block.
    pub const MAGIC_OFFSET: usize = offset_of!(StateHeader, magic);
    /// Offset of [`abi_version`](StateHeader::abi_version), in bytes.
    pub const ABI_VERSION_OFFSET: usize = offset_of!(StateHeader, abi_version);
    /// Offset of [`version`](StateHeader::version), in bytes.
    pub const VERSION_OFFSET: usize = offset_of!(StateHeader, version);
    /// Offset of [`fingerprint`](StateHeader::fingerprint), in bytes.
    pub const FINGERPRINT_OFFSET: usize = offset_of!(StateHeader, fingerprint);
    /// Offset of [`seed`](StateHeader::seed), in bytes.
    pub const SEED_OFFSET: usize = offset_of!(StateHeader, seed);
    /// Offset of [`step`](StateHeader::step), in bytes.
    pub const STEP_OFFSET: usize = offset_of!(StateHeader, step);

    /// The header of a new state of the program `fingerprint`: version, seed and step are 0.
    pub const fn new(fingerprint: u64) -> StateHeader {
        StateHeader {
            magic: StateHeader::MAGIC,
            abi_version: ABI_VERSION,
            version: 0,
            fingerprint,
            seed: 0,
            step: 0,
            reserved: [0; 3],
        }
    }

    /// Whether these bytes head a state that the program `fingerprint` may run on.
    ///
    /// # Errors
    /// [`Status::InvalidArgument`] if this is no state, [`Status::AbiMismatch`] if it is one of another ABI
    /// version, [`Status::ProgramMismatch`] if it is one of another program.
    pub const fn check(&self, fingerprint: u64) -> Result<(), Status> {
        if self.magic != StateHeader::MAGIC {
            Err(Status::InvalidArgument)
        } else if self.abi_version != ABI_VERSION {
            Err(Status::AbiMismatch)
        } else if self.fingerprint != fingerprint {
            Err(Status::ProgramMismatch)
        } else {
            Ok(())
        }
    }
}

const _: () = assert!(StateHeader::SIZE == 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_those_of_abi_version_4() {
        assert_eq!(ABI_VERSION, 4, "a new version needs new figures here");
        assert_eq!(StateHeader::MAGIC_OFFSET, 0);
        assert_eq!(StateHeader::ABI_VERSION_OFFSET, 8);
        assert_eq!(StateHeader::VERSION_OFFSET, 12);
        assert_eq!(StateHeader::FINGERPRINT_OFFSET, 16);
        assert_eq!(StateHeader::SEED_OFFSET, 24);
        assert_eq!(StateHeader::STEP_OFFSET, 32);
    }

    #[test]
    fn check_tells_what_is_wrong() {
        let header = StateHeader::new(7);
        assert_eq!(header.check(7), Ok(()));
        assert_eq!(header.check(8), Err(Status::ProgramMismatch));
        assert_eq!(StateHeader { abi_version: 0, ..header }.check(7), Err(Status::AbiMismatch));
        assert_eq!(StateHeader { magic: 0, ..header }.check(7), Err(Status::InvalidArgument));
    }
}
