//! Where in a stage code runs: a coordinate on every axis.

use super::emitter::VectorEmitter;
use crate::kernel::Affine;

/// A coordinate: what a loop counts, if any, plus a number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coord<W> {
    /// The part that is known only when code runs.
    pub(super) base: Option<W>,
    /// The part that is known now.
    pub(super) offset: i64,
}

impl<W: Copy> Coord<W> {
    /// A number.
    pub(super) fn fixed(offset: i64) -> Coord<W> {
        Coord { base: None, offset }
    }

    /// What a loop counts.
    pub(super) fn counted(base: W) -> Coord<W> {
        Coord { base: Some(base), offset: 0 }
    }

    /// The coordinate plus a number.
    pub(super) fn plus(self, offset: i64) -> Coord<W> {
        Coord { offset: self.offset + offset, ..self }
    }
}

/// A coordinate on every axis of a stage.
pub(super) type Point<W> = Vec<Coord<W>>;

/// The value of an affine expression at a point, as a word that is known when code runs plus a number. Terms are
/// added in the order of the axes, so that what outer axes contribute can be computed outside of inner loops.
pub(super) fn affine_at<E: VectorEmitter>(
    e: &mut E,
    affine: &Affine,
    point: &Point<E::Word>,
    start: Option<E::Word>,
) -> (Option<E::Word>, i64) {
    let mut word = start;
    let mut offset = affine.offset();
    for &(axis, factor) in affine.terms() {
        let coord = point[axis];
        offset += factor * coord.offset;
        if let Some(base) = coord.base {
            let term = e.word_times(base, factor);
            word = Some(match word {
                Some(word) => e.word_add(word, term),
                None => term,
            });
        }
    }
    (word, offset)
}

/// The two parts as one word.
pub(super) fn whole<E: VectorEmitter>(e: &mut E, (word, offset): (Option<E::Word>, i64)) -> E::Word {
    match (word, offset) {
        (Some(word), 0) => word,
        (Some(word), offset) => {
            let offset = e.word(offset);
            e.word_add(word, offset)
        }
        (None, offset) => e.word(offset),
    }
}
