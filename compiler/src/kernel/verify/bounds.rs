//! Where affine expressions lie, computed so that nothing overflows.

use super::super::{Affine, Guard};

/// The least and the largest value of something.
pub(super) type Interval = (i128, i128);

/// The indices of axes with these extents; `None` if an axis is empty.
pub(super) fn whole(extents: &[usize]) -> Option<Vec<Interval>> {
    extents.iter().map(|&e| Some((0, e.checked_sub(1)? as i128))).collect()
}

/// Where the expression lies while its axes lie within `axes`.
pub(super) fn range(expr: &Affine, axes: &[Interval]) -> Interval {
    expr.terms().iter().fold(
        (i128::from(expr.offset()), i128::from(expr.offset())),
        |(low, high), &(axis, factor)| {
            let (a, b) = (i128::from(factor) * axes[axis].0, i128::from(factor) * axes[axis].1);
            (low + a.min(b), high + a.max(b))
        },
    )
}

/// `|offset| + Σ |factor| · max(extent - 1, 1)`: no sum of some of the terms is larger.
pub(super) fn magnitude(expr: &Affine, extents: &[usize]) -> u128 {
    expr.terms().iter().fold(u128::from(expr.offset().unsigned_abs()), |sum, &(axis, factor)| {
        sum + u128::from(factor.unsigned_abs()) * (extents[axis].saturating_sub(1).max(1)) as u128
    })
}

/// The part of `axes` where guards on a single axis hold; `None` if some guard never does.
pub(super) fn within_guards(mut axes: Vec<Interval>, guards: &[Guard]) -> Option<Vec<Interval>> {
    for guard in guards {
        let (low, high) =
            (-i128::from(guard.expr.offset()), guard.below as i128 - 1 - i128::from(guard.expr.offset()));
        match *guard.expr.terms() {
            [] if low > 0 || high < 0 => return None,
            [(axis, factor)] => {
                let factor = i128::from(factor);
                // low ≤ factor · index ≤ high
                let (low, high) = if factor > 0 { (low, high) } else { (-high, -low) };
                let step = factor.abs();
                let interval = &mut axes[axis];
                interval.0 = interval.0.max(low.div_euclid(step) + i128::from(low.rem_euclid(step) != 0));
                interval.1 = interval.1.min(high.div_euclid(step));
                if interval.0 > interval.1 {
                    return None;
                }
            }
            _ => {}
        }
    }
    Some(axes)
}

/// Where the expression lies at the points of `axes` where guards on the same terms hold; `None` if there are none.
pub(super) fn guarded_range(expr: &Affine, axes: &[Interval], guards: &[Guard]) -> Option<Interval> {
    guards.iter().filter(|g| g.expr.terms() == expr.terms()).try_fold(
        range(expr, axes),
        |(low, high), guard| {
            let shift = i128::from(expr.offset()) - i128::from(guard.expr.offset());
            let narrowed = (low.max(shift), high.min(shift + guard.below as i128 - 1));
            (narrowed.0 <= narrowed.1).then_some(narrowed)
        },
    )
}

/// Whether a coordinate is at least 0 and below `below` at all points of axes with these extents where guards hold, as far as
/// K0114 knows of them.
pub fn stays_within(expr: &Affine, below: usize, extents: &[usize], guards: &[Guard]) -> bool {
    let points = whole(extents).and_then(|axes| within_guards(axes, guards));
    let range = points.and_then(|axes| guarded_range(expr, &axes, guards));
    range.is_none_or(|(low, high)| low >= 0 && high < below as i128)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every guard on one axis leaves exactly the indices where it holds.
    #[test]
    fn a_guard_on_one_axis_is_exact() {
        for factor in [-3i64, -1, 1, 2] {
            for offset in -7..8 {
                for below in 0..6 {
                    let guard = Guard { expr: Affine::axis(0).times(factor).plus_constant(offset), below };
                    let holds: Vec<i128> = (0..5)
                        .filter(|&i| (0..below as i64).contains(&guard.expr.at(&[i])))
                        .map(|i| i as i128)
                        .collect();
                    let bounds =
                        whole(&[5]).and_then(|axes| within_guards(axes, std::slice::from_ref(&guard)));
                    let expected = holds.first().map(|&first| vec![(first, holds[holds.len() - 1])]);
                    assert_eq!(bounds, expected, "{guard}");
                }
            }
        }
    }

    #[test]
    fn a_guard_on_the_same_terms_bounds_the_expression() {
        let expr = Affine::axis(0).plus(&Affine::axis(1).times(2)).plus_constant(-3);
        let axes = whole(&[4, 4]).unwrap();
        assert_eq!(guarded_range(&expr, &axes, &[]), Some((-3, 6)));
        let guard = |offset, below| Guard { expr: expr.plus_constant(offset), below };
        assert_eq!(guarded_range(&expr, &axes, &[guard(0, 5)]), Some((0, 4)));
        assert_eq!(guarded_range(&expr, &axes, &[guard(-1, 5)]), Some((1, 5)));
        assert_eq!(guarded_range(&expr, &axes, &[guard(100, 5)]), None);
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let expr = Affine::axis(0).times(i64::MIN).plus_constant(i64::MIN);
        assert!(magnitude(&expr, &[usize::MAX]) > 1 << 62);
        let guard = Guard { expr: expr.clone(), below: usize::MAX };
        assert_eq!(within_guards(whole(&[9]).unwrap(), &[guard]), None);
        assert_eq!(range(&expr, &whole(&[3]).unwrap()).0, 3 * i128::from(i64::MIN));
    }
}
