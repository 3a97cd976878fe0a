//! Names in C.

use std::collections::BTreeMap;

use super::interface::FUNCTIONS;
use super::{ArtefactSource, EntrySource};
use crate::diagnostic::Diagnostic;

/// How an argument is passed in C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ArgumentType {
    /// By its address.
    Address,
    /// By value: a scalar that is read.
    Value,
}

/// Words that cannot be names in C or C++, or that mean something in every program.
#[rustfmt::skip]
const RESERVED: &[&str] = &[
    "alignas", "alignof", "and", "and_eq", "asm", "auto", "bitand", "bitor", "bool", "break", "case", "catch",
    "char", "class", "compl", "concept", "const", "consteval", "constexpr", "constinit", "continue", "co_await",
    "co_return", "co_yield", "decltype", "default", "delete", "do", "double", "dynamic_cast", "else", "enum",
    "explicit", "export", "extern", "false", "float", "for", "friend", "goto", "if", "inline", "int", "long",
    "main", "mutable", "namespace", "new", "noexcept", "not", "not_eq", "nullptr", "operator", "or", "or_eq",
    "private", "protected", "public", "register", "reinterpret_cast", "requires", "restrict", "return", "short",
    "signed", "sizeof", "static", "static_assert", "static_cast", "struct", "switch", "template", "this",
    "thread_local", "throw", "true", "try", "typedef", "typeid", "typename", "typeof", "union", "unsigned", "using",
    "virtual", "void", "volatile", "wchar_t", "while", "xor", "xor_eq", "size_t", "int8_t", "int32_t", "int64_t",
    "uint8_t", "uint32_t", "uint64_t", "errno", "NULL", "linux", "unix",
];

/// The most bytes of a name: what every C compiler tells apart.
const LONGEST: usize = 63;

/// Refuses a name that C functions cannot begin with.
///
/// # Errors
/// E0721.
pub fn check_name(name: &str) -> Result<(), Diagnostic> {
    let refused = |why: &str| {
        Err(Diagnostic::new("E0721", format!("`{name}` cannot be the name of a library"))
            .note(why)
            .help("choose another with `--name`, such as `mnist`"))
    };
    let mut bytes = name.bytes();
    if !bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        || !bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        return refused("a name consists of ASCII letters, digits and `_`, and begins with a letter");
    }
    if name.len() > LONGEST {
        return refused("a name has at most 63 characters");
    }
    if RESERVED.contains(&name) {
        return refused("the word is reserved in C or C++, or by its library");
    }
    if name.starts_with("bessemer") {
        return refused("names that begin with `bessemer` are those of the runtime");
    }
    Ok(())
}

/// The name of an entry point, argument or variable as a part of a C identifier: what no identifier may have becomes `_`.
pub(super) fn identifier(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// The name of an argument as a C identifier of its own.
pub(super) fn argument(name: &str) -> String {
    let identifier = identifier(name);
    let is_bad = identifier.starts_with(|c: char| c.is_ascii_digit())
        || RESERVED.contains(&identifier.as_str())
        || ["n", "model", "context", "state", "scratch"].contains(&identifier.as_str());
    if is_bad || identifier.is_empty() { format!("arg_{identifier}") } else { identifier }
}

/// The names of an entry point's arguments in C, in order, each once.
pub(super) fn arguments(entry: &EntrySource) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for tensor in entry.arguments() {
        let name = argument(&tensor.name);
        let is_free = |name: &String| !names.contains(name);
        let free = (2..).map(|n| format!("{name}{n}"));
        let name = std::iter::once(name.clone()).chain(free).find(is_free);
        names.extend(name);
    }
    names
}

/// Refuses entry points whose C functions would have the name of another, or of what there is in every library.
///
/// # Errors
/// E0722.
pub(super) fn check_entries(source: &ArtefactSource) -> Result<(), Diagnostic> {
    let mut known: BTreeMap<String, String> = FUNCTIONS
        .iter()
        .map(|f| f.name)
        .chain(["status", "tensor", "entry_info", "dtype", "context"])
        .map(|name| (name.to_owned(), format!("`{}_{name}`, which every library has", source.name)))
        .collect();
    for entry in &source.entries {
        let identifier = identifier(&entry.name);
        let clash = match known.insert(identifier.clone(), format!("that of `@{}`", entry.name)) {
            Some(other) => Some(other),
            None if identifier.starts_with("raw_") => Some("one of the freestanding functions".into()),
            None => None,
        };
        if let Some(other) = clash {
            let message = format!("the C function of `@{}` would have the name of another", entry.name);
            return Err(Diagnostic::new("E0722", message)
                .note(format!("`{}_{identifier}` is {other}", source.name))
                .help("rename the function in the model, or leave it out with `--entry`"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_c_and_cpp_allow() {
        for name in ["mnist", "m", "Resnet_50", "init"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        let long = "x".repeat(64);
        for name in ["", "1x", "_x", "a-b", "é", "a b", "class", "int", "bessemer", "bessemer1_create", &long]
        {
            assert_eq!(check_name(name).unwrap_err().code, "E0721", "{name}");
        }
    }

    #[test]
    fn arguments_are_no_reserved_words() {
        assert_eq!(argument("x"), "x");
        assert_eq!(argument("hidden1/kernel.0"), "hidden1_kernel_0");
        assert_eq!(argument("class"), "arg_class");
        assert_eq!(argument("0"), "arg_0");
        assert_eq!(argument("n"), "arg_n");
    }
}
