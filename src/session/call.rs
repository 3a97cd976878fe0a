//! The call into compiled code, and its arguments. The only module of this crate with `unsafe`.

#![expect(unsafe_code, reason = "arguments of compiled code are addresses")]

use std::sync::Arc;

use bessemer_compiler::jit::{CompiledEntry, JitProgram};
use bessemer_compiler::program;
use bessemer_compiler::tensor::{Element, Tensor};
use bessemer_compiler::types::TensorType;
use bessemer_runtime::abi::{ProgramLayout, Status};
use bessemer_runtime::instance::{Access, Failure, Instance};
use ndarray::ArrayD;

use crate::feed::Feed;

/// Compiled code of an entry point for one batch size.
pub(super) struct Code {
    entry: CompiledEntry,
    layout: ProgramLayout,
}

impl Code {
    /// The code of the entry point with this name.
    pub(super) fn new(program: &Arc<JitProgram>, name: &str) -> Option<Code> {
        Some(Code { entry: program.entry(name)?, layout: *program.layout() })
    }

    /// What there is to know of the entry point.
    pub(super) fn entry(&self) -> &program::Entry {
        self.entry.entry()
    }

    /// How much memory a caller has to provide.
    pub(super) fn layout(&self) -> &ProgramLayout {
        &self.layout
    }
}

/// The addresses of a call's arguments, in memory that is used again. Empty but in a call.
#[derive(Default)]
pub(super) struct Arguments(Vec<*mut u8>);

// SAFETY: between calls, which borrow it mutably, it holds no addresses.
unsafe impl Send for Arguments {}
// SAFETY: as above; a shared reference gives access to nothing.
unsafe impl Sync for Arguments {}

impl Arguments {
    /// Calls an entry point on the variables of `instance`: reads `params`, one feed for each of its parameters in order,
    /// and overwrites `results`.
    ///
    /// # Errors
    /// What the runtime says; [`Status::InvalidArgument`] if there are not as many arguments as the entry point has, or
    /// one has another type; [`Status::ProgramMismatch`] if the variables are others, or there is no room for the call.
    pub(super) fn call<'f, 'a: 'f>(
        &mut self,
        code: &Code,
        instance: &Instance,
        params: impl Iterator<Item = &'f Feed<'a>>,
        results: &mut [Tensor],
    ) -> Result<(), Failure> {
        let called = self.fill(code.entry(), params, results).map_err(Failure::from).and_then(|()| {
            if !instance.layout().has_room_for(&code.layout) {
                return Err(Status::ProgramMismatch.into());
            }
            let access = if code.entry().exclusive { Access::Exclusive } else { Access::Shared };
            // SAFETY: the entry point's program has the variables of the instance, whose scratch is large enough for
            // its arena and, after it, its workers' parts. `access` says whether variables are assigned. `fill` checked
            // that there is an argument of the right type for each that it expects. Feeds are borrowed for this call
            // and only read; results are borrowed mutably, so they overlap nothing. `code` keeps its code alive.
            unsafe { instance.run(code.entry.address(), &self.0, access) }
        });
        self.0.clear();
        called
    }

    fn fill<'f, 'a: 'f>(
        &mut self,
        entry: &program::Entry,
        params: impl Iterator<Item = &'f Feed<'a>>,
        results: &mut [Tensor],
    ) -> Result<(), Status> {
        self.0.clear();
        let mut expected = entry.params.iter();
        for feed in params {
            let fits = expected.next().is_some_and(|e| is(&e.ty, feed.dtype(), feed.shape()));
            self.0.push(fits.then(|| feed.as_ptr().cast_mut()).ok_or(Status::InvalidArgument)?);
        }
        if expected.next().is_some() || entry.results.len() != results.len() {
            return Err(Status::InvalidArgument);
        }
        for (expected, result) in entry.results.iter().zip(results) {
            let fits = is(&expected.ty, result.dtype(), result.shape());
            self.0.push(address(result).filter(|_| fits).ok_or(Status::InvalidArgument)?);
        }
        Ok(())
    }
}

/// Whether a bound type has this dtype and these extents.
fn is(ty: &TensorType, dtype: bessemer_compiler::types::DType, shape: &[usize]) -> bool {
    ty.dtype == dtype
        && ty.rank() == shape.len()
        && ty.shape.0.iter().zip(shape).all(|(extent, &found)| extent.as_const() == Some(found))
}

/// Address of the first element of a tensor whose elements are in row-major order without gaps.
fn address(tensor: &mut Tensor) -> Option<*mut u8> {
    fn of<T: Element>(array: &mut ArrayD<T>) -> Option<*mut u8> {
        array.is_standard_layout().then(|| array.as_mut_ptr().cast())
    }
    match tensor {
        Tensor::F32(a) => of(a),
        Tensor::F64(a) => of(a),
        Tensor::I32(a) => of(a),
        Tensor::I64(a) => of(a),
        Tensor::U8(a) => of(a),
        Tensor::Bool(a) => of(a),
    }
}
