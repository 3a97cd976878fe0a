//! The functions of a shared or static library: each calls the runtime's function that does its work.
//!
//! They are in an object file of their own, which refers to the freestanding one and to the runtime
//! (`runtime/artefact/lib.rs`). [`FUNCTIONS`] is the one list from which code and header are made.

use bessemer_runtime::abi::TEXT_BYTES;
use cranelift_codegen::ir::{InstBuilder, Type, types};
use cranelift_module::{DataDescription, DataId, FuncId, Linkage, Module};

use super::emit::{define, signature};
use super::raw::{argument_types, pack};
use super::{ArtefactSource, ArtefactVariable, names};
use crate::codegen::{CodegenError, Target};

/// A function that every library has.
pub(super) struct InterfaceFunction {
    /// Its name, without that of the library and `_`.
    pub(super) name: &'static str,
    /// What it returns, in C; `NAME` stands for the library's name.
    pub(super) result: &'static str,
    /// Its parameters: C type and name.
    pub(super) params: &'static [(&'static str, &'static str)],
    /// What it does, for the header.
    pub(super) doc: &'static str,
}

const fn function(
    result: &'static str,
    name: &'static str,
    params: &'static [(&'static str, &'static str)],
    doc: &'static str,
) -> InterfaceFunction {
    InterfaceFunction { name, result, params, doc }
}

/// An instance that is changed.
const MODEL: (&str, &str) = ("NAME *", "model");
/// An instance that is read.
const CONST_MODEL: (&str, &str) = ("const NAME *", "model");

/// Every function that a library has beside its entry points, in the order of the header.
#[rustfmt::skip]
pub(super) const FUNCTIONS: &[InterfaceFunction] = &[
    function("NAME_status", "create", &[("NAME **", "out")],
        "Makes an instance in *out. It owns its memory and threads: end it with NAME_destroy.\n\
         All variables are zero until NAME_init, NAME_load or the setters below."),
    function("void", "destroy", &[MODEL],
        "Ends an instance; NULL is ignored. No call on it may be in progress, and none may follow."),
    function("NAME_status", "init", &[MODEL, ("uint64_t", "seed")],
        "Gives all variables their first values and sets the step to 0. Random ones follow from\n\
         the seed, the same on every machine."),
    function("NAME_status", "get_variable", &[CONST_MODEL, ("const char *", "name"), ("void *", "out"), ("size_t", "count")],
        "Copies the `count` elements of a variable to `out`, row-major. Names, types and counts\n\
         are listed above. NAME_NOT_FOUND for another name, NAME_INVALID_ARGUMENT for another count."),
    function("NAME_status", "set_variable", &[MODEL, ("const char *", "name"), ("const void *", "values"), ("size_t", "count")],
        "Copies `count` elements to a variable."),
    function("NAME_status", "get_parameters", &[CONST_MODEL, ("void *", "out"), ("size_t", "bytes")],
        "Copies all parameters (the variables that training changes, without slots of optimizers)\n\
         to one block of NAME_PARAMETER_BYTES bytes, one after the other in the order above, each in\n\
         its own type, row-major and without gaps."),
    function("NAME_status", "set_parameters", &[MODEL, ("const void *", "values"), ("size_t", "bytes")],
        "Copies such a block to the parameters: for averages of several instances, for example."),
    function("NAME_status", "save", &[CONST_MODEL, ("const char *", "path")],
        "Saves all variables, seed and step to a file in the safetensors format. Whatever happens\n\
         meanwhile, the old file is there or the new one. NAME_IO if it cannot be written."),
    function("NAME_status", "load", &[MODEL, ("const char *", "path")],
        "Gives all variables, seed and step the values in such a file. It is checked as a whole\n\
         before anything changes: NAME_IO, NAME_MALFORMED, or NAME_PROGRAM_MISMATCH for a file of\n\
         another model, with the first difference in the text of the error."),
    function("NAME_status", "set_learning_rate", &[MODEL, ("double", "rate")],
        "Changes the learning rate of all training steps; it is a variable, and saved."),
    function("NAME_status", "get_learning_rate", &[CONST_MODEL, ("double *", "out")],
        "Tells the learning rate."),
    function("NAME_status", "set_constant", &[MODEL, ("const char *", "name"), ("double", "value")],
        "Changes a constant of training, all of them that have this name: a variable that is listed as\n\
         such above, by its name or by the last part of it. It is saved like any other variable."),
    function("NAME_status", "get_constant", &[CONST_MODEL, ("const char *", "name"), ("double *", "out")],
        "Tells the value of such a constant, the first one's if several have the name."),
    function("NAME_status", "get_step", &[CONST_MODEL, ("uint64_t *", "out")],
        "Tells how many calls that change variables were completed since NAME_init."),
    function("NAME_status", "set_step", &[MODEL, ("uint64_t", "step")],
        "Sets that number. Random operations depend on it."),
    function("NAME_status", "get_seed", &[CONST_MODEL, ("uint64_t *", "out")],
        "Tells the seed that NAME_init was given."),
    function("NAME_status", "set_num_threads", &[MODEL, ("uint32_t", "count")],
        "Runs kernels on so many threads, the calling one included; 0 means as many as there are\n\
         cores for this process, which is the default. Results have the same bits for any number."),
    function("uint32_t", "num_threads", &[CONST_MODEL],
        "Tells how many threads that is."),
    function("const char *", "last_error", &[],
        "Says why a function of this library last failed on the calling thread; \"\" if none did.\n\
         The text lives until the next failure on the thread."),
    function("const char *", "status_text", &[("NAME_status", "status")],
        "Says what a status means."),
    function("NAME_status", "check_header", &[("uint32_t", "abi_version"), ("uint64_t", "interface_hash")],
        "Refuses a library that this header was not made for: call\n\
         NAME_check_header(NAME_ABI_VERSION, NAME_INTERFACE) first where the library is loaded at run time."),
    function("size_t", "num_variables", &[],
        "How many variables there are, slots of optimizers included."),
    function("NAME_status", "describe_variable", &[("size_t", "index"), ("NAME_tensor *", "out")],
        "Describes a variable. NAME_NOT_FOUND beyond the last."),
    function("size_t", "num_entries", &[],
        "How many entry points there are."),
    function("NAME_status", "describe_entry", &[("size_t", "index"), ("NAME_entry_info *", "out")],
        "Describes an entry point."),
    function("NAME_status", "describe_argument", &[("size_t", "entry"), ("size_t", "index"), ("NAME_tensor *", "out")],
        "Describes an argument of an entry point: its parameters come first, then its results."),
    function("size_t", "batch_size", &[("size_t", "entry"), ("size_t", "index")],
        "A batch size that an entry point takes, ascending; 0 beyond the last."),
    function("uint64_t", "num_parameters", &[],
        "How many elements the parameters have together."),
    function("size_t", "state_bytes", &[],
        "Bytes of an instance's variables."),
    function("size_t", "scratch_bytes", &[CONST_MODEL],
        "Bytes that a call on the instance needs beside them; for NULL, on one thread."),
];

/// The functions of a library, of [`FUNCTIONS`]: those for constants, and for the learning rate, only where there is one.
pub(super) fn functions(source: &ArtefactSource) -> impl Iterator<Item = &'static InterfaceFunction> {
    let constants = || source.variables.iter().filter(|v| v.is_constant);
    let is_rate = |v: &ArtefactVariable| v.stored.variable.name.rsplit('/').next() == Some("learning_rate");
    let (has_any, has_rate) = (constants().next().is_some(), constants().any(is_rate));
    FUNCTIONS.iter().filter(move |f| match f.name.split_once('_') {
        Some((_, "constant")) => has_any,
        Some((_, "learning_rate")) => has_rate,
        _ => true,
    })
}

/// The runtime's symbol for the function that does the work of one of the interface.
pub(super) fn runtime_symbol(name: &str) -> String {
    format!("bessemer1_{name}")
}

/// The machine type of a C type.
fn machine_type(c: &str) -> Option<Type> {
    match c {
        "void" => None,
        "double" => Some(types::F64),
        "uint32_t" | "NAME_status" => Some(types::I32),
        _ => Some(types::I64),
    }
}

/// Emits all functions of a library into a module of its own.
///
/// # Errors
/// [`CodegenError::Module`] if Cranelift refuses them.
pub(super) fn emit(
    source: &ArtefactSource,
    module: &mut dyn Module,
    target: &Target,
) -> Result<(), CodegenError> {
    let artefact = artefact(source, module, target)?;
    for f in functions(source) {
        let params: Vec<Type> = f.params.iter().filter_map(|(ty, _)| machine_type(ty)).collect();
        let result = machine_type(f.result);
        let work = import(module, target, f.name, &params, result)?;
        let symbol = format!("{}_{}", source.name, f.name);
        define(module, target, (&symbol, Linkage::Export), (&params, result), |code, params| {
            let artefact = code.data(artefact);
            let given = code.call(work, &[&[artefact], params].concat());
            code.give_value(given);
        })?;
    }
    let params = [types::I64, types::I32, types::I64, types::I64];
    let call = import(module, target, "call", &params, Some(types::I32))?;
    for (at, entry) in source.entries.iter().enumerate() {
        let mut params = vec![types::I64];
        params.extend(argument_types(entry));
        let symbol = format!("{}_{}", source.name, names::identifier(&entry.name));
        define(module, target, (&symbol, Linkage::Export), (&params, Some(types::I32)), |code, params| {
            let artefact = code.data(artefact);
            let entry_number = code.number(types::I32, at as u64);
            let (n, args) = pack(code, entry, &params[1..]);
            let status = code.call(call, &[artefact, params[0], entry_number, n, args]);
            code.give_value(status);
        })?;
    }
    Ok(())
}

/// Declares a function of the runtime; the artefact is its first parameter.
fn import(
    module: &mut dyn Module,
    target: &Target,
    name: &str,
    params: &[Type],
    result: Option<Type>,
) -> Result<FuncId, CodegenError> {
    let params = [&[types::I64], params].concat();
    let signature = signature(target, (&params, result));
    Ok(module.declare_function(&runtime_symbol(name), Linkage::Import, &signature)?)
}

/// Defines what the runtime is given: see [`Artefact`](bessemer_runtime::abi::Artefact).
fn artefact(
    source: &ArtefactSource,
    module: &mut dyn Module,
    target: &Target,
) -> Result<DataId, CodegenError> {
    let name = &source.name;
    let text = module.declare_data(&format!("{name}.text"), Linkage::Local, true, true)?;
    let mut description = DataDescription::new();
    description.define_zeroinit(TEXT_BYTES);
    description.set_align(16);
    module.define_data(text, &description)?;
    let symbol = format!("{name}.thread_text");
    let ty = (&[][..], Some(types::I64));
    let thread_text = define(module, target, (&symbol, Linkage::Local), ty, |code, _| {
        let text = code.module.declare_data_in_func(text, code.b.func);
        let address = code.b.ins().tls_value(types::I64, text);
        code.give_value(Some(address));
    })?;

    let data = module.declare_data(&format!("{name}.artefact"), Linkage::Local, false, false)?;
    let mut description = DataDescription::new();
    description.define(vec![0; 5 * 8].into_boxed_slice());
    description.set_align(8);
    let program = module.declare_data(&format!("{name}_raw_program"), Linkage::Import, false, false)?;
    let program = module.declare_data_in_data(program, &mut description);
    description.write_data_addr(0, program, 0);
    let pointer = types::I64;
    let i32 = Some(types::I32);
    for (at, function, params) in [
        (1, "setup", &[pointer; 1][..]),
        (2, "init", &[pointer; 4]),
        (3, "call", &[pointer, pointer, pointer, types::I32, pointer, pointer]),
    ] {
        let signature = signature(target, (params, i32));
        let symbol = format!("{name}_raw_{function}");
        let func = module.declare_function(&symbol, Linkage::Import, &signature)?;
        let func = module.declare_func_in_data(func, &mut description);
        description.write_function_addr(8 * at, func);
    }
    let thread_text = module.declare_func_in_data(thread_text, &mut description);
    description.write_function_addr(8 * 4, thread_text);
    module.define_data(data, &description)?;
    Ok(data)
}
