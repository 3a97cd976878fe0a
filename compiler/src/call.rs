//! Reading the arguments of a [`Call`]: initialisers, optimizers, their modifiers and schedules.

use crate::diagnostic::Diagnostic;
use crate::graph::{Argument, Call};

/// The arguments of a call by the names of its parameters: positional ones first, then named ones.
///
/// # Errors
/// E0501 for an argument that the word does not have or that is given twice.
pub fn arguments<'a, const N: usize>(
    call: &'a Call,
    params: [&str; N],
) -> Result<[Option<&'a Argument>; N], Diagnostic> {
    let mut found = [None; N];
    for (i, (name, argument)) in call.args.iter().enumerate() {
        let at = match name {
            None => (i < N).then_some(i),
            Some(name) => params.iter().position(|p| p == name),
        };
        let what = name.as_ref().map_or_else(|| format!("argument {i}"), |n| format!("argument `{n}`"));
        match at {
            Some(at) if found[at].is_none() => found[at] = Some(argument),
            Some(_) => {
                let message = format!("{what} of `{}` is given twice", call.name);
                return Err(Diagnostic::new("E0501", message).or_at(&call.place));
            }
            None => {
                let error =
                    Diagnostic::new("E0501", format!("`{}` has no {what}", call.name)).or_at(&call.place);
                return Err(match N {
                    0 => error.note("it takes none"),
                    _ => error.note(format!("its arguments are `{}`", params.join("`, `"))),
                });
            }
        }
    }
    Ok(found)
}

/// A number, or `default` if the argument is missing.
///
/// # Errors
/// E0502 if it is something else, or missing without a default.
pub fn number(
    call: &Call,
    name: &str,
    argument: Option<&Argument>,
    default: Option<f64>,
) -> Result<f64, Diagnostic> {
    match (argument, default) {
        (Some(Argument::Number(v)), _) => Ok(*v),
        (None, Some(default)) => Ok(default),
        (None, None) => Err(missing(call, name)),
        (Some(other), _) => Err(wrong(call, name, "a number", other)),
    }
}

/// The error for an argument that must be given.
pub fn missing(call: &Call, name: &str) -> Diagnostic {
    Diagnostic::new("E0502", format!("`{}` lacks the argument `{name}`", call.name))
        .or_at(&call.place)
        .help(format!("write `{}({name} = ..)`", call.name))
}

/// The error for an argument of the wrong kind.
pub fn wrong(call: &Call, name: &str, expected: &str, found: &Argument) -> Diagnostic {
    let found = match found {
        Argument::Number(_) => "a number",
        Argument::Bool(_) => "`true` or `false`",
        Argument::Text(_) => "a text",
        Argument::Param(_) => "a parameter",
        Argument::Variables(_) => "a list of variables",
        Argument::Call(_) => "a call",
    };
    Diagnostic::new(
        "E0502",
        format!("argument `{name}` of `{}` must be {expected}, found {found}", call.name),
    )
    .or_at(&call.place)
}

/// The error for a word that does not exist; `what` says of which kind, `known` which ones do.
pub fn unknown(call: &Call, what: &str, known: &[&str]) -> Diagnostic {
    Diagnostic::new("E0503", format!("there is no {what} `{}`", call.name))
        .or_at(&call.place)
        .note(format!("there are `{}`", known.join("`, `")))
}
