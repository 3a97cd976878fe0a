//! From Kernel IR to code in a module: the list of steps.

use std::fmt;
use std::time::{Duration, Instant};

use cranelift_module::{FuncId, Module};

use crate::codegen::entry::{EntryParts, MAX_CONSTANT_BYTES, emit_entry};
use crate::codegen::kernel::{EmittedKernel, KnownCode, emit_kernel};
use crate::codegen::{CodegenError, Target};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::kernel::math::expand;
use crate::kernel::{BufferKind, KernelFunction, most, verify};
use crate::memory::{Layout, MemoryPlan, drop_copies, order, pad_rows, plan, store_in_panels};
use crate::program::{Entry, MemoryReport, NamedType, Program, StateLayout, StoredVariable, assigns};
use crate::schedule::{ScheduleOptions, schedule};
use crate::types::TensorType;

#[cfg(test)]
pub(crate) mod testing;

/// A function to compile: lowered and fused, its kernels in an order of execution.
#[derive(Clone, Debug)]
pub struct Source {
    /// What to compute.
    pub kernels: KernelFunction,
    /// The parameters, in order.
    pub params: Vec<NamedType>,
    /// The results, in order.
    pub results: Vec<NamedType>,
}

/// Functions that share variables, to be compiled into one program.
#[derive(Clone, Debug)]
pub struct SourceModule {
    /// Name of the program.
    pub name: String,
    /// The variables, in the order by which buffers refer to them.
    pub variables: Vec<StoredVariable>,
    /// The functions, whose names differ.
    pub functions: Vec<Source>,
}

/// Why no program was made.
#[derive(Debug)]
pub enum CompileError {
    /// What the user asked for cannot be compiled.
    Source(Diagnostics),
    /// No code can be emitted.
    Codegen(CodegenError),
}

/// How long the steps of a compilation took: the sum over all functions, in order of the steps.
#[derive(Clone, Debug, Default)]
pub struct StepTimes(pub Vec<(&'static str, Duration)>);

/// A program and what became of its entry points.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What a caller has to know.
    pub program: Program,
    /// The entry points in the module, in order.
    pub entries: Vec<FuncId>,
    /// For people who wonder.
    pub times: StepTimes,
}

/// Compiles functions into `module`, which is one for `target`. The symbols of entry points are local, `PROGRAM_FUNCTION`.
///
/// # Errors
/// [`CompileError::Source`] if something is too large (`E0610` to `E0612`), a function breaks a rule of Kernel IR (`K01`), or
/// does not have the parameters, results and variables that are stated (`K0201`). [`CompileError::Codegen`] if a kernel
/// cannot be emitted.
pub fn compile_into(
    module: &mut dyn Module,
    target: &Target,
    source: SourceModule,
) -> Result<Compiled, CompileError> {
    check_constants(&source)?;
    let state = StateLayout::new(source.variables)?;
    let mut times = StepTimes::default();
    let mut program = Program { name: source.name, state, entries: Vec::new() };
    let (mut entries, mut known) = (Vec::new(), KnownCode::default());
    for function in source.functions {
        let symbol = format!("{}_{}", program.name, function.kernels.name);
        let (func, entry) =
            compile_function((module, &mut known), target, &symbol, &program.state, function, &mut times)?;
        entries.push(func);
        program.entries.push(entry);
    }
    Ok(Compiled { program, entries, times })
}

/// All steps, for one function.
fn compile_function(
    (module, known): (&mut dyn Module, &mut KnownCode),
    target: &Target,
    symbol: &str,
    state: &StateLayout,
    source: Source,
    times: &mut StepTimes,
) -> Result<(FuncId, Entry), CompileError> {
    let Source { kernels: mut f, params, results } = source;
    times.step("verify", || verify(&f))?;
    check_interface(&f, &params, &results, state)?;
    arrange(&mut f, &state.layouts(), target, times);
    let plan = times.step("plan memory", || plan(&f, params.len(), &state.offsets_in_kernels()))?;
    let tasks = times.step("emit kernels", || emit_kernels(module, known, target, &f))?;
    let exclusive = assigns(&f);
    let parts = EntryParts { symbol, function: &f, kernels: &tasks, plan: &plan, exclusive };
    let func = times.step("emit entry point", || emit_entry(module, target, &parts))?;
    Ok((func, describe(f, params, results, &plan, &tasks)))
}

/// The kernels as they are emitted: with variables in their layouts, rows padded and math functions expanded, in the order of
/// execution, without copies
/// of variables that are assigned in place, and scheduled.
pub fn arrange(f: &mut KernelFunction, layouts: &[Layout], target: &Target, times: &mut StepTimes) {
    times.step("store in panels", || store_in_panels(f, layouts));
    debug_assert_eq!(verify(f).map_err(|e| e.to_string()), Ok(()), "panels broke a function");
    times.step("pad rows", || pad_rows(f));
    debug_assert_eq!(verify(f).map_err(|e| e.to_string()), Ok(()), "padded rows broke a function");
    times.step("expand math", || expand(f));
    times.step("order", || order(f));
    times.step("drop copies", || drop_copies(f));
    times.step("schedule", || schedule(f, target, &ScheduleOptions::default()));
}

fn emit_kernels(
    module: &mut dyn Module,
    known: &mut KnownCode,
    target: &Target,
    f: &KernelFunction,
) -> Result<Vec<EmittedKernel>, CodegenError> {
    f.kernels.iter().map(|kernel| emit_kernel(module, target, f, kernel, known)).collect()
}

fn describe(
    f: KernelFunction,
    params: Vec<NamedType>,
    results: Vec<NamedType>,
    plan: &MemoryPlan,
    tasks: &[EmittedKernel],
) -> Entry {
    Entry {
        params,
        results,
        exclusive: assigns(&f),
        kernels: f.kernels.len(),
        flops: f.flops(),
        bytes_moved: f.bytes_moved(),
        worker_bytes: tasks.iter().map(|task| task.worker_bytes).max().unwrap_or(0),
        memory: MemoryReport::new(&f, plan),
        name: f.name,
        checks: f.checks,
    }
}

/// Refuses constants that code could not reach.
fn check_constants(source: &SourceModule) -> Result<(), Diagnostic> {
    let buffers = source.functions.iter().flat_map(|f| f.kernels.buffers.values());
    let constants = buffers.filter(|b| matches!(b.kind, BufferKind::Constant(_)));
    let bytes = constants.map(|b| b.bytes()).fold(0, usize::saturating_add);
    if bytes <= MAX_CONSTANT_BYTES {
        return Ok(());
    }
    Err(Diagnostic::new("E0612", format!("the constants of `{}` take {bytes} bytes", source.name))
        .note(format!("code can reach {MAX_CONSTANT_BYTES} bytes"))
        .help("make the large ones variables that are not trainable"))
}

/// Refuses functions whose buffers do not have the types of what they stand for.
fn check_interface(
    f: &KernelFunction,
    params: &[NamedType],
    results: &[NamedType],
    state: &StateLayout,
) -> Result<(), Diagnostic> {
    for (id, buffer) in &f.buffers {
        let (what, n, stated) = match buffer.kind {
            BufferKind::Param(n) => ("parameter", n, params.get(n)),
            BufferKind::Result(n) => ("result", n, results.get(n)),
            BufferKind::Variable(n) | BufferKind::Next(n) => {
                ("variable", n, state.variables.get(n).map(|v| &v.variable))
            }
            _ => continue,
        };
        let found = TensorType::new(buffer.dtype, most(&buffer.shape).as_slice());
        if stated.map(|s| &s.ty) != Some(&found) {
            let stated = stated.map_or("missing".into(), |s| format!("`{}` : {}", s.name, s.ty));
            return Err(Diagnostic::new("K0201", format!("{id} of `@{}` is not its {what} {n}", f.name))
                .note(format!("the buffer is {found}; the {what} is {stated}")));
        }
    }
    Ok(())
}

impl StepTimes {
    /// Adds the times of another compilation.
    pub fn add(&mut self, other: StepTimes) {
        for (name, more) in other.0 {
            match self.0.iter_mut().find(|(known, _)| *known == name) {
                Some((_, time)) => *time += more,
                None => self.0.push((name, more)),
            }
        }
    }

    /// Runs a step and adds the time that it took.
    fn step<T>(&mut self, name: &'static str, run: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = run();
        let took = start.elapsed();
        self.add(StepTimes(vec![(name, took)]));
        result
    }
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompileError::Source(e) => e.fmt(f),
            CompileError::Codegen(e) => e.fmt(f),
        }
    }
}

impl std::error::Error for CompileError {}

impl From<Diagnostic> for CompileError {
    fn from(e: Diagnostic) -> CompileError {
        CompileError::Source(e.into())
    }
}

impl From<Diagnostics> for CompileError {
    fn from(e: Diagnostics) -> CompileError {
        CompileError::Source(e)
    }
}

impl From<CodegenError> for CompileError {
    fn from(e: CodegenError) -> CompileError {
        CompileError::Codegen(e)
    }
}
