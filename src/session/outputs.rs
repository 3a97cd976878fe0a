//! The results of a run.

use bessemer_compiler::diagnostic::Diagnostic;
use bessemer_compiler::program;
use bessemer_compiler::tensor::{Element, Tensor};
use bessemer_compiler::types::TensorType;
use ndarray::ArrayViewD;

use crate::error::{Error, names};
use crate::memory::room;

/// The results of a run, by name.
#[derive(Clone, Debug)]
pub struct Outputs {
    entry: String,
    names: Vec<String>,
    tensors: Vec<Tensor>,
}

impl Outputs {
    /// Room for the results of an entry point.
    ///
    /// # Errors
    /// [`Status::OutOfMemory`](crate::Status::OutOfMemory).
    pub(super) fn new(entry: &program::Entry) -> Result<Outputs, Error> {
        let bytes = |ty: &TensorType| ty.shape.bound().iter().product::<usize>() * ty.dtype.bytes();
        room(entry.results.iter().map(|r| bytes(&r.ty)).fold(0, usize::saturating_add))
            .map_err(Error::status_of(format!("make room for the results of `{}`", entry.name)))?;
        let zeros = |r: &program::NamedType| Tensor::zeros(r.ty.dtype, &r.ty.shape.bound());
        Ok(Outputs {
            entry: entry.name.clone(),
            names: entry.results.iter().map(|r| r.name.clone()).collect(),
            tensors: entry.results.iter().map(zeros).collect(),
        })
    }

    pub(super) fn tensors_mut(&mut self) -> &mut [Tensor] {
        &mut self.tensors
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.names.iter().map(String::as_str).zip(&self.tensors)
    }

    /// A result of any dtype.
    ///
    /// # Errors
    /// E0707 if there is none with this name.
    pub fn tensor(&self, name: &str) -> Result<&Tensor, Error> {
        self.iter().find(|(known, _)| *known == name).map(|(_, tensor)| tensor).ok_or_else(|| {
            Diagnostic::new("E0707", format!("`{}` has no result `{name}`", self.entry))
                .note(format!("its results are: {}", names(self.iter().map(|(known, _)| known))))
                .into()
        })
    }

    /// A result.
    ///
    /// # Errors
    /// E0707 if there is none with this name, or it has another dtype.
    pub fn get<T: Element>(&self, name: &str) -> Result<ArrayViewD<'_, T>, Error> {
        let tensor = self.tensor(name)?;
        tensor.get::<T>().map(|array| array.view()).ok_or_else(|| {
            let message = format!("`{name}` of `{}` is not of {}", self.entry, T::DTYPE);
            let found = tensor.ty();
            Diagnostic::new("E0707", message)
                .note(format!("it is {found}"))
                .help(format!("read it as {}", found.dtype))
                .into()
        })
    }

    /// A result that has one element.
    ///
    /// # Errors
    /// As [`Outputs::get`]; and E0707 if it has another number of elements.
    pub fn scalar<T: Element>(&self, name: &str) -> Result<T, Error> {
        let array = self.get::<T>(name)?;
        match array.len() {
            1 => Ok(*array.first().expect("there is one element")),
            _ => {
                let message = format!("`{name}` of `{}` is not a scalar", self.entry);
                Err(Diagnostic::new("E0707", message)
                    .note(format!("it is {}", self.tensor(name)?.ty()))
                    .into())
            }
        }
    }
}

/// E0707: there are no results.
pub(super) fn not_run(entry: &str) -> Diagnostic {
    Diagnostic::new("E0707", format!("there are no results of `{entry}`"))
        .note("it was not run yet, or the last run failed")
}
