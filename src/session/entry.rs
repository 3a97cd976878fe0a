//! An entry point with memory for its results.

use std::fmt;
use std::sync::Arc;

use bessemer_compiler::graph::{FunctionId, bind};
use bessemer_compiler::program::{self, NamedType};
use bessemer_compiler::tensor::Element;
use bessemer_runtime::abi::Status;
use bessemer_runtime::instance::Failure;
use ndarray::ArrayViewD;

use super::Shared;
use super::batch::Signature;
use super::call::{Arguments, Code};
use super::outputs::{Outputs, not_run};
use crate::error::{Error, IndexOutOfRange};
use crate::feed::Feed;

/// An entry point of a session, with memory for its results: for each batch size that it was run with.
///
/// The first run with a batch size compiles, unless another entry of the session did, and allocates. Later ones with
/// feeds that are [read where they are](Feed) allocate nothing.
pub struct Entry {
    shared: Arc<Shared>,
    id: FunctionId,
    signature: Signature,
    arguments: Arguments,
    /// One for each batch size.
    ready: Vec<Ready>,
    /// The one whose results are those of the last run, if that did not fail.
    last: Option<usize>,
}

/// What is kept for a batch size.
struct Ready {
    n: usize,
    code: Arc<Code>,
    outputs: Outputs,
}

impl Entry {
    pub(super) fn new(shared: Arc<Shared>, id: FunctionId) -> Entry {
        let function = &shared.model.module().functions[id];
        let params = function
            .params
            .iter()
            .map(|&p| NamedType { name: function.value_name(p), ty: function.ty(p).clone() })
            .collect();
        let is_symbolic = bind::is_symbolic(function);
        let signature = Signature { entry: function.name.clone(), params, is_symbolic };
        Entry { shared, id, signature, arguments: Arguments::default(), ready: Vec::new(), last: None }
    }

    /// Name of the entry point.
    pub fn name(&self) -> &str {
        &self.signature.entry
    }

    /// Names and types of the parameters.
    pub fn params(&self) -> &[NamedType] {
        &self.signature.params
    }

    /// Runs it. The feeds may be in any order; they determine the batch size.
    ///
    /// # Errors
    /// E0703 to E0706 for feeds that don't fit; what stands in the way of code for a new batch size;
    /// [`Error::IndexOutOfRange`]; [`Error::Status`] if a call on the session overlaps this one and one of them assigns
    /// variables. Variables are then as they were, and there are no results.
    pub fn run(&mut self, feeds: &[(&str, Feed<'_>)]) -> Result<(), Error> {
        self.last = None;
        let n = self.signature.check(feeds)?;
        let position = self.prepare(n)?;
        let Ready { code, outputs, .. } = &mut self.ready[position];
        let params = self.signature.in_order(feeds);
        self.arguments
            .call(code, &self.shared.instance(), params, outputs.tensors_mut())
            .map_err(|failure| explain(code.entry(), failure))?;
        self.last = Some(position);
        Ok(())
    }

    /// Makes everything ready for runs with batch size `n` (1 where nothing depends on it), so that the first does not
    /// take longer.
    ///
    /// # Errors
    /// What stands in the way of code for this batch size; [`Error::Status`] if there is no memory.
    pub fn compile(&mut self, n: usize) -> Result<&program::Entry, Error> {
        let position = self.prepare(n)?;
        Ok(self.ready[position].code.entry())
    }

    fn prepare(&mut self, n: usize) -> Result<usize, Error> {
        if let Some(position) = self.ready.iter().position(|ready| ready.n == n) {
            return Ok(position);
        }
        let code = self.shared.code(self.id, n)?;
        let outputs = Outputs::new(code.entry())?;
        self.ready.push(Ready { n, code, outputs });
        Ok(self.ready.len() - 1)
    }

    /// A result of the last run.
    ///
    /// # Errors
    /// E0707 if there is no such result, it has another dtype, or the last run failed or there was none.
    pub fn get<T: Element>(&self, name: &str) -> Result<ArrayViewD<'_, T>, Error> {
        self.outputs()?.get(name)
    }

    /// A result of the last run that has one element.
    ///
    /// # Errors
    /// As [`Entry::get`]; and E0707 if it has another number of elements.
    pub fn scalar<T: Element>(&self, name: &str) -> Result<T, Error> {
        self.outputs()?.scalar(name)
    }

    /// All results of the last run.
    ///
    /// # Errors
    /// E0707 if it failed or there was none.
    pub fn outputs(&self) -> Result<&Outputs, Error> {
        match self.last {
            Some(position) => Ok(&self.ready[position].outputs),
            None => Err(not_run(self.name()).into()),
        }
    }

    pub(super) fn into_outputs(mut self) -> Result<Outputs, Error> {
        match self.last {
            Some(position) => Ok(self.ready.swap_remove(position).outputs),
            None => Err(not_run(self.name()).into()),
        }
    }
}

/// A failed call in the words of the source.
fn explain(entry: &program::Entry, failure: Failure) -> Error {
    let site = failure.index.and_then(|index| Some((index, entry.checks.get(index.site as usize)?)));
    let Some((index, site)) = site else {
        return Error::Status { action: format!("run `{}`", entry.name), status: failure.status };
    };
    debug_assert_eq!(failure.status, Status::IndexOutOfRange);
    Error::IndexOutOfRange(Box::new(IndexOutOfRange {
        entry: entry.name.clone(),
        input: site.name.clone(),
        coordinates: coordinates(index.position, &site.shape),
        value: index.value,
        bound: site.bound,
    }))
}

/// Coordinates of a row-major position.
fn coordinates(position: u64, shape: &[usize]) -> Vec<usize> {
    let mut rest = usize::try_from(position).unwrap_or(usize::MAX);
    let mut found = vec![0; shape.len()];
    for (coordinate, &extent) in found.iter_mut().zip(shape).rev() {
        *coordinate = rest % extent.max(1);
        rest /= extent.max(1);
    }
    found
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::coordinates;

    #[test]
    fn positions_are_row_major() {
        assert!(coordinates(0, &[]).is_empty());
        assert_eq!(coordinates(17, &[100]), [17]);
        assert_eq!(coordinates(23, &[2, 3, 4]), [1, 2, 3]);
    }
}
