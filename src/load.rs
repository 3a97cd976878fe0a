//! Modules from files.

use std::path::Path;

use bessemer_compiler::diagnostic::Diagnostic;
use bessemer_compiler::graph::Module;

use crate::error::Error;

/// The module that a text file says. Paths in it are relative to its folder.
///
/// # Errors
/// E0801 if the file cannot be read; E0802 if it is not UTF-8; what [`Module::parse`] finds wrong with it.
pub fn load(path: impl AsRef<Path>) -> Result<Module, Error> {
    let path = path.as_ref();
    let name = path.display();
    let bytes = std::fs::read(path)
        .map_err(|e| Diagnostic::new("E0801", format!("cannot read `{name}`")).note(e.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|e| {
        let end = e.utf8_error().valid_up_to();
        let before = &e.as_bytes()[..end];
        let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
        Diagnostic::new("E0802", format!("`{name}` is not UTF-8 text"))
            .note(format!("the first invalid byte is byte {end}, in line {line}"))
    })?;
    Ok(Module::parse(&name.to_string(), &text)?)
}
