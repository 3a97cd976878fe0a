//! A model as a native library: object files, and the C header that says what is in them.
//!
//! Two object files are made from one program. The first is freestanding: code and constants, the raw functions
//! (`raw`, `access`), and a description of the program; it refers to nothing. The second (`interface`) has the functions that
//! most programs call, each a few instructions; it refers to the first and to the runtime, with which whoever links
//! them links it too. `describe` writes the description, `header` the header, `names` makes names in C, `levels` puts
//! code for several CPU levels into one file, `coff` what Arm code for Windows needs.

mod access;
mod coff;
mod describe;
mod emit;
mod header;
mod interface;
mod levels;
mod names;
mod raw;

pub use names::check_name;

use std::sync::{Arc, Mutex, PoisonError};

use bessemer_runtime::abi::ProgramLayout;
use cranelift_codegen::isa::OwnedTargetIsa;
use cranelift_module::{Module, default_libcall_names};
use cranelift_object::{ObjectBuilder, ObjectModule};
use target_lexicon::OperatingSystem;

use crate::backend::{CompileError, Source, SourceModule, StepTimes, compile_into};
use crate::codegen::{CodegenError, Target};
use crate::diagnostic::Diagnostic;
use crate::listing::{self, Listing};
use crate::program::{NamedType, Program, StoredVariable};
use crate::tensor::Tensor;
use names::ArgumentType;

/// A model to be made into a library.
#[derive(Clone, Debug)]
pub struct ArtefactSource {
    /// Name of the library: all its C names begin with it.
    pub name: String,
    /// The variables, in the order by which code refers to them.
    pub variables: Vec<ArtefactVariable>,
    /// The entry points, `init` excluded.
    pub entries: Vec<EntrySource>,
    /// Gives variables their first values: a function without parameters and results.
    pub init: Source,
    /// Values that variables, by position, are given after `init`.
    pub embedded: Vec<(usize, Tensor)>,
    /// Whether kernels may run on several threads.
    pub has_threads: bool,
}

/// A variable of a library.
#[derive(Clone, Debug)]
pub struct ArtefactVariable {
    /// Its name, type and layout.
    pub stored: StoredVariable,
    /// Whether it is a parameter: training changes it, and it is no slot of an optimizer.
    pub is_trained: bool,
    /// Whether it is a constant of training that may be changed: f32 or f64, without axes.
    pub is_constant: bool,
}

/// An entry point of a library.
#[derive(Clone, Debug)]
pub struct EntrySource {
    /// Its name in the model.
    pub name: String,
    /// Its parameters, for any batch size.
    pub params: Vec<NamedType>,
    /// Its results, for any batch size.
    pub results: Vec<NamedType>,
    /// Whether what it computes depends on the batch size.
    pub is_symbolic: bool,
    /// What to compile it for; one variant, if it does not depend on the batch size.
    pub variants: Vec<Variant>,
}

/// An entry point at one batch size, or at all from one to another.
#[derive(Clone, Debug)]
pub struct Variant {
    /// The smallest batch size.
    pub first: usize,
    /// The largest batch size; if it is another, extents of the source depend on the batch size.
    pub last: usize,
    /// What to compile.
    pub source: Source,
}

impl EntrySource {
    /// Parameters, then results.
    fn arguments(&self) -> impl Iterator<Item = &NamedType> {
        self.params.iter().chain(&self.results)
    }

    /// The same, and how each is passed in C.
    fn c_arguments(&self) -> impl Iterator<Item = (&NamedType, ArgumentType)> {
        let params = self.params.iter().map(|param| match param.ty.rank() {
            0 => (param, ArgumentType::Value),
            _ => (param, ArgumentType::Address),
        });
        params.chain(self.results.iter().map(|result| (result, ArgumentType::Address)))
    }
}

/// A model as a library, still to be linked.
#[derive(Clone, Debug)]
pub struct Artefact {
    /// Object file with the code; it refers to nothing.
    pub object: ObjectCode,
    /// Object file with the functions that need the runtime; none for systems that there is no runtime for.
    pub interface: Option<ObjectCode>,
    /// The C header.
    pub header: String,
    /// What there is to know of the code for the lowest level: an entry for every variant, in order, then `init`.
    pub program: Program,
    /// How much memory a caller has to provide, at any level.
    pub layout: ProgramLayout,
    /// How long compilation took.
    pub times: StepTimes,
}

/// An object file.
#[derive(Clone, Debug)]
pub struct ObjectCode {
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Makes a library for some CPU levels of one triple, the lowest first.
///
/// The same source and targets give the same bytes.
///
/// # Errors
/// E0721 to E0723 for names and sizes that C cannot have; as [`compile_into`]; and [`CodegenError::Target`] if there
/// are no object files for the target, it lacks instructions for which Cranelift would call a library, or the targets are
/// not levels of one triple in ascending order, each with all features of the one before.
pub fn compile(source: &ArtefactSource, targets: &[Target]) -> Result<Artefact, CompileError> {
    check(source)?;
    let Some(lowest) = targets.first() else {
        return Err(CodegenError::Target("no CPU level is named".into()).into());
    };
    check_targets(targets)?;
    let header = header::Header::new(source);
    let mut file = ObjectFile::new(source, lowest)?;
    let (mut code, mut programs, mut times) = (Vec::new(), Vec::new(), StepTimes::default());
    for target in targets {
        let isa = target.isa()?;
        let compiled =
            compile_into(&mut file.module(isa), target, module_of(source, &levels::suffix(target, targets)))?;
        code.push(compiled.entries);
        programs.push(compiled.program);
        times.add(compiled.times);
    }
    let layout = programs.iter().map(Program::layout).reduce(|a, b| ProgramLayout {
        scratch_bytes: a.scratch_bytes.max(b.scratch_bytes),
        scratch_bytes_per_worker: a.scratch_bytes_per_worker.max(b.scratch_bytes_per_worker),
        ..a
    });
    let (program, layout) = (programs.swap_remove(0), layout.expect("there is a target"));
    let head = describe::Head { layout, interface: header.hash(), cpu: lowest.cpu() };
    let description = describe::describe(source, &program, &head)?;
    let raw = raw::Raw { source, targets, state: &program.state, code: &code };
    raw.emit(&mut file.module(lowest.baseline_isa()?), &description)?;
    let object = file.finish(true)?;

    // The runtime is for Linux; elsewhere the freestanding functions are all there is.
    let has_interface = lowest.triple().operating_system == OperatingSystem::Linux;
    let interface = has_interface.then(|| {
        let mut file = ObjectFile::new(source, lowest)?;
        interface::emit(source, &mut file.module(lowest.baseline_isa()?), lowest)?;
        file.finish(false)
    });
    let interface = interface.transpose()?;
    let header = header.text(&program, &layout, targets, has_interface);
    Ok(Artefact { object, interface, header, program, layout, times })
}

/// The code of a library as text, in the order of its emission, for each level.
///
/// # Errors
/// As [`compile`].
pub fn list(source: &ArtefactSource, targets: &[Target]) -> Result<Vec<Listing>, CompileError> {
    check(source)?;
    check_targets(targets)?;
    let mut listings = Vec::new();
    for target in targets {
        listings.extend(listing::list(module_of(source, &levels::suffix(target, targets)), target)?.1);
    }
    Ok(listings)
}

/// Refuses what C cannot have.
fn check(source: &ArtefactSource) -> Result<(), Diagnostic> {
    check_name(&source.name)?;
    names::check_entries(source)?;
    for entry in &source.entries {
        if let Some(argument) = entry.arguments().find(|argument| describe::size(&argument.ty).is_none()) {
            let message = format!("`{}` of `@{}` cannot be an argument in C", argument.name, entry.name);
            return Err(Diagnostic::new("E0723", message).note(format!(
                "it is {}, whose size is not a number of bytes times the batch size",
                argument.ty
            )));
        }
    }
    let init = &source.init;
    if !init.params.is_empty() || !init.results.is_empty() {
        return Err(Diagnostic::new("E0723", "`@init` of a library must have no parameters and no results")
            .help("rename the function in the model"));
    }
    Ok(())
}

fn check_targets(targets: &[Target]) -> Result<(), CodegenError> {
    let ascends = |two: &[Target]| {
        let [low, high] = [&two[0], &two[1]].map(Target::features);
        two[0].triple() == two[1].triple() && high.contains(low) && high != low
    };
    match targets.windows(2).all(ascends) {
        true => Ok(()),
        false => Err(CodegenError::Target(
            "several CPU levels must be levels of x86-64, from the lowest to the highest".into(),
        )),
    }
}

/// All functions of a library: every variant, then `init`.
fn module_of(source: &ArtefactSource, suffix: &str) -> SourceModule {
    let renamed = |function: &Source, name: String| {
        let mut function = function.clone();
        function.kernels.name = name;
        function
    };
    let variants = source.entries.iter().flat_map(|entry| {
        entry.variants.iter().map(move |variant| {
            let n = match (variant.first, variant.last) {
                _ if !entry.is_symbolic => String::new(),
                (first, last) if first == last => format!(".n{last}"),
                (first, last) => format!(".n{first}to{last}"),
            };
            renamed(&variant.source, format!("{}{n}{suffix}", entry.name))
        })
    });
    let functions = variants.chain([renamed(&source.init, format!("init{suffix}"))]).collect();
    let variables = source.variables.iter().map(|v| v.stored.clone()).collect();
    SourceModule { name: source.name.clone(), variables, functions }
}

/// An object file in the making.
struct ObjectFile {
    module: ObjectModule,
    withheld: Vec<coff::Withheld>,
    /// Library functions that code would call.
    calls: Arc<Mutex<Vec<String>>>,
}

impl ObjectFile {
    fn new(source: &ArtefactSource, target: &Target) -> Result<ObjectFile, CodegenError> {
        let calls = Arc::new(Mutex::new(Vec::new()));
        let called = Arc::clone(&calls);
        let standard = default_libcall_names();
        let names = Box::new(move |call| {
            let name = format!("{call}");
            called.lock().unwrap_or_else(PoisonError::into_inner).push(name);
            standard(call)
        });
        let builder = ObjectBuilder::new(target.baseline_isa()?, source.name.as_str(), names)
            .map_err(|e| unavailable(target, &e))?;
        Ok(ObjectFile { module: ObjectModule::new(builder), withheld: Vec::new(), calls })
    }

    /// The file as a module for functions that use these instructions.
    fn module(&mut self, isa: OwnedTargetIsa) -> levels::Leveled<'_> {
        levels::Leveled { module: &mut self.module, withheld: &mut self.withheld, isa }
    }

    fn finish(self, is_freestanding: bool) -> Result<ObjectCode, CodegenError> {
        let triple = self.module.isa().triple().clone();
        let unavailable =
            |e: &dyn std::fmt::Display| CodegenError::Target(format!("no object file for `{triple}`: {e}"));
        let mut object = self.module.finish();
        coff::restore(&mut object, &self.withheld).map_err(|e| unavailable(&e))?;
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        // The place of a thread's own data is told by the system's loader.
        let allowed = if is_freestanding { "" } else { "ElfTlsGetAddr" };
        if let Some(call) = calls.iter().find(|call| *call != allowed) {
            return Err(unavailable(&format!("the code would call the library function `{call}`")));
        }
        let bytes = object.emit().map_err(|e| unavailable(&e))?;
        Ok(ObjectCode { bytes })
    }
}

fn unavailable(target: &Target, error: &dyn std::fmt::Display) -> CodegenError {
    CodegenError::Target(format!("no object file for `{}`: {error}", target.triple()))
}

#[cfg(test)]
mod tests;
