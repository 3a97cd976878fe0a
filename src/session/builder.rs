//! The choices by which a session is made.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, RwLock};

use bessemer_compiler::diagnostic::Diagnostic;
use bessemer_compiler::graph::Module;
use bessemer_compiler::pipeline::OptLevel;
use bessemer_compiler::program::StateLayout;
use bessemer_runtime::abi::ProgramLayout;
use bessemer_runtime::available_cores;
use bessemer_runtime::instance::{Instance, Threads};
use bessemer_runtime::pool::Pool;

use super::{Session, Shared};
use crate::compile::{Model, options, target};
use crate::error::Error;

/// Choices for a [`Session`].
#[derive(Clone, Debug)]
pub struct SessionBuilder<'m> {
    module: &'m Module,
    threads: Option<u32>,
    level: OptLevel,
    enabled: Vec<String>,
    disabled: Vec<String>,
    cpu: String,
}

impl<'m> SessionBuilder<'m> {
    pub(super) fn new(module: &'m Module) -> SessionBuilder<'m> {
        let cpu = "native".to_owned();
        let (enabled, disabled) = (Vec::new(), Vec::new());
        SessionBuilder { module, threads: None, level: OptLevel::O3, enabled, disabled, cpu }
    }

    /// Runs kernels on this many threads, the calling one included.
    #[must_use]
    pub fn threads(mut self, threads: u32) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Optimises up to a level.
    #[must_use]
    pub fn opt_level(mut self, level: OptLevel) -> Self {
        self.level = level;
        self
    }

    /// Runs a pass that runs only if it is asked for: `recompute`.
    #[must_use]
    pub fn enable_pass(mut self, name: impl Into<String>) -> Self {
        self.enabled.push(name.into());
        self
    }

    /// Leaves out a pass, such as `fuse-epilogues`.
    #[must_use]
    pub fn disable_pass(mut self, name: impl Into<String>) -> Self {
        self.disabled.push(name.into());
        self
    }

    /// Emits code for a CPU level such as `x86-64-v3`, which this machine must have.
    #[must_use]
    pub fn target_cpu(mut self, level: impl Into<String>) -> Self {
        self.cpu = level.into();
        self
    }

    /// Makes the session.
    ///
    /// # Errors
    /// What is wrong with the module; E0701 if there is no such pass; E0711 if the CPU level is unknown or the number of
    /// threads out of range; [`Error::Status`] if memory or threads could not be had.
    pub fn build(self) -> Result<Session, Error> {
        let options = options(self.level, &self.enabled, &self.disabled)?;
        let model = Model::new(self.module, options, target(&self.cpu)?)?;
        let layout = StateLayout::new(model.variables())?;
        let program = ProgramLayout::new(layout.fingerprint(), layout.bytes as u64, 0);
        let threads = threads(self.threads.unwrap_or_else(|| available_cores().min(Pool::MAX_THREADS)))?;
        let instance =
            Instance::new(program, threads).map_err(Error::status_of("make room for variables"))?;
        let (instance, code) = (RwLock::new(instance), Mutex::new(HashMap::new()));
        Ok(Session { shared: Arc::new(Shared { model, layout, instance, code }) })
    }
}

fn threads(count: u32) -> Result<Threads, Error> {
    if !(1..=Pool::MAX_THREADS).contains(&count) {
        let error = Diagnostic::new("E0711", format!("a session cannot run on {count} threads"));
        return Err(error.note(format!("it can run on 1 to {}", Pool::MAX_THREADS)).into());
    }
    Pool::new(count).map(Threads::from).map_err(Error::status_of(format!("start {count} threads")))
}
