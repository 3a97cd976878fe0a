//! The command line: one file per subcommand.
//!
//! Exit codes: 0 for success, 1 if something is wrong with a model or a run, 2 if the command was used wrongly or a file
//! cannot be read.

mod bench;
mod compile;
mod inspect;
mod table;
mod verify;

use std::io::{ErrorKind, Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bessemer::artefact::{FOLD_SCALES, with_fixed_weights};
use bessemer::compile::{Model, options, target};
use bessemer::graph::Module;
use bessemer::prelude::OptLevel;
use bessemer::{Error, Session};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// Turns a neural network and its training step into native code.
#[derive(Parser)]
#[command(name = "bessemer", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Verify(verify::Args),
    Inspect(inspect::Args),
    Bench(bench::Args),
    Compile(Box<compile::Args>),
}

/// Which model, and how it is compiled.
#[derive(Args)]
struct ModelArgs {
    /// Text of the model
    #[arg(value_name = "MODEL.bsm")]
    model: PathBuf,
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
    /// Level of the CPU: native, x86-64-v2, x86-64-v3, x86-64-v4, or generic on other architectures
    #[arg(long, value_name = "CPU", default_value = "native")]
    target_cpu: String,
    /// Make variables constants, as `compile --weights fixed` does, with the values that `init` gives them; functions that
    /// assign variables are left out
    #[arg(long)]
    fixed_weights: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Level {
    /// Every node as it stands
    #[value(name = "0")]
    O0,
    /// Nothing is computed twice or in vain
    #[value(name = "1")]
    O1,
    /// Algebraic laws, and fusion where a value has one reader
    #[value(name = "2")]
    O2,
    /// Fusion of kernels that share rows
    #[value(name = "3")]
    O3,
}

impl From<Level> for OptLevel {
    fn from(level: Level) -> OptLevel {
        match level {
            Level::O0 => OptLevel::O0,
            Level::O1 => OptLevel::O1,
            Level::O2 => OptLevel::O2,
            Level::O3 => OptLevel::O3,
        }
    }
}

impl ModelArgs {
    fn load(&self) -> Result<Module, Failure> {
        let module = load(&self.model)?;
        if !self.fixed_weights {
            return Ok(module);
        }
        let session = Session::builder(&module).threads(1).build()?;
        session.init(1)?;
        Ok(with_fixed_weights(&module, &[], |name| session.variable(name))?)
    }

    /// The passes that run only if they are asked for, and are.
    fn enabled(&self) -> Vec<String> {
        let asked = self.enable_pass.iter().cloned();
        asked.chain(self.fixed_weights.then(|| FOLD_SCALES.to_owned())).collect()
    }

    fn prepare(&self, module: &Module) -> Result<Model, Failure> {
        let options =
            options(self.opt_level.into(), &self.enabled(), &self.disable_pass).map_err(Failure::usage)?;
        let target = target(&self.target_cpu).map_err(Failure::usage)?;
        Ok(Model::new(module, options, target)?)
    }
}

/// Why a command failed.
struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    /// The command was used wrongly, or a file cannot be read.
    fn usage(error: impl ToString) -> Failure {
        Failure { text: error.to_string(), code: 2 }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure { text: error.to_string(), code: 1 }
    }
}

/// The module in a file.
fn load(path: &Path) -> Result<Module, Failure> {
    bessemer::load(path).map_err(|error| match error.code() {
        "E0801" => Failure::usage(error),
        _ => error.into(),
    })
}

/// Writes to standard output. That nobody reads it to the end is no error.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::usage(format!("error: cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Does what the command line says.
pub fn run() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Verify(args) => verify::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Compile(args) => compile::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If nobody reads errors, the exit code is all there is.
            let _ = writeln!(stderr(), "{}", failure.text);
            ExitCode::from(failure.code)
        }
    }
}
