//! `bessemer compile`: a model as a native library.

use std::path::{Path, PathBuf};

use bessemer::Error;
use bessemer::artefact::{
    ArtefactOptions, BatchSizes, FOLD_SCALES, Kind, Linker, Output, Reports, Weights, artefact_source,
    with_checkpoint, with_constants_in_variables, with_first_weights_fixed, with_training,
};
use bessemer::compile::{Model, levels, options};
use bessemer::compiler::artefact::{self, Artefact, ArtefactSource};
use bessemer::compiler::codegen::Target;
use bessemer::compiler::train::split;
use clap::ValueEnum;

use super::table::{Align, Table, grouped};
use super::{Failure, Level, load, print};

/// Compile a model and its training step to a native library with a C header
///
/// All files begin with the path after -o: `-o build/mnist` makes build/mnist.so, build/mnist.h and so on. The header says
/// how to call the library.
#[derive(clap::Args)]
pub struct Args {
    /// Text of the model
    #[arg(value_name = "MODEL.bsm")]
    model: PathBuf,
    /// Where the files go, without what follows the first `.` in their names; default: the library's name
    #[arg(short, long, value_name = "PREFIX")]
    output: Option<PathBuf>,
    /// What to make
    #[arg(long, value_name = "KINDS", value_delimiter = ',', default_value = "so,header")]
    emit: Vec<Emit>,
    /// Name of the library, with which all its C names begin; default: the last part of -o, or the model's name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Entry points to compile; default: all
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    entry: Vec<String>,
    /// Add a training step that minimizes a function of the model, or softmax_cross_entropy, sigmoid_cross_entropy or
    /// mean_squared_error of the first result of `predict` (logits for the first two) and a parameter `y`
    #[arg(long, value_name = "LOSS")]
    loss: Option<String>,
    /// Optimizer of all training steps, such as adam:lr=1e-3
    #[arg(long, value_name = "OPTIMIZER")]
    optimizer: Option<String>,
    /// Compile each training step in two parts, too: STEP_grad gives the gradients, STEP_apply takes gradients and updates
    #[arg(long)]
    split: bool,
    /// Batch sizes, the N in the model: `32`; a list `1,32`, each with code of its own; or all from one to another `1..64`,
    /// with one code that is told the batch size
    #[arg(long, value_name = "SIZES", default_value = "32")]
    batch: String,
    /// Triple of the target, such as aarch64-unknown-linux-gnu; default: this machine
    #[arg(long, value_name = "TRIPLE")]
    target: Option<String>,
    /// Level of the CPU: native (all that this machine has), x86-64-v2, x86-64-v3, x86-64-v4, a list of levels such as v2,v3 of which the best is taken
    /// at run time, or generic on other architectures; default: native, or for another target x86-64-v3 or generic
    #[arg(long, value_name = "CPU", value_delimiter = ',')]
    target_cpu: Vec<String>,
    /// Features of the CPU that code may use, or not, beside those of its level: `+avx2,-fma`. A library is refused with a
    /// status by a CPU that lacks one
    #[arg(long, value_name = "FEATURES", allow_hyphen_values = true)]
    target_features: Option<String>,
    /// Whether kernels may run on several threads
    #[arg(long, value_name = "WHERE", default_value = "auto")]
    threads: Threads,
    /// Where the values of variables with `file(..)` come from, or of all that are `fixed`
    #[arg(long, value_name = "WHERE", default_value = "embed")]
    weights: WeightsArg,
    /// Take the first values of all variables from a checkpoint: a file that a library has saved
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Constants that may be changed while the library is used, by name: numbers of training steps (learning_rate,
    /// weight_decay, momentum, beta1, clip_norm, ...) and named constants of functions, such as dropout_rate; none: all are
    /// fixed
    #[arg(long, value_name = "CONSTANTS", value_delimiter = ',', default_value = "learning_rate")]
    mutable: Vec<String>,
    /// Object file or static library with the runtime for another target
    #[arg(long, value_name = "FILE")]
    runtime: Option<PathBuf>,
    /// C compiler that links
    #[arg(long, value_name = "CC", default_value = "cc")]
    linker: String,
    /// How much is done to make the code fast
    #[arg(short = 'O', long, value_name = "LEVEL", default_value = "3")]
    opt_level: Level,
    /// Run a pass of the compiler that runs only if it is asked for; may be given several times. `recompute`: what is kept
    /// over the peak of memory and costs little is computed again instead
    #[arg(long, value_name = "PASS")]
    enable_pass: Vec<String>,
    /// Leave out a pass of the compiler; may be given several times
    #[arg(long, value_name = "PASS")]
    disable_pass: Vec<String>,
    /// Tell how long each pass took
    #[arg(long)]
    print_pass_times: bool,
    /// Tell what was fused into what, and what was not, and why
    #[arg(long)]
    print_fusion: bool,
    /// Print every function as it is after this pass, before everything else; may be given several times
    #[arg(long, value_name = "PASS")]
    dump_ir: Vec<String>,
    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Emit {
    /// Shared library with the runtime in it
    So,
    /// C header
    Header,
    /// Freestanding object file: refers to nothing
    Obj,
    /// Static library
    Staticlib,
    /// Cranelift's intermediate form
    Ir,
    /// Instructions
    Asm,
    /// File for pkg-config
    Pkgconfig,
    /// File for CMake's find_package
    Cmake,
}

impl From<Emit> for Kind {
    fn from(emit: Emit) -> Kind {
        match emit {
            Emit::So => Kind::Shared,
            Emit::Header => Kind::Header,
            Emit::Obj => Kind::Object,
            Emit::Staticlib => Kind::Static,
            Emit::Ir => Kind::Ir,
            Emit::Asm => Kind::Assembly,
            Emit::Pkgconfig => Kind::PkgConfig,
            Emit::Cmake => Kind::CMake,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Threads {
    /// As many as there are cores for the process
    Auto,
    /// The calling thread only
    None,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum WeightsArg {
    /// They are in the library, and `init` copies them
    Embed,
    /// Whoever uses the library sets or loads them
    External,
    /// They are constants of the code, which nothing changes: for functions that only predict. What scales the result of a
    /// contraction, such as batch norm, is folded into them, which regroups sums and so rounds otherwise
    Fixed,
}

pub fn run(args: &Args) -> Result<(), Failure> {
    let batch: BatchSizes = args.batch.parse().map_err(Error::from).map_err(Failure::usage)?;
    let features = args.target_features.as_deref();
    let targets = levels(args.target.as_deref(), &args.target_cpu, features).map_err(Failure::usage)?;
    let is_fixed = args.weights == WeightsArg::Fixed;
    let mut enabled = args.enable_pass.clone();
    if is_fixed {
        enabled.push(FOLD_SCALES.to_owned());
    }
    let passes = options(args.opt_level.into(), &enabled, &args.disable_pass).map_err(Failure::usage)?;
    let passes = args.dump_ir.iter().try_fold(passes, |passes, pass| passes.dump(pass));
    let passes = passes.map_err(|error| Failure::usage(Error::from(error)))?;
    let mut written = load(&args.model)?;
    if let Some(checkpoint) = &args.checkpoint {
        written = with_checkpoint(&written, checkpoint);
    }
    let name = name(args, &written.name);
    artefact::check_name(&name).map_err(|e| Failure::usage(Error::from(e)))?;
    let written = with_training(&written, args.loss.as_deref(), args.optimizer.as_deref())
        .map_err(|error| if error.code() == "E0728" { Failure::usage(error) } else { error.into() })?;
    let constants: &[String] = if args.mutable == ["none"] { &[] } else { &args.mutable };
    let mut written = with_constants_in_variables(&written, constants).map_err(Failure::usage)?;
    if args.split {
        written = split(&written).map_err(Error::from)?;
    }
    if is_fixed {
        written = with_first_weights_fixed(&written, &args.entry)?;
    }
    let model = Model::new(&written, passes, targets[0].clone())?;
    let choices = ArtefactOptions {
        name: name.clone(),
        entries: args.entry.clone(),
        batch,
        weights: if args.weights == WeightsArg::External { Weights::External } else { Weights::Embed },
        threads: args.threads == Threads::Auto,
    };
    let (source, reports) = artefact_source(&written, &model, &choices)?;
    for (name, n, report) in &reports {
        for (pass, text) in &report.dumps {
            print(&format!("; @{name} at batch size {n} after {pass}\n{}\n\n", text.trim_end()))?;
        }
    }
    let artefact =
        artefact::compile(&source, &targets).map_err(|error| Error::from_compile(error, model.module()))?;

    let output = Output { prefix: prefix(args, &name) };
    let linker = Linker { program: args.linker.clone().into(), runtime: args.runtime.clone() };
    let mut files = Vec::new();
    for &emit in &args.emit {
        let kind = Kind::from(emit);
        let made = match kind {
            Kind::Ir | Kind::Assembly => {
                let listings = artefact::list(&source, &targets)
                    .map_err(|error| Error::from_compile(error, model.module()))?;
                output.write_listing(kind, &listings)
            }
            _ => output.write(kind, (&name, &artefact), &targets[0], &linker),
        };
        files.push(made.map_err(Failure::usage)?);
    }
    if args.quiet {
        return Ok(());
    }
    print(&report(args, (&source, &artefact), &reports, &targets, &files))
}

/// The name of the library.
fn name(args: &Args, module: &str) -> String {
    let of_output = || {
        let path = args.output.as_deref().filter(|path| !is_folder(path))?;
        Some(path.file_name()?.to_string_lossy().into_owned())
    };
    args.name.clone().or_else(of_output).unwrap_or_else(|| module.to_owned())
}

fn prefix(args: &Args, name: &str) -> PathBuf {
    match &args.output {
        None => name.into(),
        Some(path) if is_folder(path) => path.join(name),
        Some(path) => path.clone(),
    }
}

/// Whether a path says that files go into it.
fn is_folder(path: &Path) -> bool {
    path.is_dir() || path.as_os_str().to_string_lossy().ends_with('/')
}

fn report(
    args: &Args,
    (source, artefact): (&ArtefactSource, &Artefact),
    reports: &Reports,
    targets: &[Target],
    files: &[PathBuf],
) -> String {
    let cpus: Vec<String> = targets.iter().map(Target::cpu).collect();
    let mut text = format!("{} for {} ({})\n\n", source.name, targets[0].triple(), cpus.join(", "));
    let mut table = Table::new(&[
        ("entry point", Align::Left),
        ("n", Align::Right),
        ("unfused", Align::Right),
        ("kernels", Align::Right),
        ("FLOPs", Align::Right),
        ("arena, bytes", Align::Right),
    ]);
    for (entry, (name, n, report)) in artefact.program.entries.iter().zip(reports) {
        let lowered = report.steps.iter().find(|step| step.name == "lower").map_or(0, |step| step.size);
        let is_symbolic = source.entries.iter().any(|e| e.name == *name && e.is_symbolic);
        table.row([
            name.clone(),
            if is_symbolic { n.to_string() } else { String::new() },
            lowered.to_string(),
            entry.kernels.to_string(),
            grouped(entry.flops),
            grouped(entry.memory.arena_bytes as u64),
        ]);
    }
    text += &format!("{table}\n");
    let parameters = source.variables.iter().filter(|v| v.is_trained);
    let parameters: u64 = parameters
        .map(|v| v.stored.variable.ty.shape.bound().iter().map(|&e| e as u64).product::<u64>())
        .sum();
    text += &format!(
        "  {} parameters; {} bytes of state, {} bytes of scratch and {} more for each thread\n\n",
        grouped(parameters),
        grouped(artefact.layout.state_bytes),
        grouped(artefact.layout.scratch_bytes),
        grouped(artefact.layout.scratch_bytes_per_worker),
    );
    let mut table = Table::new(&[("file", Align::Left), ("bytes", Align::Right)]);
    for file in files {
        let bytes = std::fs::metadata(file).map_or(0, |data| data.len());
        table.row([file.display().to_string(), grouped(bytes)]);
    }
    text += &table.to_string();
    if args.print_fusion {
        for (name, n, report) in reports.iter().filter(|(_, _, report)| !report.fusion.lines.is_empty()) {
            text += &format!("\n  fusion of `{name}` at batch size {n}\n");
            text.extend(report.fusion.lines.iter().map(|line| format!("    {line}\n")));
        }
    }
    if args.print_pass_times {
        text += &format!("\n{}", times(reports, artefact));
    }
    text
}

/// How long each pass took, for all entry points together.
fn times(reports: &Reports, artefact: &Artefact) -> Table {
    let steps = reports.iter().flat_map(|(_, _, report)| &report.steps);
    let steps = steps.map(|step| (step.name, step.microseconds));
    let code = artefact.times.0.iter().map(|(name, time)| (*name, time.as_micros() as u64));
    let mut passes: Vec<(&str, u64)> = Vec::new();
    for (name, time) in steps.chain(code) {
        match passes.iter_mut().find(|(known, _)| *known == name) {
            Some((_, sum)) => *sum += time,
            None => passes.push((name, time)),
        }
    }
    let mut table = Table::new(&[("pass", Align::Left), ("µs", Align::Right)]);
    for (name, time) in &passes {
        table.row([(*name).to_owned(), grouped(*time)]);
    }
    table.row(["total".to_owned(), grouped(passes.iter().map(|(_, time)| time).sum())]);
    table
}
