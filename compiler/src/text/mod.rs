//! What both text forms share: tokens, a cursor over them, and the errors of syntax.
//!
//! # Tokens
//! | token | form |
//! |---|---|
//! | word | `[A-Za-z_][A-Za-z0-9_]*`, such as `kernel`, `f32`, `inf` |
//! | value | `%` and a name, such as `%3`, `%dense1/kernel` |
//! | symbol | `@` and a name, such as `@w/adam/m` |
//! | integer | decimal, or hexadecimal after `0x`; below 2⁶⁴. A sign is a token of its own |
//! | float | decimal with a fraction, an exponent or both: `1.5`, `1e-3` |
//! | string | `"…"` on one line, with the escapes `\"` `\\` `\n` `\r` `\t` `\0` `\u{…}` of Rust, which [`quote`] writes |
//! | punctuation | `(` `)` `{` `}` `[` `]` `<` `<=` `>` `,` `:` `=` `->` `*` `+` `-` |
//!
//! A name is `[A-Za-z0-9_./]+` without `//` in it. From `;` or `//` to the end of the line is a comment. Line ends mean
//! nothing but a place where [`Cursor::skip_statement`] goes on after an error.
//!
//! # Errors
//! | code | is |
//! |---|---|
//! | E0101 | another token than expected |
//! | E0102 | a number that is malformed or out of range |
//! | E0103 | a string that does not end on its line or has an unknown escape |
//! | E0104 | a character that starts no token |
//! | E0105 | brackets nested deeper than [`MAX_NESTING`] |
//! | E0106 | a word that names nothing, such as an unknown dtype |
//! | E0107 | a number or name that is out of turn, or taken |
//! | E0108 | a list of the wrong length |
//!
//! Time and memory are linear in the length of the text, and stack use is bounded, whatever the text.

mod cursor;
mod lexer;
mod literal;

pub use cursor::{Cursor, MAX_NESTING, Parsed};
pub use lexer::{Lexer, Punct, Token, TokenKind, is_name, is_word};
pub use literal::Literal;

/// The string as a token that the lexer reads back.
pub fn quote(text: &str) -> String {
    format!("{text:?}")
}
