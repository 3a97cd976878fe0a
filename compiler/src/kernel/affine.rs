//! Affine expressions of axes.

use std::fmt;

use super::Axis;

/// `offset + Σ factor · axis`, printed `i0 + 2*i1 - 3`. Terms are sorted by axis, and no factor is zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Affine {
    offset: i64,
    terms: Vec<(Axis, i64)>,
}

impl Affine {
    /// A constant.
    pub fn constant(offset: i64) -> Affine {
        Affine { offset, terms: Vec::new() }
    }

    /// An axis.
    pub fn axis(axis: Axis) -> Affine {
        Affine { offset: 0, terms: vec![(axis, 1)] }
    }

    /// The value where all axes are 0.
    pub fn offset(&self) -> i64 {
        self.offset
    }

    /// Axis and factor of every term, in order of the axes.
    pub fn terms(&self) -> &[(Axis, i64)] {
        &self.terms
    }

    /// The factor of an axis; 0 if it does not occur.
    pub fn factor(&self, axis: Axis) -> i64 {
        self.terms.iter().find(|t| t.0 == axis).map_or(0, |t| t.1)
    }

    /// Whether no axis occurs.
    pub fn is_constant(&self) -> bool {
        self.terms.is_empty()
    }

    /// The axis that this expression is, if it is just that.
    pub fn as_axis(&self) -> Option<Axis> {
        match (self.offset, self.terms.as_slice()) {
            (0, &[(axis, 1)]) => Some(axis),
            _ => None,
        }
    }

    /// The sum of two expressions.
    pub fn plus(&self, other: &Affine) -> Affine {
        let mut sum = self.clone();
        sum.offset += other.offset;
        for &(axis, factor) in &other.terms {
            sum.add_term(axis, factor);
        }
        sum
    }

    /// The expression plus a number.
    pub fn plus_constant(&self, c: i64) -> Affine {
        Affine { offset: self.offset + c, terms: self.terms.clone() }
    }

    /// The expression times a number.
    pub fn times(&self, factor: i64) -> Affine {
        if factor == 0 {
            return Affine::constant(0);
        }
        Affine {
            offset: self.offset * factor,
            terms: self.terms.iter().map(|&(axis, f)| (axis, f * factor)).collect(),
        }
    }

    fn add_term(&mut self, axis: Axis, factor: i64) {
        match self.terms.binary_search_by_key(&axis, |t| t.0) {
            Ok(i) => {
                self.terms[i].1 += factor;
                if self.terms[i].1 == 0 {
                    self.terms.remove(i);
                }
            }
            Err(i) if factor != 0 => self.terms.insert(i, (axis, factor)),
            Err(_) => {}
        }
    }

    /// The expression with every axis replaced by an expression.
    pub fn substitute(&self, of: &dyn Fn(Axis) -> Affine) -> Affine {
        self.terms
            .iter()
            .fold(Affine::constant(self.offset), |sum, &(axis, factor)| sum.plus(&of(axis).times(factor)))
    }

    /// The value at a point, given as the coordinate on every axis.
    pub fn at(&self, point: &[usize]) -> i64 {
        let mut sum = self.offset;
        for &(axis, factor) in &self.terms {
            sum += factor * point[axis] as i64;
        }
        sum
    }

    /// The least and the largest value over all points of axes with these extents; `None` if there is no point.
    pub fn range(&self, extents: &[usize]) -> Option<(i64, i64)> {
        self.terms.iter().try_fold((self.offset, self.offset), |(low, high), &(axis, factor)| {
            let span = factor * (extents[axis].checked_sub(1)? as i64);
            Some((low + span.min(0), high + span.max(0)))
        })
    }
}

impl fmt::Display for Affine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, &(axis, factor)) in self.terms.iter().enumerate() {
            let magnitude = factor.unsigned_abs();
            match (n, factor < 0) {
                (0, false) => {}
                (0, true) => f.write_str("-")?,
                (_, false) => f.write_str(" + ")?,
                (_, true) => f.write_str(" - ")?,
            }
            if magnitude != 1 {
                write!(f, "{magnitude}*")?;
            }
            write!(f, "i{axis}")?;
        }
        match (self.terms.is_empty(), self.offset) {
            (true, c) => write!(f, "{c}"),
            (false, 0) => Ok(()),
            (false, c) if c < 0 => write!(f, " - {}", c.unsigned_abs()),
            (false, c) => write!(f, " + {c}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_that_cancel_vanish() {
        let e = Affine::axis(1).plus(&Affine::axis(0).times(2)).plus_constant(-3);
        assert_eq!(e.to_string(), "2*i0 + i1 - 3");
        let swapped = e
            .substitute(&|axis| if axis == 0 { Affine::axis(1).times(-1) } else { Affine::axis(1).times(2) });
        assert_eq!(swapped, Affine::constant(-3));
    }

    #[test]
    fn range_covers_every_point() {
        let e = Affine::axis(0).times(3).plus(&Affine::axis(1).times(-2)).plus_constant(1);
        assert_eq!(e.range(&[4, 5]), Some((-7, 10)));
        assert_eq!(e.at(&[3, 0]), 10);
        assert_eq!(e.range(&[4, 0]), None);
    }
}
