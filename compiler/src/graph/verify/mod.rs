//! The verifier: what holds of every module after parsing, after building and after every pass.
//!
//! Names
//! 1. Names of variables, functions, training steps and values are such as text can write; those of parameters of
//!    functions and training steps and of results are words, since callers write them in C. (E0316)
//! 2. Variables, functions and training steps share one namespace, in which each name is declared once. (E0301)
//! 3. Names of values are unique within a function and are not numbers, which stand for values without a name; names of
//!    results are unique within a function. (E0302, E0316, E0314)
//!
//! Types
//! 4. Every type has at most 32 axes and 2⁴⁰ elements (for N = 1, extents of 0 counted as 1), and a dtype that can be
//!    computed with. (E0221, E0224)
//! 5. The types of variables have fixed extents. (E0310)
//! 6. In the types of parameters and results of an entry point, N is in the extent of the first axis only. A function is
//!    an entry point unless an op refers to it. (E0309)
//!
//! Nodes
//! 7. Parameters, nodes and values refer to each other: a parameter is the value that it says, and each result of a node
//!    too; a node has at least one result. (E0318)
//! 8. Operands, results of the function and assigned values are values of the function; an operand is a parameter or a
//!    result of an earlier node. (E0306, E0318)
//! 9. The op accepts the operands, and gives the results' types. (E02xx of the op, E0220)
//!
//! Assignments
//! 10. A variable that is assigned exists, has the type of its new value, and is assigned once. (E0304, E0312, E0311)
//!
//! Training steps
//! 11. The function to minimize exists, and its first result is a float scalar; nothing of another type can be
//!     minimized. (E0501, E0504)
//! 12. Names of parameters are unique among those of the training step and of the loss. (E0302)
//! 13. Arguments refer to parameters of the training step and to variables that exist; so does `over`, to each variable
//!     once. (E0502, E0503)
//! 14. There is an optimizer. (E0505)
//!
//! Errors are collected, with the places of what they are about: a text, or the line of the Rust program that called the
//! builder.

mod function;
mod train;

pub use function::{locate, verify_function};

use std::collections::{HashMap, HashSet};

use super::Module;
use crate::diagnostic::{Diagnostic, Diagnostics, MAX_ERRORS, Place};
use crate::text::{is_name, is_word};
use crate::types::{DType, Extent, MAX_ELEMENTS, MAX_RANK, TensorType};

/// Checks everything that the list above names.
///
/// # Errors
/// All that does not hold.
pub fn verify(module: &Module) -> Result<(), Diagnostics> {
    let mut errors = Vec::new();
    names(module, &mut errors);
    for variable in module.variables.values() {
        let located = |e: Diagnostic| e.at(variable.place.clone(), "");
        errors.extend(check_type(&variable.ty).err().map(located));
        if variable.ty.shape.as_fixed().is_none() {
            let message = format!("the variable `@{}` has an extent that depends on N", variable.name);
            errors.push(
                located(Diagnostic::new("E0310", message))
                    .note(format!("it is {}", variable.ty))
                    .help("a variable outlives the call that N is the batch size of; give it fixed extents"),
            );
        }
    }
    let operands: HashSet<String> =
        module.functions.values().flat_map(|f| f.nodes.values()).flat_map(|n| n.op.symbols()).collect();
    let variables = module.variables.values().map(|v| (v.name.as_str(), v)).collect();
    for f in module.functions.values() {
        let is_entry = !operands.contains(&f.name);
        function::Checker::new(module, &variables, f, &mut errors).check(is_entry);
    }
    let losses = module.functions.values().map(|f| (f.name.as_str(), train::Loss::new(f))).collect();
    for step in &module.trains {
        // Each error looks through all names for the one that was meant.
        if errors.len() >= MAX_ERRORS {
            break;
        }
        train::check(step, &losses, &variables, &mut errors);
    }
    Diagnostics::check(module.source.clone(), errors)
}

/// Items 1 and 2 of the list.
fn names(module: &Module, errors: &mut Vec<Diagnostic>) {
    if !module.name.is_empty() && !is_name(&module.name) {
        errors.push(bad_name("module", '@', &module.name, &Place::Unknown));
    }
    let variables = module.variables.values().map(|v| ("variable", &v.name, &v.place));
    let functions = module.functions.values().map(|f| ("function", &f.name, &f.place));
    let trains = module.trains.iter().map(|t| ("training step", &t.name, &t.place));
    let mut known: HashMap<&str, &Place> = HashMap::new();
    for (kind, name, place) in variables.chain(functions).chain(trains) {
        if !is_name(name) {
            errors.push(bad_name(kind, '@', name, place));
        }
        match known.get(name.as_str()) {
            None => {
                known.insert(name, place);
            }
            Some(first) => errors.push(
                Diagnostic::new("E0301", format!("the name `@{name}` is declared twice"))
                    .at(place.clone(), format!("declared again here, as a {kind}"))
                    .at((*first).clone(), "first declared here"),
            ),
        }
    }
}

fn bad_name(kind: &str, sigil: char, name: &str, place: &Place) -> Diagnostic {
    Diagnostic::new("E0316", format!("invalid name `{sigil}{name}` of a {kind}"))
        .at(place.clone(), "")
        .note("a name consists of letters, digits, `_`, `.` and `/`, without `//`")
}

/// Checks that a parameter or result has a name that can be written in C.
fn check_word(kind: &str, name: &str, place: &Place, errors: &mut Vec<Diagnostic>) {
    if !is_word(name) {
        errors.push(
            Diagnostic::new("E0316", format!("invalid name `{name}` of a {kind}"))
                .at(place.clone(), "")
                .note(format!(
                    "the name of a {kind} consists of letters, digits and `_`, and begins with no digit"
                )),
        );
    }
}

/// Whether a name is a number, which stands for a value without a name.
pub fn is_number(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_digit())
}

/// Checks item 4 of the list: limits within which byte sizes and offsets never overflow.
///
/// # Errors
/// E0221 or E0224, without a place.
pub fn check_type(ty: &TensorType) -> Result<(), Diagnostic> {
    if ty.rank() > MAX_RANK {
        let message = format!("a tensor has at most {MAX_RANK} axes, found {}", ty.rank());
        return Err(Diagnostic::new("E0221", message));
    }
    let counted = ty.shape.0.iter().try_fold(1usize, |n, extent| {
        let (Extent::Const(c) | Extent::Batch(c)) = extent;
        n.checked_mul(*c.max(&1)).filter(|&n| n <= MAX_ELEMENTS)
    });
    if counted.is_none() {
        return Err(Diagnostic::new("E0221", format!("the type {ty} is too large"))
            .note(format!("a tensor has at most {MAX_ELEMENTS} elements")));
    }
    match ty.dtype {
        DType::F16 | DType::BF16 => {
            Err(Diagnostic::new("E0224", format!("{} is not supported yet", ty.dtype)).help("use f32"))
        }
        _ => Ok(()),
    }
}
