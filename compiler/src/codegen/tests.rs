//! Schedules change nothing: what tiles and strips compute is what Kernel IR says, bit for bit.

use super::Target;
use super::testing::{assert_same, function, plain, results, scheduled};
use crate::kernel::{Chunks, Schedule, StageSchedule};
use crate::tensor::Scalar;

fn schedule(chunks: Option<(usize, usize)>, stages: Vec<StageSchedule>) -> Schedule {
    Schedule { chunks: chunks.map(|(axis, block)| Chunks { axis, block }), threads: false, stages }
}

fn matmul(m: usize, n: usize, k: usize) -> String {
    format!(
        r#"kernels @t {{
  buffer buf0 "a" : f32[{m},{k}] param 0
  buffer buf1 "b" : f32[{k},{n}] param 1
  buffer buf2 "bias" : f32[{n}] param 2
  buffer buf3 "c" : f32[{m},{n}] result 0
  kernel k0 (i0 < {m}, i1 < {n}) {{
    stage {{
      fold reduce (i2 < {k}) {{
        s0 = load buf0[i0, i2] : f32
        s1 = load buf1[i2, i1] : f32
        acc0 = dot s0, s1 : f32
      }}
      s0 = acc0 : f32
      s1 = load buf2[i1] : f32
      s2 = add s0, s1 : f32
      store s2, buf3[i0, i1]
    }}
  }}
}}"#
    )
}

#[test]
fn a_contraction_adds_in_order() {
    let target = Target::host().unwrap();
    for (m, n, k) in
        [(1, 1, 1), (3, 5, 17), (17, 17, 3), (5, 13, 0), (0, 3, 2), (9, 24, 9), (5, 13, 1030), (517, 9, 1024)]
    {
        let f = function(&matmul(m, n, k));
        let a = |i| match plain(crate::types::DType::F32, i) {
            Scalar::F32(v) => v,
            _ => unreachable!(),
        };
        let mut expected = Vec::new();
        for i in 0..m {
            for j in 0..n {
                let dot = (0..k).fold(0.0f32, |sum, l| a(i * k + l).mul_add(a(l * n + j), sum));
                expected.push(Scalar::F32(dot + a(j)));
            }
        }
        assert_same("scalar", &results(&f, &target, &plain), std::slice::from_ref(&expected));
        for (rows, cols, lanes) in [(4, 8, 4), (3, 4, 4), (2, 3, 1)] {
            for pack in [false, true] {
                for chunks in [None, Some((0, 4)), Some((0, 8)), Some((1, 7)), Some((1, 8))] {
                    let tile = StageSchedule::Tile {
                        row_axis: 0,
                        col_axis: 1,
                        rows,
                        cols,
                        lanes,
                        row_operand: 0,
                        pack,
                    };
                    let f = scheduled(&f, &schedule(chunks, vec![tile.clone()]));
                    let what = format!("{m}x{n}x{k} {tile:?} {chunks:?}");
                    assert_same(&what, &results(&f, &target, &plain), std::slice::from_ref(&expected));
                    let swapped = StageSchedule::Tile {
                        row_axis: 1,
                        col_axis: 0,
                        rows,
                        cols,
                        lanes,
                        row_operand: 1,
                        pack,
                    };
                    let f = scheduled(&f, &schedule(chunks, vec![swapped]));
                    assert_same(&what, &results(&f, &target, &plain), std::slice::from_ref(&expected));
                }
            }
        }
    }
}
