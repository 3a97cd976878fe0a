//! Models that only predict, whose weights are constants.

use std::path::Path;

use bessemer_compiler::diagnostic::Diagnostic;
use bessemer_compiler::graph::{Argument, Call, Function, Module, Variable, Variables};
use bessemer_compiler::initializers;
use bessemer_compiler::ops::{Constant, Op};
use bessemer_compiler::tensor::Tensor;

use crate::error::{Error, names};
use crate::session::Session;

/// The pass that runs where weights are constants: it folds scales, such as those of batch norm, into them.
pub const FOLD_SCALES: &str = "fold-scales";

/// The module with the values of its variables as constants, which nothing changes any more: without variables, training
/// steps, and functions that assign. `values` are those of all variables.
///
/// # Errors
/// E0731 if an entry point that is named in `entries` assigns variables, or no function is left.
pub fn with_fixed_weights(
    module: &Module,
    entries: &[String],
    values: impl Fn(&str) -> Result<Tensor, Error>,
) -> Result<Module, Error> {
    let assigns = |name: &&String| {
        let function = module.functions.values().find(|f| f.name == **name);
        function.is_some_and(|f| !f.assigns.is_empty()) || module.trains.iter().any(|t| t.name == **name)
    };
    if let Some(name) = entries.iter().find(assigns) {
        let error = Diagnostic::new("E0731", format!("`@{name}` assigns variables, which are to be fixed"));
        return Err(error.help("name the functions that only predict with `--entry`").into());
    }
    let predicts = |f: &&Function| f.assigns.is_empty() && f.name != initializers::FUNCTION;
    let mut functions: Vec<Function> = module.functions.values().filter(predicts).cloned().collect();
    if functions.is_empty() {
        let error = Diagnostic::new("E0731", format!("`{}` has no function that only predicts", module.name));
        return Err(error.note("each of its functions assigns variables").into());
    }
    for node in functions.iter_mut().flat_map(|f| f.nodes.values_mut()) {
        if let Op::Read(read) = &node.op {
            node.op = Constant::new(values(&read.variable.0)?).into();
        }
    }
    Ok(Module {
        functions: functions.into_iter().collect(),
        variables: Variables::default(),
        trains: Vec::new(),
        ..module.clone()
    })
}

/// As [`with_fixed_weights`], with the first values that variables have by themselves: of files, or numbers.
///
/// # Errors
/// As [`with_fixed_weights`]; E0731 if first values are random; E0801 to E0804 for files.
pub fn with_first_weights_fixed(module: &Module, entries: &[String]) -> Result<Module, Error> {
    let random = module.variables.values().filter(|v| initializers::is_random(&v.init));
    let random: Vec<&str> = random.map(|v| v.name.as_str()).collect();
    if !random.is_empty() {
        let error = Diagnostic::new("E0731", "weights that are random at first cannot be fixed");
        return Err(error
            .note(names(random))
            .help("take their values from a checkpoint, with `--checkpoint FILE`, or give them `file(..)` in the model")
            .into());
    }
    let session = Session::builder(module).threads(1).build()?;
    session.init(0)?;
    with_fixed_weights(module, entries, |name| session.variable(name))
}

/// The module with first values of all variables from a checkpoint: a file that a library has saved, with a tensor for each
/// of them.
#[must_use]
pub fn with_checkpoint(module: &Module, checkpoint: &Path) -> Module {
    // A path in a model is relative to the folder of the model.
    let path = std::path::absolute(checkpoint).unwrap_or_else(|_| checkpoint.to_owned());
    let text = |text: String| (None, Argument::Text(text));
    let variables = module.variables.values().map(|variable| {
        let args = vec![text(path.to_string_lossy().into_owned()), text(variable.name.clone())];
        let init = Call { name: "file".to_owned(), args, place: variable.init.place.clone() };
        Variable { init, ..variable.clone() }
    });
    Module { variables: variables.collect(), ..module.clone() }
}
