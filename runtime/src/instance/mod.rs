//! A program with memory of its own, ready to be called.
//!
//! An [`Instance`] owns the state block of a program and the scratch of the calls on it, and keeps the one rule
//! that makes both safe to share: a call that assigns variables overlaps no other.
//!
//! - `access` is that rule;
//! - `scratch` hands out scratch blocks;
//! - `state` reads and writes variables between calls;
//! - `threads` says where kernels run;
//! - `failure` is what a call that went wrong leaves.

mod access;
mod failure;
mod scratch;
mod state;
mod threads;

pub use access::Access;
pub use failure::{BadIndex, Failure};
pub use state::{StateMut, StateRef};
pub use threads::Threads;

use crate::abi::{ABI_VERSION, Context, EntryFn, ProgramLayout, StateHeader, Status};
use crate::memory::Block;
pub(crate) use access::Gate;
use core::fmt;
use scratch::ScratchList;

/// A program with memory of its own, ready to be called from any thread.
///
/// Calls that only read variables may overlap: each has a scratch block of its own. A call that assigns
/// variables overlaps nothing; whichever comes second is refused with [`Status::Busy`], it does not wait.
///
/// A call allocates only where there are more calls at a time than there ever were before, so one that
/// overlaps no other never does.
///
/// ```
/// use bessemer_runtime::abi::{Context, ProgramLayout, StateHeader, Status};
/// use bessemer_runtime::instance::{Access, Instance, Threads};
///
/// /// What the compiler emits for `count = count + 1`, with one variable after the header.
/// unsafe extern "C" fn count(_: *mut Context, state: *mut u8, _: *mut u8, _: *const *mut u8) -> i32 {
///     unsafe { *state.add(StateHeader::SIZE) += 1 };
///     Status::Ok.code()
/// }
///
/// let layout = ProgramLayout::new(0x1234, 128, 0);
/// let instance = Instance::new(layout, Threads::serial())?;
/// // SAFETY: `count` is an entry point of this program, takes no arguments, and assigns a variable.
/// unsafe { instance.run(count, &[], Access::Exclusive)? };
/// assert_eq!(instance.state()?.bytes(StateHeader::SIZE, 1)?, [1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// In a forked child the instance works as in the parent, but if another thread was inside a call at the
/// moment of the fork, that call is never seen to end.
pub struct Instance {
    layout: ProgramLayout,
    state: Block,
    scratch: ScratchList,
    gate: Gate,
    threads: Threads,
    allocate: fn(usize) -> Result<Block, Status>,
}

impl Instance {
    /// An instance with zeroed variables, seed 0 and step 0. The program's `init`, or whoever writes the
    /// variables, does the rest.
    ///
    /// # Errors
    /// [`Status::AbiMismatch`] if the program was compiled for another [`ABI_VERSION`];
    /// [`Status::OutOfMemory`].
    pub fn new(layout: ProgramLayout, threads: Threads) -> Result<Instance, Status> {
        Instance::in_blocks(layout, threads, Block::new)
    }

    /// The same in [guarded](Block::guarded) blocks, so that generated code which leaves its state or scratch
    /// ends the process. For tests.
    ///
    /// # Errors
    /// As [`Instance::new`].
    pub fn guarded(layout: ProgramLayout, threads: Threads) -> Result<Instance, Status> {
        Instance::in_blocks(layout, threads, Block::guarded)
    }

    fn in_blocks(
        layout: ProgramLayout,
        threads: Threads,
        allocate: fn(usize) -> Result<Block, Status>,
    ) -> Result<Instance, Status> {
        if layout.abi_version != ABI_VERSION {
            return Err(Status::AbiMismatch);
        }
        let state = allocate(layout.state_size().ok_or(Status::OutOfMemory)?)?;
        // SAFETY: a state block is aligned for its header and no smaller, and nobody else knows it yet.
        unsafe { state.as_ptr().cast::<StateHeader>().write(StateHeader::new(layout.fingerprint)) };
        let scratch = scratch_for(&layout, &threads, allocate)?;
        Ok(Instance { layout, state, scratch, gate: Gate::new(), threads, allocate })
    }

    /// How much memory the program needs.
    pub fn layout(&self) -> &ProgramLayout {
        &self.layout
    }

    /// Where kernels run.
    pub fn threads(&self) -> &Threads {
        &self.threads
    }

    /// Runs kernels elsewhere from now on.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`] if there is no scratch for as many threads; then nothing has changed.
    pub fn set_threads(&mut self, threads: Threads) -> Result<(), Status> {
        self.scratch = scratch_for(&self.layout, &threads, self.allocate)?;
        self.threads = threads;
        Ok(())
    }

    /// Makes room for the calls of one more program over the same variables, such as the same functions compiled for
    /// another batch size.
    ///
    /// # Errors
    /// [`Status::AbiMismatch`] if the program was compiled for another [`ABI_VERSION`];
    /// [`Status::ProgramMismatch`] if its variables are others; [`Status::OutOfMemory`]. Then nothing has changed.
    pub fn reserve(&mut self, program: &ProgramLayout) -> Result<(), Status> {
        if program.abi_version != ABI_VERSION {
            return Err(Status::AbiMismatch);
        }
        if (program.fingerprint, program.state_bytes) != (self.layout.fingerprint, self.layout.state_bytes) {
            return Err(Status::ProgramMismatch);
        }
        let layout = ProgramLayout {
            scratch_bytes: self.layout.scratch_bytes.max(program.scratch_bytes),
            scratch_bytes_per_worker: self
                .layout
                .scratch_bytes_per_worker
                .max(program.scratch_bytes_per_worker),
            ..self.layout
        };
        if layout != self.layout {
            self.scratch = scratch_for(&layout, &self.threads, self.allocate)?;
            self.layout = layout;
        }
        Ok(())
    }

    /// Calls an entry point. `args` are the inputs in order, then the outputs in order.
    ///
    /// # Errors
    /// - [`Status::Busy`] if another call or borrow of the state overlaps this one in a way that
    ///   [`Access`] forbids; the entry point was not called.
    /// - [`Status::OutOfMemory`] if one more scratch block was needed; the entry point was not called.
    /// - What the entry point returned, with the offending index where there is one.
    ///
    /// # Safety
    /// `entry` is an entry point of the program that the instance was made for, it assigns variables only if
    /// `access` is [`Access::Exclusive`], and `args` is what [`EntryFn`] demands.
    pub unsafe fn run(&self, entry: EntryFn, args: &[*mut u8], access: Access) -> Result<(), Failure> {
        // SAFETY: the context is new and the scratch is ours for the call. The gate keeps others from the
        // state as far as `access` demands. The rest is by this function's contract.
        self.run_with(access, |ctx, state, scratch| unsafe { entry(ctx, state, scratch, args.as_ptr()) })
    }

    /// Runs `call` with a new context, the state, and scratch of its own; it gives the code of a [`Status`]. What it does
    /// with them is what [`Instance::run`] says: it assigns variables only if `access` is [`Access::Exclusive`].
    ///
    /// # Errors
    /// As [`Instance::run`].
    pub fn run_with(
        &self,
        access: Access,
        call: impl FnOnce(*mut Context, *mut u8, *mut u8) -> i32,
    ) -> Result<(), Failure> {
        let _pass = self.gate.pass(access)?;
        let scratch = self.scratch.take()?;
        let mut ctx = self.threads.context();
        match Status::from_code(call(&raw mut ctx, self.state.as_ptr(), scratch.as_ptr())) {
            Status::Ok => Ok(()),
            status => Err(Failure::from_call(status, &ctx)),
        }
    }

    /// Borrows the state for reading.
    ///
    /// # Errors
    /// [`Status::Busy`] if a call that assigns variables is in progress, or the state is borrowed for writing.
    pub fn state(&self) -> Result<StateRef<'_>, Status> {
        Ok(StateRef::new(&self.state, self.gate.pass(Access::Shared)?))
    }

    /// Borrows the state for writing.
    ///
    /// # Errors
    /// [`Status::Busy`] if any call is in progress, or the state is borrowed.
    pub fn state_mut(&self) -> Result<StateMut<'_>, Status> {
        Ok(StateMut::new(&self.state, self.gate.pass(Access::Exclusive)?))
    }

    /// Copies the bytes at `offset` of the state block to `out`.
    ///
    /// # Errors
    /// As [`Instance::state`] and [`StateRef::bytes`].
    pub fn read(&self, offset: usize, out: &mut [u8]) -> Result<(), Status> {
        out.copy_from_slice(self.state()?.bytes(offset, out.len())?);
        Ok(())
    }

    /// Copies `bytes` to `offset` of the state block, which is not in its header.
    ///
    /// # Errors
    /// As [`Instance::state_mut`] and [`StateMut::bytes`]; then nothing was written.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<(), Status> {
        self.state_mut()?.bytes(offset, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    /// Seed of all random operations.
    ///
    /// # Errors
    /// As [`Instance::state`].
    pub fn seed(&self) -> Result<u64, Status> {
        Ok(self.state()?.header().seed)
    }

    /// Sets the seed of all random operations.
    ///
    /// # Errors
    /// As [`Instance::state_mut`].
    pub fn set_seed(&self, seed: u64) -> Result<(), Status> {
        self.state_mut()?.set_seed(seed);
        Ok(())
    }

    /// Number of completed calls that assigned a variable.
    ///
    /// # Errors
    /// As [`Instance::state`].
    pub fn step(&self) -> Result<u64, Status> {
        Ok(self.state()?.header().step)
    }

    /// Sets the number of completed calls that assigned a variable, as when a checkpoint is loaded.
    ///
    /// # Errors
    /// As [`Instance::state_mut`].
    pub fn set_step(&self, step: u64) -> Result<(), Status> {
        self.state_mut()?.set_step(step);
        Ok(())
    }
}

/// The scratch blocks of an instance that runs on `threads`.
fn scratch_for(
    layout: &ProgramLayout,
    threads: &Threads,
    allocate: fn(usize) -> Result<Block, Status>,
) -> Result<ScratchList, Status> {
    let size = layout.scratch_size(threads.workers()).ok_or(Status::OutOfMemory)?;
    ScratchList::new(size, allocate)
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance")
            .field("layout", &self.layout)
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}
