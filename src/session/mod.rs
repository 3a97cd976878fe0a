//! A module that can be called: compiled in this process, with its variables.

mod batch;
mod builder;
mod call;
mod entry;
mod outputs;
mod state;
pub(crate) mod weights;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use bessemer_compiler::diagnostic::Diagnostic;
use bessemer_compiler::graph::{FunctionId, Module};
use bessemer_compiler::jit::JitProgram;
use bessemer_compiler::program::StateLayout;
use bessemer_runtime::instance::Instance;

use crate::compile::Model;
use crate::error::Error;
use crate::feed::Feed;
pub use builder::SessionBuilder;
use call::Code;
pub use entry::Entry;
pub use outputs::Outputs;

/// A module that can be called: compiled in this process, with its variables.
///
/// Code is made when it is first needed: for an entry point and a batch size, which the feeds determine. It is kept,
/// and shared by all that use the session. A clone is another handle to the same session.
///
/// ```
/// use bessemer::prelude::*;
/// use ndarray::array;
///
/// let text = "
/// module @line
/// var @w : f32[] = constant(2.0)
/// func @predict(%x: f32[N]) -> (y: f32[N]) {
///   %0 = read @w : f32[]
///   %1 = broadcast %0 {shape=[N]} : f32[N]
///   %2 = mul %x, %1 : f32[N]
///   return %2
/// }";
/// let session = Session::new(&Module::parse("line.bsm", text)?)?;
/// session.init(1)?;
/// let outputs = session.run("predict", &[("x", (&array![1.0f32, 2.0, 3.0]).into())])?;
/// assert_eq!(outputs.get::<f32>("y")?, array![2.0, 4.0, 6.0].into_dyn());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Threads
///
/// A session can be used from several threads at once. Calls that only read variables overlap; one that assigns
/// variables overlaps nothing, and whichever comes second fails with [`Status::Busy`](crate::Status::Busy).
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

/// What a session and its entries share.
struct Shared {
    model: Model,
    layout: StateLayout,
    /// The lock is for room: calls read it, and code that needs more scratch than there is writes it.
    instance: RwLock<Instance>,
    code: Mutex<HashMap<(FunctionId, usize), Arc<Code>>>,
}

impl Session {
    /// A session with all optimisations, for this CPU, on as many threads as there are cores for this process. All
    /// variables are zero until [`init`](Session::init) or [`set_variable`](Session::set_variable).
    ///
    /// # Errors
    /// What is wrong with the module, or [`Error::Status`] if memory or threads could not be had.
    pub fn new(module: &Module) -> Result<Session, Error> {
        Session::builder(module).build()
    }

    /// A session to be made with other choices.
    pub fn builder(module: &Module) -> SessionBuilder<'_> {
        SessionBuilder::new(module)
    }

    /// The entry point with this name, with memory of its own for results.
    ///
    /// # Errors
    /// E0702 if there is none.
    pub fn entry(&self, name: &str) -> Result<Entry, Error> {
        let (id, _) = self.shared.model.entry_point(name)?;
        Ok(Entry::new(Arc::clone(&self.shared), id))
    }

    /// Calls an entry point once. [`entry`](Session::entry) is better for many calls: it keeps the memory of results.
    ///
    /// # Errors
    /// As [`Session::entry`] and [`Entry::run`].
    pub fn run(&self, name: &str, feeds: &[(&str, Feed<'_>)]) -> Result<Outputs, Error> {
        let mut entry = self.entry(name)?;
        entry.run(feeds)?;
        entry.into_outputs()
    }

    /// Number of threads that kernels run on.
    pub fn threads(&self) -> u32 {
        self.shared.instance().threads().workers()
    }
}

impl Shared {
    fn instance(&self) -> RwLockReadGuard<'_, Instance> {
        // A panic while it is written leaves it as it was.
        self.instance.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The code of a function for a batch size, with room for its calls.
    fn code(&self, id: FunctionId, n: usize) -> Result<Arc<Code>, Error> {
        // The lock is held while code is made, so that two threads never make the same.
        let mut known = self.code.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(code) = known.get(&(id, n)) {
            return Ok(Arc::clone(code));
        }
        let module = self.model.module();
        let function = &module.functions[id];
        let source = self.model.source(&self.model.lower(function, n)?);
        let program = JitProgram::compile(source, self.model.target())
            .map_err(|error| Error::from_compile(error, module))?;
        let code = Code::new(&program, &function.name).ok_or_else(|| {
            Diagnostic::new("E0702", format!("there is no entry point `{}`", function.name))
        })?;
        self.instance
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .reserve(code.layout())
            .map_err(Error::status_of(format!("make room for `{}` at batch size {n}", function.name)))?;
        let code = Arc::new(code);
        known.insert((id, n), Arc::clone(&code));
        Ok(code)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("module", &self.shared.model.module().name).finish_non_exhaustive()
    }
}
