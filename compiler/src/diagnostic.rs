//! Errors that say what, where and how to mend, in rustc's form.
//!
//! Everything that can be wrong with what a user wrote is a [`Diagnostic`]. They are collected, sorted and rendered
//! together; a panic is our own bug. Codes are `E` and four digits: `E01` syntax, `E02` types, `E03` structure of a
//! module, `E04` differentiation, `E05` training declarations, `E06` binding of the batch size, `E07` feeds and fetches,
//! `E08` files; `K01` and on are Kernel IR.

use std::fmt;
use std::ops::Range;
use std::panic::Location;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

/// A text that was parsed, kept to show its lines in errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Name of the file, as the user gave it.
    pub name: String,
    /// The whole text.
    pub text: String,
}

/// Where in what the user wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Nowhere in particular.
    #[default]
    Unknown,
    /// Bytes of a text.
    Text(Range<usize>),
    /// A line of the Rust program that called the builder.
    Rust(&'static Location<'static>),
}

/// A place with a remark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub place: Place,
    /// What is to be seen there; may be empty.
    pub text: String,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Such as `E0203`.
    pub code: &'static str,
    /// What, in lower case, without a full stop.
    pub message: String,
    /// Where: the first is the primary place.
    pub labels: Vec<Label>,
    /// Facts that help to understand.
    pub notes: Vec<String>,
    /// How to mend it.
    pub helps: Vec<String>,
}

/// How many errors are collected at most: more are of no use to a reader.
pub const MAX_ERRORS: usize = 50;

/// The most characters that a message, remark, note or help has.
const LONGEST: usize = 500;

/// The beginning of a text that holds something of the user's, which may be of any length.
fn shorten(text: impl Into<String>) -> String {
    let mut text = text.into();
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Texts longer than 500 characters are cut off.
impl Diagnostic {
    /// An error without a place.
    pub fn new(code: &'static str, message: impl Into<String>) -> Diagnostic {
        Diagnostic {
            code,
            message: shorten(message),
            labels: Vec::new(),
            notes: Vec::new(),
            helps: Vec::new(),
        }
    }

    /// Adds a place with a remark; the first one added is the primary one.
    #[must_use]
    pub fn at(mut self, place: Place, text: impl Into<String>) -> Diagnostic {
        self.labels.push(Label { place, text: shorten(text) });
        self
    }

    /// Gives the primary place, if there is none yet, and its remark if that is empty.
    #[must_use]
    pub fn or_at(mut self, place: &Place) -> Diagnostic {
        match self.labels.first_mut() {
            None => self.labels.push(Label { place: place.clone(), text: String::new() }),
            Some(label) if label.place == Place::Unknown => label.place = place.clone(),
            Some(_) => {}
        }
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Diagnostic {
        self.notes.push(shorten(text));
        self
    }

    /// Adds a way to mend it.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Diagnostic {
        self.helps.push(shorten(text));
        self
    }

    /// The error as text; lines of `source` are shown where places are in it.
    pub fn render(&self, source: Option<&Source>) -> String {
        let title = Level::ERROR.primary_title(&self.message).id(self.code);
        let mut group = Group::with_title(title);
        let mut snippet: Option<Snippet<'_, _>> = None;
        let mut origins = Vec::new();
        for (i, label) in self.labels.iter().enumerate() {
            match (&label.place, source) {
                (Place::Text(range), Some(source)) => {
                    let kind = if i == 0 { AnnotationKind::Primary } else { AnnotationKind::Context };
                    let end = range.end.min(source.text.len());
                    let span = range.start.min(end)..end;
                    let base = snippet
                        .take()
                        .unwrap_or_else(|| Snippet::source(&source.text).path(&source.name).fold(true));
                    snippet = Some(base.annotation(kind.span(span).label(&label.text)));
                }
                (Place::Rust(at), _) => {
                    origins.push((format!("{}:{}:{}", at.file(), at.line(), at.column()), &label.text));
                }
                _ => origins.push((String::new(), &label.text)),
            }
        }
        if let Some(snippet) = snippet {
            group = group.element(snippet);
        }
        let mut lines = Vec::new();
        for (origin, text) in &origins {
            match (origin.is_empty(), text.is_empty()) {
                (true, true) => {}
                (true, false) => lines.push((*text).clone()),
                (false, true) => lines.push(format!("at {origin}")),
                (false, false) => lines.push(format!("at {origin}: {text}")),
            }
        }
        for line in &lines {
            group = group.element(Level::NOTE.message(line));
        }
        for note in &self.notes {
            group = group.element(Level::NOTE.message(note));
        }
        for help in &self.helps {
            group = group.element(Level::HELP.message(help));
        }
        Renderer::plain().render(&[group])
    }
}

/// One or more errors, with the text they are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostics {
    /// The text, where there is one.
    pub source: Option<Arc<Source>>,
    /// At least one error, in order of their places.
    pub errors: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Errors about `source`; `Ok` if there are none. They are put in order of their places, and the first
    /// [`MAX_ERRORS`] are kept.
    ///
    /// # Errors
    /// The collected errors, if any.
    pub fn check(source: Option<Arc<Source>>, mut errors: Vec<Diagnostic>) -> Result<(), Diagnostics> {
        if errors.is_empty() {
            return Ok(());
        }
        errors.sort_by_key(|e| match e.labels.first().map(|l| &l.place) {
            Some(Place::Text(range)) => range.start,
            _ => usize::MAX,
        });
        errors.dedup();
        errors.truncate(MAX_ERRORS);
        Err(Diagnostics { source, errors })
    }

    /// The code of the first error.
    pub fn code(&self) -> &'static str {
        self.errors.first().map_or("", |e| e.code)
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(error: Diagnostic) -> Diagnostics {
        Diagnostics { source: None, errors: vec![error] }
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            f.write_str(&error.render(self.source.as_deref()))?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_in_the_form_of_rustc() {
        let text = "func @layer(%x: f32[32,784], %w: f32[784,128]) {\n  %0 = matmul %x, %w\n}\n";
        let source = Source { name: "layer.bsm".into(), text: text.into() };
        let error = Diagnostic::new("E0203", "matmul operands disagree on the contracted axis")
            .at(Place::Text(56..62), "`%x` is f32[32,784], `%w` is f32[128,784]: 784 ≠ 128")
            .note("`%w` is declared above")
            .help("transpose `%w`");
        let rendered = error.render(Some(&source));
        let expected = "\
error[E0203]: matmul operands disagree on the contracted axis
 --> layer.bsm:2:8
  |
2 |   %0 = matmul %x, %w
  |        ^^^^^^ `%x` is f32[32,784], `%w` is f32[128,784]: 784 ≠ 128
  |
  = note: `%w` is declared above
  = help: transpose `%w`";
        assert_eq!(rendered, expected);
    }
}
