//! The parser of modules: text to syntax ([`syntax`]), syntax to a module ([`resolve`]), then the
//! [verifier](super::verify).
//!
//! ```text
//! module     = [ "module" SYMBOL ] { variable | function | train }
//! variable   = "var" SYMBOL ":" type "=" call [ "{" "trainable" "=" BOOL "}" ]
//! function   = "func" SYMBOL "(" [ param { "," param } ] ")" [ "->" results ] "{" { statement } return "}"
//! param      = VALUE ":" type
//! results    = result | "(" [ result { "," result } ] ")"
//! result     = [ WORD ":" ] type
//! statement  = node | assign
//! node       = VALUE { "," VALUE } "=" WORD { SYMBOL } [ "," ] [ VALUE { "," VALUE } ] [ attributes ] [ types ]
//! attributes = "{" [ WORD "=" attribute { "," WORD "=" attribute } ] "}"
//! types      = ":" type { "," type }
//! assign     = "assign" SYMBOL "," VALUE
//! return     = "return" [ VALUE { "," VALUE } ]
//! train      = "train" SYMBOL "(" [ param { "," param } ] ")" "=" "minimize" SYMBOL
//!              [ "over" variables ] "with" call { "," call }
//! variables  = "(" SYMBOL { "," SYMBOL } ")"
//! call       = WORD [ "(" [ argument { "," argument } ] ")" ]
//! argument   = [ WORD "=" ] ( NUMBER | BOOL | STRING | VALUE | variables | call )
//! type       = WORD "[" [ extent { "," extent } ] "]"
//! extent     = INTEGER | "N" | INTEGER "*" "N"
//! attribute  = NUMBER | BOOL | STRING | WORD | extent | "[" [ attribute { "," attribute } ] "]"
//! ```
//!
//! The tokens are those of [`text`](crate::text). A list in brackets may end with a comma. Every statement but the first
//! begins a line, and the first operand of a node stands on the line of its op: a name at the start of a line begins the
//! next node.
//!
//! Errors are collected: all of syntax or, where there are none, all of names and types or, where there are none, all
//! that the verifier finds. So an error never follows from another.

mod parts;
mod read;
mod resolve;
mod syntax;

use std::sync::Arc;

use super::{Module, verify};
use crate::diagnostic::{Diagnostics, Source};

impl Module {
    /// The module that `text` says; `name` names the text in errors.
    ///
    /// # Errors
    /// Every error of syntax (E01xx), else every error of names and types (E02xx, E03xx), else everything that the
    /// verifier finds. Time and memory are linear in the length of the text, but for those of the constants in it and of
    /// the search for variables by name.
    pub fn parse(name: &str, text: &str) -> Result<Module, Diagnostics> {
        let file = read::read(name, text)?;
        let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned() });
        let module = resolve::resolve(file, source)?;
        verify::verify(&module)?;
        Ok(module)
    }
}

#[cfg(test)]
mod tests;
