//! The layout that generated code and its callers agree on.
//!
//! Everything here is plain `repr(C)` data, the types of the function pointers that cross the border, and the
//! offsets at which generated code reads and writes. Nothing here allocates, calls the system or knows a graph.
//!
//! An entry point is called as `entry(ctx, state, scratch, args)`:
//!
//! - `ctx` is a [`Context`]: how to run a kernel in parallel and where to report an index out of range;
//! - `state` starts with a [`StateHeader`], followed by variables at offsets that the compiler chose;
//! - `scratch` is memory whose content matters only during the call;
//! - `args` points to the inputs in order, then the outputs in order.
//!
//! `state`, `scratch` and each variable are aligned to [`ALIGN`] bytes. A [`ProgramLayout`] says how large the
//! blocks are. The entry point returns the code of a [`Status`].

mod context;
mod layout;
mod program;
mod state;
mod status;

pub use context::{Context, EntryFn, IndexError, IndexErrorFn, ParallelForFn, TaskFn};
pub use layout::ProgramLayout;
pub use program::{
    Artefact, CallFn, CheckRecord, ElementType, EntryRecord, InitFn, ProgramRecord, Runs, SetupFn, Span,
    TEXT_BYTES, TensorRecord, VariantRecord,
};
pub use state::StateHeader;
pub use status::Status;

/// Version of everything in this module. Code and caller must agree exactly.
pub const ABI_VERSION: u32 = 4;

/// Alignment, in bytes, of the state block, of scratch, and of every variable and buffer in them.
pub const ALIGN: usize = 64;

/// `size` rounded up to a multiple of [`ALIGN`]; `None` where that overflows.
pub const fn align_up(size: usize) -> Option<usize> {
    match size.checked_add(ALIGN - 1) {
        Some(padded) => Some(padded & !(ALIGN - 1)),
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn align_up_rounds_to_the_next_multiple() {
        assert_eq!(align_up(0), Some(0));
        assert_eq!(align_up(1), Some(64));
        assert_eq!(align_up(64), Some(64));
        assert_eq!(align_up(65), Some(128));
        assert_eq!(align_up(usize::MAX), None);
        assert_eq!(align_up(usize::MAX - 63), Some(usize::MAX - 63));
    }
}
