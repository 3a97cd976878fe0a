//! Extents that depend on the batch size: one code for every batch size up to the largest.

use crate::codegen::testing::{PACKED, check_range, function, schedule, strip};
use crate::kernel::{Packed, Schedule, StageSchedule};

/// A matrix product of some rows for every example, with all kinds of tiles.
fn rows_of_examples(each: usize, largest: usize, (k, cols): (usize, usize), result: &str) -> String {
    format!(
        r#"kernels @t (n <= {largest}) {{
  buffer buf0 "x" : f32[{each}*n,{k}] param 0
  buffer buf1 "w" : f32[{k},{cols}] param 1
  buffer buf2 "y" : f32[{each}*n,{cols}] result 0
  kernel k0 (i0 < {each}*n, i1 < {cols}) {{
    stage {{
      fold reduce (i2 < {k}) {{
        s0 = load buf0[i0, i2] : f32
        s1 = load buf1[i2, i1] : f32
        acc0 = dot s0, s1 : f32
      }}
      s0 = acc0 : f32
      {result}
      store s2, buf2[i0, i1]
    }}
  }}
}}"#
    )
}

/// Tiles of these rows and columns, plain and cut into chunks along both axes.
fn tiles(rows: usize, cols: usize, lanes: usize, row_axis: usize) -> Vec<Schedule> {
    let mut all = Vec::new();
    for pack in PACKED {
        for chunks in [None, Some((0, 4)), Some((0, 5)), Some((1, 8))] {
            let (col_axis, row_operand) = (1 - row_axis, row_axis);
            let tile = StageSchedule::Tile { row_axis, col_axis, rows, cols, lanes, row_operand, pack };
            all.push(schedule(chunks, &[tile]));
        }
    }
    all
}

#[test]
fn rows_and_columns_of_tiles() {
    let mean = "s1 = extent n : i64\n s3 = convert s1 : f32\n s2 = div s0, s3 : f32";
    let mean = mean.replace("s3", "s2").replace("s2 = div s0, s2", "s3 = div s0, s2");
    let text = rows_of_examples(1, 19, (5, 20), &mean).replace("store s2", "store s3");
    let f = function(&text);
    for lanes in [4, 8, 16] {
        check_range("rows", &f, &tiles(4, lanes, lanes, 0));
        check_range("columns", &f, &tiles(3, lanes, lanes, 1));
    }
    check_range("points", &f, &tiles(2, 3, 1, 0));
    let twice = rows_of_examples(3, 5, (2, 9), "s1 = acc0 : f32\n s2 = add s0, s1 : f32");
    check_range("several rows for each", &function(&twice), &tiles(4, 8, 4, 0));
}

/// `w = xᵀ · y`, summed over the examples.
fn gradient(each: usize, largest: usize, (rows, cols): (usize, usize)) -> String {
    format!(
        r#"kernels @t (n <= {largest}) {{
  buffer buf0 "x" : f32[{each}*n,{rows}] param 0
  buffer buf1 "y" : f32[{each}*n,{cols}] param 1
  buffer buf2 "w" : f32[{rows},{cols}] result 0
  kernel k0 (i0 < {rows}, i1 < {cols}) {{
    stage {{
      fold reduce (i2 < {each}*n) {{
        s0 = load buf0[i2, i0] : f32
        s1 = load buf1[i2, i1] : f32
        acc0 = dot s0, s1 : f32
      }}
      s0 = acc0 : f32
      store s0, buf2[i0, i1]
    }}
  }}
}}"#
    )
}

#[test]
fn folds_over_examples() {
    for each in [1, 3] {
        let f = function(&gradient(each, 7, (5, 18)));
        for lanes in [4, 8, 16] {
            check_range("tiles", &f, &tiles(4, lanes, lanes, 0));
            check_range(
                "strips",
                &f,
                &[schedule(None, &[strip(1, lanes)]), schedule(Some((1, 7)), &[strip(1, lanes)])],
            );
        }
        check_range("points", &f, &[schedule(None, &[])]);
    }
}

#[test]
fn panels_of_parts_of_examples() {
    // A panel of 128-bit vectors has 16 KiB: 512 elements of the fold for 8 columns.
    let f = function(&gradient(300, 4, (3, 9)));
    check_range("parts", &f, &tiles(2, 8, 4, 0));
}

/// A matrix product of `n` rows, whose elements are put beside one another first.
fn columns_of_examples(largest: usize, (k, cols): (usize, usize)) -> String {
    format!(
        r#"kernels @t (n <= {largest}) {{
  buffer buf0 "x" : f32[n,{k}] param 0
  buffer buf1 "w" : f32[{k},{cols}] param 1
  buffer buf2 "t" : f32[{k},n] local
  buffer buf3 "y" : f32[n,{cols}] result 0
  kernel k0 {{
    stage (i0 < {k}, i1 < n) {{
      s0 = load buf0[i1, i0] : f32
      store s0, buf2[i0, i1]
    }}
    stage (i0 < n, i1 < {cols}) {{
      fold reduce (i2 < {k}) {{
        s0 = load buf2[i2, i0] : f32
        s1 = load buf1[i2, i1] : f32
        acc0 = dot s0, s1 : f32
      }}
      s0 = acc0 : f32
      store s0, buf3[i0, i1]
    }}
  }}
}}"#
    )
}

#[test]
fn panels_of_several_blocks_of_examples() {
    // The last block is made of pieces, which begin anywhere in it.
    let turned = function(&rows_of_examples(1, 100, (23, 5), "s1 = acc0 : f32\n s2 = add s0, s1 : f32"));
    let plain = function(&columns_of_examples(100, (23, 5)));
    // So many elements of the fold are more than one panel, so accumulators are kept.
    let in_parts = function(&columns_of_examples(23, (5400, 3)));
    for (lanes, cols) in [(4, 8), (8, 8), (8, 24), (16, 16)] {
        check_range("turned", &turned, &tiles(2, cols, lanes, 1));
        for pack in [Packed::Vectors, Packed::Both] {
            let tile =
                StageSchedule::Tile { row_axis: 1, col_axis: 0, rows: 2, cols, lanes, row_operand: 1, pack };
            let schedules = [schedule(None, &[StageSchedule::Scalar, tile])];
            check_range("plain", &plain, &schedules);
            if (lanes, cols) == (8, 8) {
                check_range("in parts", &in_parts, &schedules);
            }
        }
    }
}

#[test]
fn rows_that_are_kept_between_parts() {
    let f = function(&rows_of_examples(260, 3, (700, 8), "s1 = acc0 : f32\n s2 = add s0, s1 : f32"));
    check_range("kept", &f, &tiles(4, 8, 4, 0));
}

#[test]
fn sums_in_parts_of_examples() {
    let over_examples = function(
        r#"kernels @t (n <= 13) {
  buffer buf0 "x" : f32[n,200] param 0
  buffer buf1 "sum" : f32[200] result 0
  kernel k0 (i0 < 200) {
    stage {
      fold reduce (i1 < n) {
        s0 = load buf0[i1, i0] : f32
        acc0 = sum s0 : f32
      }
      s0 = acc0 : f32
      store s0, buf1[i0]
    }
  }
}"#,
    );
    // The caller's memory has as many columns as there are examples, so rows are no multiple of anything.
    let of_examples = function(
        r#"kernels @t (n <= 7) {
  buffer buf0 "x" : f32[30*n,9] param 0
  buffer buf1 "t" : f32[9,30*n] temp
  buffer buf2 "sum" : f32[30*n] result 0
  kernel k0 (i0 < 30*n, i1 < 9) {
    stage {
      s0 = load buf0[i0, i1] : f32
      store s0, buf1[i1, i0]
    }
  }
  kernel k1 (i0 < 30*n) {
    stage {
      fold reduce (i1 < 9) {
        s0 = load buf1[i1, i0] : f32
        acc0 = sum s0 : f32
      }
      s0 = acc0 : f32
      store s0, buf2[i0]
    }
  }
}"#,
    );
    for lanes in [4, 8, 16] {
        for chunks in [None, Some((0, 160)), Some((0, 150))] {
            let schedules = [schedule(chunks, &[strip(0, lanes)])];
            check_range("rows", &over_examples, &schedules);
            check_range("columns", &of_examples, &schedules);
        }
    }
}

#[test]
fn strips_and_inner_axes_of_examples() {
    let f = function(
        r#"kernels @t (n <= 21) {
  buffer buf0 "x" : f32[2*n,3] param 0
  buffer buf1 "t" : f32[3,2*n] temp
  buffer buf2 "y" : f32[2*n,3] result 0
  buffer buf3 "z" : f32[n] result 1
  kernel k0 (i0 < 3, i1 < 2*n) {
    stage {
      s0 = load buf0[i1, i0] : f32
      s1 = add s0, s0 : f32
      store s1, buf1[i0, i1]
    }
  }
  kernel k1 (i0 < 2*n, i1 < 3) {
    stage {
      s0 = load buf1[i1, i0] : f32
      s1 = load buf0[i0, i1] : f32
      s2 = mul s0, s1 : f32
      store s2, buf2[i0, i1]
    }
  }
  kernel k2 (i0 < n) {
    stage {
      s0 = load buf1[2, 2*i0 + 1] : f32
      store s0, buf3[i0]
    }
  }
}"#,
    );
    for lanes in [1, 4, 8, 16] {
        for axis in [0, 1] {
            for chunks in [None, Some((0, 1)), Some((0, 2)), Some((0, 32))] {
                let mut schedules = vec![schedule(chunks, &[strip(axis, lanes)])];
                // The third kernel has one axis.
                let mut f = f.clone();
                if axis == 1 {
                    f.kernels.truncate(2);
                    f.buffers[crate::kernel::BufferId::from_u32(3)].kind = crate::kernel::BufferKind::Temp;
                    schedules.push(schedule(chunks, &[]));
                }
                check_range("strips", &f, &schedules);
            }
        }
    }
}

#[test]
fn stages_scans_and_local_buffers_of_examples() {
    // Rows of a table are added to, in order of the examples; then every example has its row, and a local sum of it.
    let f = function(
        r#"kernels @t (n <= 6) {
  buffer buf0 "index" : i32[2*n] param 0
  buffer buf1 "x" : f32[2*n,5] param 1
  buffer buf2 "table" : f32[4,5] result 0
  buffer buf3 "sum" : f32[n] local
  buffer buf4 "y" : f32[n,5] result 1
  kernel k0 (i0 < 5) {
    stage (i1 < 4) {
      s0 = const 0.0 : f32
      store s0, buf2[i1, i0]
    }
    stage {
      fold scan (i1 < 2*n) {
      }
      s0 = load buf0[i1] : i32
      s1 = const 3 : i32
      s2 = min s0, s1 : i32
      s3 = const 0 : i32
      s4 = max s2, s3 : i32
      s5 = load buf1[i1, i0] : f32
      store_add s5, buf2[s4, i0]
    }
  }
  kernel k1 (i0 < n) {
    stage {
      fold reduce lanes 4 (i1 < 5) {
        s0 = load buf1[2*i0, i1] : f32
        acc0 = sum s0 : f32
      }
      s0 = acc0 : f32
      store s0, buf3[i0]
    }
    stage (i1 < 5) {
      s0 = load buf3[i0] : f32
      s1 = load buf1[2*i0 + 1, i1] : f32
      s2 = sub s1, s0 : f32
      store s2, buf4[i0, i1]
    }
  }
}"#,
    );
    for lanes in [1, 4] {
        let stages = [strip(1, lanes), strip(0, lanes)];
        for chunks in [None, Some((0, 1)), Some((0, 4))] {
            check_range("stages", &f, &[schedule(chunks, &stages), schedule(chunks, &[])]);
        }
    }
}
