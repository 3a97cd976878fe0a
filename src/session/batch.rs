//! Which feed is for which parameter, and the batch size that the feeds determine.

use bessemer_compiler::diagnostic::Diagnostic;
use bessemer_compiler::program::NamedType;
use bessemer_compiler::types::{Extent, TensorType};

use crate::error::names;
use crate::feed::Feed;

/// How an entry point is fed.
#[derive(Clone, Debug)]
pub(super) struct Signature {
    /// Its name.
    pub(super) entry: String,
    /// Its parameters, for any batch size.
    pub(super) params: Vec<NamedType>,
    /// Whether what it computes depends on the batch size.
    pub(super) is_symbolic: bool,
}

impl Signature {
    /// The feed of the n-th parameter, among feeds that were [checked](Signature::check).
    pub(super) fn feed<'f, 'a>(&self, n: usize, feeds: &'f [(&str, Feed<'a>)]) -> Option<&'f Feed<'a>> {
        feeds.iter().find(|(name, _)| *name == self.params[n].name).map(|(_, feed)| feed)
    }

    /// The feeds in the order of the parameters; those that are missing are left out.
    pub(super) fn in_order<'f, 'a>(
        &self,
        feeds: &'f [(&'f str, Feed<'a>)],
    ) -> impl Iterator<Item = &'f Feed<'a>> {
        (0..self.params.len()).filter_map(|n| self.feed(n, feeds))
    }

    /// Checks feeds and gives the batch size that they determine; 1 where nothing depends on it.
    ///
    /// # Errors
    /// E0703 for a parameter without a feed, E0704 for a feed without a parameter or a second one, E0705 if a feed does not
    /// have the dtype or shape of its parameter; E0706 if they disagree on the batch size, or it is needed and no
    /// parameter depends on it.
    pub(super) fn check(&self, feeds: &[(&str, Feed<'_>)]) -> Result<usize, Diagnostic> {
        self.check_names(feeds)?;
        let mut found: Option<(usize, usize)> = None;
        for (param, NamedType { name, ty }) in self.params.iter().enumerate() {
            let Some(feed) = self.feed(param, feeds) else { return Err(self.missing(param, feeds)) };
            let fits = fits(ty, feed).ok_or_else(|| self.wrong_type(name, ty, &feed.ty()))?;
            let Fit::Batch(n) = fits else { continue };
            match found {
                Some((first, known)) if known != n => {
                    return Err(self.disagree([(first, known), (param, n)], feeds));
                }
                Some(_) => {}
                None => found = Some((param, n)),
            }
        }
        match found {
            Some((_, n)) => Ok(n),
            None if !self.is_symbolic => Ok(1),
            None => {
                let message = format!("the feeds of `{}` do not determine the batch size", self.entry);
                Err(Diagnostic::new("E0706", message)
                    .note("it computes tensors whose extents depend on N, and none of its parameters does"))
            }
        }
    }

    fn check_names(&self, feeds: &[(&str, Feed<'_>)]) -> Result<(), Diagnostic> {
        let entry = &self.entry;
        for (n, (name, _)) in feeds.iter().enumerate() {
            if !self.params.iter().any(|p| p.name == *name) {
                let known = names(self.params.iter().map(|p| p.name.as_str()));
                return Err(Diagnostic::new("E0704", format!("`{entry}` has no parameter `{name}`"))
                    .note(format!("its parameters are: {known}")));
            }
            if feeds[..n].iter().any(|(before, _)| before == name) {
                return Err(Diagnostic::new(
                    "E0704",
                    format!("there are two feeds for `{name}` of `{entry}`"),
                )
                .help("leave one out"));
            }
        }
        Ok(())
    }

    fn missing(&self, param: usize, feeds: &[(&str, Feed<'_>)]) -> Diagnostic {
        let NamedType { name, ty } = &self.params[param];
        Diagnostic::new("E0703", format!("`{}` needs a feed for `{name}`", self.entry))
            .note(format!("`{name}` is {ty}"))
            .note(format!("the feeds are: {}", names(feeds.iter().map(|feed| feed.0))))
    }

    fn wrong_type(&self, name: &str, expected: &TensorType, found: &TensorType) -> Diagnostic {
        let error =
            Diagnostic::new("E0705", format!("the feed for `{name}` of `{}` has the wrong type", self.entry))
                .note(format!("expected {expected}, found {found}"));
        match expected.dtype == found.dtype {
            true => error,
            false => error.help(format!("convert the elements to {}", expected.dtype)),
        }
    }

    /// E0706: two parameters give two batch sizes.
    fn disagree(&self, found: [(usize, usize); 2], feeds: &[(&str, Feed<'_>)]) -> Diagnostic {
        let message = format!("the feeds of `{}` disagree on the batch size", self.entry);
        found.iter().fold(Diagnostic::new("E0706", message), |error, &(param, n)| {
            let NamedType { name, ty } = &self.params[param];
            let feed = self.feed(param, feeds).map(|f| f.ty().to_string()).unwrap_or_default();
            error.note(format!("`{name}` is {ty} and is fed {feed}, so N would be {n}"))
        })
    }
}

/// What a feed that fits says of the batch size.
enum Fit {
    Any,
    Batch(usize),
}

/// Whether a feed has a type, for some batch size.
fn fits(ty: &TensorType, feed: &Feed<'_>) -> Option<Fit> {
    let shape = feed.shape();
    if feed.dtype() != ty.dtype || shape.len() != ty.rank() {
        return None;
    }
    let mut fit = Fit::Any;
    for (&found, extent) in shape.iter().zip(&ty.shape.0) {
        match (*extent, &fit) {
            (Extent::Const(c), _) if c == found => {}
            (Extent::Batch(c), Fit::Any) if found.is_multiple_of(c) => fit = Fit::Batch(found / c),
            (Extent::Batch(c), Fit::Batch(n)) if c.checked_mul(*n) == Some(found) => {}
            _ => return None,
        }
    }
    Some(fit)
}

#[cfg(test)]
mod tests {
    use bessemer_compiler::types::{DType, Shape};
    use ndarray::{Array1, Array2};

    use super::*;

    fn signature() -> Signature {
        let param =
            |name: &str, dtype, shape| NamedType { name: name.into(), ty: TensorType { dtype, shape } };
        Signature {
            entry: "step".into(),
            params: vec![
                param("lr", DType::F32, Shape::scalar()),
                param("x", DType::F32, [Extent::Batch(2), Extent::Const(3)].into()),
                param("y", DType::I32, [Extent::N].into()),
            ],
            is_symbolic: true,
        }
    }

    fn check(x: (usize, usize), y: usize) -> Result<usize, Diagnostic> {
        let (x, y) = (Array2::<f32>::zeros(x), Array1::<i32>::zeros(y));
        signature().check(&[("y", (&y).into()), ("x", (&x).into()), ("lr", 0.5f32.into())])
    }

    #[test]
    fn the_batch_size_is_what_all_feeds_say() {
        assert_eq!(check((10, 3), 5).unwrap(), 5);
        assert_eq!(check((0, 3), 0).unwrap(), 0);
        let error = check((10, 3), 4).unwrap_err();
        assert_eq!(error.code, "E0706");
        assert_eq!(
            error.notes,
            [
                "`x` is f32[2*N,3] and is fed f32[10,3], so N would be 5",
                "`y` is i32[N] and is fed i32[4], so N would be 4"
            ]
        );
    }

    #[test]
    fn feeds_of_another_type_are_refused() {
        for (x, y) in [((9, 3), 5), ((10, 4), 5)] {
            assert_eq!(check(x, y).unwrap_err().code, "E0705", "{x:?}");
        }
        let (x, y) = (Array2::<f64>::zeros((2, 3)), Array1::<i32>::zeros(1));
        let feeds: [(&str, Feed<'_>); 3] = [("lr", 0.5f32.into()), ("x", (&x).into()), ("y", (&y).into())];
        let error = signature().check(&feeds).unwrap_err();
        assert_eq!((error.code, &*error.notes[0]), ("E0705", "expected f32[2*N,3], found f64[2,3]"));
        assert_eq!(error.helps, ["convert the elements to f32"]);
    }

    #[test]
    fn each_parameter_has_one_feed() {
        let (x, y) = (Array2::<f32>::zeros((2, 3)), Array1::<i32>::zeros(1));
        let feed = |name| match name {
            "x" => (name, Feed::from(&x)),
            "y" => (name, Feed::from(&y)),
            _ => (name, Feed::from(0.5f32)),
        };
        let code = |names: &[&'static str]| {
            signature()
                .check(&names.iter().copied().map(feed).collect::<Vec<_>>())
                .map_err(|e| (e.code, e.message))
        };
        assert_eq!(code(&["lr", "y", "x"]), Ok(1));
        assert_eq!(code(&["lr", "x"]), Err(("E0703", "`step` needs a feed for `y`".into())));
        assert_eq!(code(&["lr", "x", "y", "z"]), Err(("E0704", "`step` has no parameter `z`".into())));
        assert_eq!(
            code(&["lr", "x", "y", "x"]),
            Err(("E0704", "there are two feeds for `x` of `step`".into()))
        );
        let nothing = Signature { params: vec![], ..signature() };
        assert_eq!(nothing.check(&[]).unwrap_err().code, "E0706");
        assert_eq!(Signature { is_symbolic: false, ..nothing }.check(&[]).unwrap(), 1);
    }
}
