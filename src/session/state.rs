//! Variables, the seed and the step of a session.

use bessemer_compiler::diagnostic::Diagnostic;
use bessemer_compiler::initializers;
use bessemer_compiler::program::{NamedType, VariableLayout};
use bessemer_compiler::tensor::Tensor;

use super::{Session, weights};
use crate::error::{Error, names};
use crate::feed::Feed;

impl Session {
    /// Gives every variable its first value and sets the step to 0. The random ones follow from `seed`, the same on
    /// every machine; those with `file("weights.safetensors", "name")` are read from files, relative to the folder of the
    /// text that the module was parsed from, or else to the current one.
    ///
    /// # Errors
    /// E0801 to E0804 for files, before anything is changed; [`Error::Status`] if another call overlaps this one.
    pub fn init(&self, seed: u64) -> Result<(), Error> {
        let read = weights::read(self.shared.model.module())?;
        let failed = || Error::status_of("initialise the variables");
        self.shared.instance().set_seed(seed).map_err(failed())?;
        self.set_step(0)?;
        self.run(initializers::FUNCTION, &[])?;
        for (name, tensor) in &read {
            self.set_variable(name, tensor)?;
        }
        self.set_step(0)
    }

    /// Names and types of the variables, slots of optimizers included, in order.
    pub fn variables(&self) -> impl Iterator<Item = &NamedType> {
        self.shared.layout.variables.iter().map(|v| &v.variable)
    }

    /// The value of a variable.
    ///
    /// # Errors
    /// E0710 if there is none with this name; [`Error::Status`] if a call that assigns variables is in progress.
    pub fn variable(&self, name: &str) -> Result<Tensor, Error> {
        let layout = self.find(name)?;
        let ty = &layout.variable.ty;
        let instance = self.shared.instance();
        let failed = || Error::status_of(format!("read `@{name}`"));
        let state = instance.state().map_err(failed())?;
        let stored = state.bytes(layout.offset, layout.bytes).map_err(failed())?;
        Ok(Tensor::from_bytes(ty.dtype, &ty.shape.bound(), &layout.gather(stored))
            .expect("the layout has the size of the type"))
    }

    /// Gives a variable another value, such as an array or a [`Tensor`].
    ///
    /// # Errors
    /// E0710 if there is none with this name, or it has another dtype or shape; [`Error::Status`] if a call is in progress.
    pub fn set_variable<'a>(&self, name: &str, value: impl Into<Feed<'a>>) -> Result<(), Error> {
        let layout = self.find(name)?;
        let (ty, value) = (&layout.variable.ty, value.into());
        if value.ty() != *ty {
            let error = Diagnostic::new("E0710", format!("the value for `@{name}` has the wrong type"));
            return Err(error.note(format!("expected {ty}, found {}", value.ty())).into());
        }
        let bytes = layout.scatter(&value.to_tensor().to_bytes());
        self.shared
            .instance()
            .write(layout.offset, &bytes)
            .map_err(Error::status_of(format!("write `@{name}`")))
    }

    fn find(&self, name: &str) -> Result<&VariableLayout, Error> {
        self.shared.layout.variables.iter().find(|v| v.variable.name == name).ok_or_else(|| {
            Diagnostic::new("E0710", format!("there is no variable `@{name}`"))
                .note(format!("the variables are: {}", names(self.variables().map(|v| v.name.as_str()))))
                .into()
        })
    }

    /// Seed of all random operations: what [`init`](Session::init) was given.
    ///
    /// # Errors
    /// [`Error::Status`] if a call that assigns variables is in progress.
    pub fn seed(&self) -> Result<u64, Error> {
        self.shared.instance().seed().map_err(Error::status_of("read the seed"))
    }

    /// Number of completed calls that assigned variables since [`init`](Session::init).
    ///
    /// # Errors
    /// [`Error::Status`] if a call that assigns variables is in progress.
    pub fn step(&self) -> Result<u64, Error> {
        self.shared.instance().step().map_err(Error::status_of("read the step"))
    }

    /// Sets the number of completed calls that assigned variables, as when a checkpoint is loaded.
    ///
    /// # Errors
    /// [`Error::Status`] if a call is in progress.
    pub fn set_step(&self, step: u64) -> Result<(), Error> {
        self.shared.instance().set_step(step).map_err(Error::status_of("set the step"))
    }
}
