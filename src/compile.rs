//! From a module to programs: the façade's straight line through the compiler.

use bessemer_compiler::backend::{Source, SourceModule, StepTimes, arrange};
use bessemer_compiler::codegen::{CodegenError, CpuLevel, Target};
use bessemer_compiler::diagnostic::{Diagnostic, Diagnostics};
use bessemer_compiler::graph::{Function, FunctionId, Module, ValueId, Variable, bind};
use bessemer_compiler::kernel::KernelFunction;
use bessemer_compiler::memory::choose;
use bessemer_compiler::pipeline::{self, OptLevel, Options, Report};
use bessemer_compiler::program::{NamedType, StoredVariable};
use bessemer_compiler::{initializers, kernel, lower};

use crate::error::{Error, names};

/// A module whose training steps are functions, with the choices by which its functions are compiled.
#[derive(Clone, Debug)]
pub struct Model {
    module: Module,
    options: Options,
    target: Target,
}

/// What became of a function on its way to code.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The function for one batch size, before any pass.
    pub bound: Function,
    /// The same after the passes over graphs.
    pub optimised: Function,
    /// Its kernels, fused.
    pub kernels: KernelFunction,
    /// What the passes did.
    pub report: Report,
}

impl Model {
    /// Derives the training steps and `init` of a module.
    ///
    /// # Errors
    /// Everything that is wrong with the module: see [`pipeline::prepare`].
    pub fn new(module: &Module, options: Options, target: Target) -> Result<Model, Error> {
        Ok(Model { module: pipeline::prepare(module)?, options, target })
    }

    /// The module, with every training step, and `init`, as a function.
    pub fn module(&self) -> &Module {
        &self.module
    }

    /// What code is emitted for.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The functions that can be called, `init` included: those that no op refers to.
    pub fn entry_points(&self) -> impl Iterator<Item = (FunctionId, &Function)> {
        let functions = &self.module.functions;
        let is_operand = |name: &str| {
            let mut nodes = functions.values().flat_map(|f| f.nodes.values());
            nodes.any(|node| node.op.symbols().iter().any(|symbol| symbol == name))
        };
        functions.iter().filter(move |(_, f)| !is_operand(&f.name))
    }

    /// The entry point with this name.
    ///
    /// # Errors
    /// E0702 if there is none.
    pub fn entry_point(&self, name: &str) -> Result<(FunctionId, &Function), Error> {
        self.entry_points().find(|(_, f)| f.name == name).ok_or_else(|| {
            let known =
                self.entry_points().map(|(_, f)| f.name.as_str()).filter(|n| *n != initializers::FUNCTION);
            Diagnostic::new("E0702", format!("there is no entry point `{name}`"))
                .note(format!("the entry points of `{}` are: {}", self.module.name, names(known)))
                .into()
        })
    }

    /// All steps from a function to kernels, for batch size `n`.
    ///
    /// # Errors
    /// E0601, E0602 if a tensor or an op is too large; E02xx if an op refuses its operands at this batch size.
    pub fn lower(&self, function: &Function, n: usize) -> Result<Lowered, Error> {
        let module = &self.module;
        let bound = bind::bind(module, function, n)
            .map_err(|error| Diagnostics { source: module.source.clone(), ..error.into() })?;
        self.check_size(&bound, n)?;
        let mut report = Report::default();
        let optimised = pipeline::optimise(module, &bound, &self.options, &mut report);
        let kernels = pipeline::lower(module, &optimised, &self.options, &mut report);
        Ok(Lowered { bound, optimised, kernels, report })
    }

    /// All steps from a function to kernels that run for any batch size from `first` to `last`.
    ///
    /// # Errors
    /// E0729 if an op computes with the batch size in a way that kernels cannot; as [`Model::lower`] for both ends.
    pub fn lower_range(&self, function: &Function, first: usize, last: usize) -> Result<Lowered, Error> {
        let module = &self.module;
        let located = |error: Diagnostic| Diagnostics { source: module.source.clone(), ..error.into() };
        bind::bind(module, function, first).map_err(located)?;
        let bound = bind::bind(module, function, last).map_err(located)?;
        self.check_size(&bound, last)?;
        let mut report = Report::default();
        let optimised = pipeline::optimise(module, function, &self.options, &mut report);
        let kernels = pipeline::lower_range(module, &optimised, last, &self.options, &mut report);
        Ok(Lowered { bound, optimised, kernels: kernels.map_err(located)?, report })
    }

    /// Refuses a function with an op that runs over more points than a kernel may have, though its tensors are allowed.
    fn check_size(&self, bound: &Function, n: usize) -> Result<(), Error> {
        let elements = bound.values.values().filter_map(|v| v.ty.shape.elements()).map(|(c, _)| c);
        // The points of a contraction are at most the largest tensor's elements to the power of 3/2.
        if elements.max().unwrap_or(0) <= 1 << 26 {
            return Ok(());
        }
        match kernel::verify(&lower::lower(&self.module, bound)) {
            Err(errors) if errors.code() == "K0103" => {
                let error =
                    Diagnostic::new("E0602", format!("`@{}` is too large at batch size {n}", bound.name));
                let error = error.or_at(&bound.place).help("use a smaller batch");
                Err(Diagnostics { source: self.module.source.clone(), ..error.into() }.into())
            }
            _ => Ok(()),
        }
    }

    /// The kernels of a lowered function as the back end emits them; see [`arrange`].
    pub fn schedule(&self, lowered: &Lowered) -> KernelFunction {
        let mut kernels = lowered.kernels.clone();
        arrange(&mut kernels, &choose(&self.module), &self.target, &mut StepTimes::default());
        kernels
    }

    /// A lowered function as the back end wants it.
    pub fn source(&self, lowered: &Lowered) -> SourceModule {
        let f = &lowered.bound;
        let typed = |name: &str, value: ValueId| NamedType { name: name.to_owned(), ty: f.ty(value).clone() };
        SourceModule {
            name: self.module.name.clone(),
            variables: self.variables(),
            functions: vec![Source {
                kernels: lowered.kernels.clone(),
                params: f.params.iter().map(|&p| typed(&f.value_name(p), p)).collect(),
                results: f.results.iter().map(|r| typed(&r.name, r.value)).collect(),
            }],
        }
    }

    /// All variables, slots of optimizers included, in the layouts that [`choose`] gives them.
    pub fn variables(&self) -> Vec<StoredVariable> {
        let named = |v: &Variable| NamedType { name: v.name.clone(), ty: v.ty.clone() };
        let variables = self.module.variables.values().zip(choose(&self.module));
        variables.map(|(v, layout)| StoredVariable { variable: named(v), layout }).collect()
    }
}

/// The passes of a level, with some that run only if they are asked for, and without others.
///
/// # Errors
/// E0701 if there is no such pass.
pub fn options(level: OptLevel, enabled: &[String], disabled: &[String]) -> Result<Options, Error> {
    let options = enabled.iter().try_fold(Options::new(level), |options, pass| options.enable(pass))?;
    Ok(disabled.iter().try_fold(options, |options, pass| options.disable(pass))?)
}

/// This machine at a CPU level.
///
/// # Errors
/// E0711 if it is unknown or not one of this machine's architecture.
pub fn target(cpu: &str) -> Result<Target, Error> {
    let level = cpu.parse::<CpuLevel>();
    level
        .and_then(|level| Target::new(Target::host()?.triple().clone(), level))
        .map_err(|error| Diagnostic::new("E0711", error.to_string()).into())
}

/// The targets of a library: a triple (this machine's where none is named) at one or several CPU levels, the lowest first.
/// A level of x86-64 may be named `v3` for `x86-64-v3`; `native` is everything that code can use of this machine and ask a
/// CPU for. One level may be changed by features: `+avx2,-fma`.
///
/// # Errors
/// E0711 if a name is unknown, no code can be emitted for a target, several levels are not all of x86-64, or features are to
/// change several levels.
pub fn levels(triple: Option<&str>, cpus: &[String], features: Option<&str>) -> Result<Vec<Target>, Error> {
    let unsupported = |error: CodegenError| Diagnostic::new("E0711", error.to_string());
    if features.is_some() && cpus.len() > 1 {
        return Err(Diagnostic::new("E0711", "CPU features can change one CPU level only")
            .help("name one level with `--target-cpu`, or leave out `--target-features`")
            .into());
    }
    let host = Target::host().map_err(unsupported)?.triple().to_string();
    let triple = triple.unwrap_or(&host);
    let default = match triple == host {
        true => "native",
        false if triple.starts_with("x86_64") => "x86-64-v3",
        false => "generic",
    };
    let names = if cpus.is_empty() { vec![default.to_owned()] } else { cpus.to_vec() };
    let mut targets = Vec::new();
    for name in names {
        let name = if ["v2", "v3", "v4"].contains(&&*name) { format!("x86-64-{name}") } else { name };
        let target = Target::parse(triple, &name).and_then(Target::checkable);
        let target = target.and_then(|target| match features {
            None => Ok(target),
            Some(features) => target.change_features(features),
        });
        targets.push(target.map_err(unsupported)?);
    }
    targets.sort_by_key(|target| target.features().count());
    targets.dedup_by_key(|target| target.features());
    Ok(targets)
}
