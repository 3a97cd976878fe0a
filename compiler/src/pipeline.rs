//! The pipeline: which passes run, in which order, at which level of optimisation.
//!
//! A module is [prepared](prepare) once: every entry point is a function then. A function, best with its batch size
//! [bound](crate::graph::bind), is [optimised](optimise) as a graph, then [lowered](lower) to kernels and fused. Both
//! parts run the passes of [`PASSES`] by name, each of which can be switched off, is timed, and is verified in debug
//! builds.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::fuse;
use crate::graph::verify::{verify, verify_function};
use crate::graph::{Function, Module};
use crate::initializers::{self, init_function};
use crate::kernel::{self, KernelFunction};
use crate::passes::{self, Laws};
use crate::train;

/// How much is done to make programs fast. Results have the same bits at every level, but where a level says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OptLevel {
    /// Every node as it stands, in kernels of its own.
    O0,
    /// Nothing is computed twice or in vain.
    O1,
    /// Laws are applied and kernels are fused where a value has one reader.
    #[default]
    O2,
    /// Kernels that share rows are fused into one.
    O3,
}

/// A pass of the pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    /// Its name.
    pub name: &'static str,
    /// The lowest level at which it runs.
    pub from: OptLevel,
    /// Whether it runs only if somebody asks for it ([`Options::enable`]).
    pub asked: bool,
}

/// All passes in order: those of graphs ([`passes::PASSES`]), then those of kernels ([`fuse::PASSES`]).
pub const PASSES: [Pass; 16] = [
    Pass { name: "canonicalize", from: OptLevel::O1, asked: false },
    Pass { name: "fold-constants", from: OptLevel::O2, asked: false },
    Pass { name: "algebra", from: OptLevel::O2, asked: false },
    Pass { name: "fold-scales", from: OptLevel::O2, asked: true },
    Pass { name: "fold-transposes", from: OptLevel::O2, asked: false },
    Pass { name: "eliminate-common", from: OptLevel::O1, asked: false },
    Pass { name: "eliminate-dead", from: OptLevel::O1, asked: false },
    Pass { name: "drop-checks", from: OptLevel::O1, asked: false },
    Pass { name: "fold-views", from: OptLevel::O2, asked: false },
    Pass { name: "split-borders", from: OptLevel::O2, asked: false },
    Pass { name: "fuse-producers", from: OptLevel::O2, asked: false },
    Pass { name: "fuse-epilogues", from: OptLevel::O2, asked: false },
    Pass { name: "fuse-stages", from: OptLevel::O3, asked: false },
    Pass { name: "recompute-slices", from: OptLevel::O3, asked: false },
    Pass { name: "recompute", from: OptLevel::O3, asked: true },
    Pass { name: "merge-copies", from: OptLevel::O2, asked: false },
];

/// Which passes run, and whether they are watched.
#[derive(Clone, Debug)]
pub struct Options {
    level: OptLevel,
    enabled: Vec<&'static str>,
    disabled: Vec<&'static str>,
    dumped: Vec<&'static str>,
    verify_each: bool,
}

impl Default for Options {
    /// The passes of the default level; watched in debug builds.
    fn default() -> Options {
        Options::new(OptLevel::default())
    }
}

impl Options {
    /// The passes of a level; watched in debug builds.
    pub fn new(level: OptLevel) -> Options {
        Options {
            level,
            enabled: Vec::new(),
            disabled: Vec::new(),
            dumped: Vec::new(),
            verify_each: cfg!(debug_assertions),
        }
    }

    /// Runs the pass of this name, if it is one that runs only if it is asked for; others run anyway.
    ///
    /// # Errors
    /// E0701 if there is none.
    pub fn enable(mut self, name: &str) -> Result<Options, Diagnostic> {
        self.enabled.push(known(name)?);
        Ok(self)
    }

    /// Leaves out the pass of this name.
    ///
    /// # Errors
    /// E0701 if there is none.
    pub fn disable(mut self, name: &str) -> Result<Options, Diagnostic> {
        self.disabled.push(known(name)?);
        Ok(self)
    }

    /// Keeps every function as it is after the pass of this name, or after `lower`, in the [report](Report::dumps).
    ///
    /// # Errors
    /// E0701 if there is none.
    pub fn dump(mut self, name: &str) -> Result<Options, Diagnostic> {
        let known = PASSES.iter().map(|pass| pass.name).chain([LOWER]);
        self.dumped.push(known.into_iter().find(|pass| *pass == name).ok_or_else(|| no_pass(name))?);
        Ok(self)
    }

    /// Whether the IR is verified after every pass; a failure is a bug of the pass and panics.
    #[must_use]
    pub fn verify_each(self, verify_each: bool) -> Options {
        Options { verify_each, ..self }
    }

    /// Whether the pass of this name runs.
    pub fn runs(&self, name: &str) -> bool {
        let asked = |pass: &Pass| !pass.asked || self.enabled.contains(&name);
        PASSES.iter().any(|pass| pass.name == name && pass.from <= self.level && asked(pass))
            && !self.disabled.contains(&name)
    }
}

/// The name of a pass, as [`PASSES`] has it.
fn known(name: &str) -> Result<&'static str, Diagnostic> {
    PASSES.iter().find(|pass| pass.name == name).map(|pass| pass.name).ok_or_else(|| no_pass(name))
}

/// Name of the step from graphs to kernels.
const LOWER: &str = "lower";

/// E0701.
fn no_pass(name: &str) -> Diagnostic {
    let passes = PASSES.map(|pass| format!("`{}`", pass.name)).join(", ");
    Diagnostic::new("E0701", format!("there is no pass `{name}`")).help(format!("the passes are {passes}"))
}

/// What was done to a function.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Every run of a pass, in order.
    pub steps: Vec<Step>,
    /// How often each law was applied.
    pub laws: Laws,
    /// What was fused into what, and what was not, and why.
    pub fusion: fuse::Report,
    /// The function after the passes that [`Options::dump`] named, in order, with the name of the pass.
    pub dumps: Vec<(&'static str, String)>,
}

/// A run of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// Name of the pass, or `lower`.
    pub name: &'static str,
    /// How long it took, without verification.
    pub microseconds: u64,
    /// How many nodes the function had afterwards; from `lower` on, how many kernels.
    pub size: usize,
}

impl Report {
    /// Keeps a function as it is after a pass, if options say so.
    fn keep(&mut self, pass: &'static str, options: &Options, after: &dyn std::fmt::Display) {
        if options.dumped.contains(&pass) {
            self.dumps.push((pass, after.to_string()));
        }
    }

    /// Runs and times a step, whose result has the size that `size` says.
    fn step<T>(
        &mut self,
        name: &'static str,
        size: impl Fn(&T) -> usize,
        run: impl FnOnce(&mut Report) -> T,
    ) -> T {
        let start = Instant::now();
        let made = run(self);
        let microseconds = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.steps.push(Step { name, microseconds, size: size(&made) });
        made
    }
}

/// The module with all its entry points as functions: its training steps are expanded, and `init`, which gives the
/// variables their first values, is the last function unless there is one of this name.
///
/// # Errors
/// What is wrong with the module, its training steps or its initialisers.
pub fn prepare(module: &Module) -> Result<Module, Diagnostics> {
    verify(module)?;
    let mut prepared = train::expand(module)?;
    if prepared.function(initializers::FUNCTION).is_none() {
        let init = init_function(&prepared)?;
        prepared.functions.push(init);
    }
    verify(&prepared)?;
    Ok(prepared)
}

/// How often the graph passes run in turn, as one may enable another that comes before it. Two rounds nearly always do:
/// the second finds nothing.
const MAX_ROUNDS: usize = 4;

/// The function after the graph passes. Better if its batch size is bound: extents are constants then.
///
/// # Panics
/// If the function was not verified or, where options say so, does not verify after a pass; the message names the pass
/// and has the function before and after it.
#[must_use]
pub fn optimise(module: &Module, function: &Function, options: &Options, report: &mut Report) -> Function {
    let shared = Rc::new(RefCell::new(module.clone()));
    let mut current = function.clone();
    for _ in 0..MAX_ROUNDS {
        let before = report.laws.total();
        for pass in passes::PASSES.into_iter().filter(|pass| options.runs(pass)) {
            let next = report.step(
                pass,
                |f: &Function| f.nodes.len(),
                |report| passes::run(&shared, &current, pass, &mut report.laws),
            );
            if options.verify_each
                && let Err(errors) = verify_function(module, &next)
            {
                panic!("`{pass}` broke a function\n{errors}\nbefore\n{current}\n\nafter\n{next}");
            }
            report.keep(pass, options, &next);
            current = next;
        }
        if report.laws.total() == before {
            break;
        }
    }
    current
}

/// The kernels of a function whose batch size is bound, fused.
///
/// # Panics
/// As [`optimise`]; or if the function is not bound.
#[must_use]
pub fn lower(module: &Module, function: &Function, options: &Options, report: &mut Report) -> KernelFunction {
    let lowered = report.step(LOWER, kernels, |_| crate::lower::lower(module, function));
    fuse_all(function, lowered, options, report)
}

/// The kernels of a function for every batch size up to the largest, fused.
///
/// # Errors
/// E0729 at a node that computes with the batch size in a way that kernels cannot.
///
/// # Panics
/// As [`optimise`].
pub fn lower_range(
    module: &Module,
    function: &Function,
    largest: usize,
    options: &Options,
    report: &mut Report,
) -> Result<KernelFunction, Diagnostic> {
    let size = |lowered: &Result<KernelFunction, Diagnostic>| lowered.as_ref().map_or(0, kernels);
    let lowered = report.step(LOWER, size, |_| crate::lower::lower_range(module, function, Some(largest)))?;
    Ok(fuse_all(function, lowered, options, report))
}

fn kernels(f: &KernelFunction) -> usize {
    f.kernels.len()
}

/// Runs the passes of kernels on what a function was lowered to.
fn fuse_all(
    function: &Function,
    lowered: KernelFunction,
    options: &Options,
    report: &mut Report,
) -> KernelFunction {
    let mut current = lowered;
    watch(LOWER, options, function, &current);
    report.keep(LOWER, options, &current);
    for pass in fuse::PASSES.into_iter().filter(|pass| options.runs(pass)) {
        let before = options.verify_each.then(|| current.clone());
        current = report.step(pass, kernels, |report| {
            fuse::run(&mut current, pass, &mut report.fusion);
            fuse::dead::remove(&mut current);
            fuse::renumber(&mut current);
            current
        });
        if let Some(before) = before {
            watch(pass, options, &before, &current);
        }
        report.keep(pass, options, &current);
    }
    current
}

/// Verifies what a pass made of `before`, if options say so.
fn watch(pass: &str, options: &Options, before: &dyn std::fmt::Display, after: &KernelFunction) {
    if options.verify_each
        && let Err(errors) = kernel::verify(after)
    {
        panic!("`{pass}` broke a function\n{errors}\nbefore\n{before}\n\nafter\n{after}");
    }
}

#[cfg(test)]
mod tests;
