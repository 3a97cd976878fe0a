//! Lowering of a reshape: a view where strides can say it, else the same bytes under another shape.

use super::LowerCx;
use crate::kernel::{Affine, Extent, points};

/// Lowers a reshape of operand 0 to result 0.
pub fn reshape(cx: &mut LowerCx<'_>) {
    let (from, to) = (cx.operand_extents(0), cx.result_extents(0));
    match view(&from, &to) {
        Some(index) => cx.map(|cx, b| cx.load(b, cx.operand(0), index)),
        None => cx.alias(),
    }
}

/// For every axis of `from`, its coordinate in terms of the axes of `to`, if each axis of `from` is a product of
/// neighbouring axes of `to`: axes are split, and axes of extent 1 come and go. Both have the same number of elements. What
/// depends on the batch size may be the outermost factor only.
fn view(from: &[Extent], to: &[Extent]) -> Option<Vec<Affine>> {
    if points(from) == 0 {
        // There is no element to find.
        return Some(vec![Affine::constant(0); from.len()]);
    }
    let mut axis = 0;
    from.iter()
        .map(|&extent| {
            let (mut index, mut product) = (Affine::constant(0), Extent::from(1));
            while product != extent && product.most() <= extent.most() {
                let &next = to.get(axis)?;
                product = match next.each() {
                    None => product.times(next.most()),
                    Some(_) if product == 1 => next,
                    Some(_) => return None,
                };
                index = index.times(next.most() as i64).plus(&Affine::axis(axis));
                axis += 1;
            }
            // An axis of extent 1 only holds coordinate 0.
            let ones = |index: &Affine| {
                index.terms().iter().filter(|t| to[t.0] == 1).map(|t| t.0).collect::<Vec<_>>()
            };
            let drop = ones(&index);
            let index =
                index.substitute(&|a| if drop.contains(&a) { Affine::constant(0) } else { Affine::axis(a) });
            (product == extent).then_some(index)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::fixed;

    fn text(from: &[usize], to: &[usize]) -> Option<Vec<String>> {
        view(&fixed(from), &fixed(to)).map(|index| index.iter().map(Affine::to_string).collect())
    }

    #[test]
    fn splits_are_views_and_merges_are_not() {
        assert_eq!(text(&[6, 5], &[2, 3, 5]).unwrap(), ["3*i0 + i1", "i2"]);
        assert_eq!(text(&[3, 1], &[3]).unwrap(), ["i0", "0"]);
        assert_eq!(text(&[3], &[1, 3, 1]).unwrap(), ["i1"]);
        assert_eq!(text(&[1], &[]).unwrap(), ["0"]);
        assert_eq!(text(&[2, 3], &[6]), None);
        assert_eq!(text(&[3, 4], &[4, 3]), None);
    }
}
