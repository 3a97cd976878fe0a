//! Reductions and scans: every combination, with partial results, over vectors of points and of elements.

use std::collections::HashSet;

use crate::codegen::Target;
use crate::codegen::kernel::dump;
use crate::codegen::strip::kept;
use crate::codegen::testing::{check, corners, function, plain, schedule, strip};
use crate::kernel::{Schedule, StageSchedule, parse};

/// Strips along each of three axes, the last of which is folded with this many partial results.
fn schedules(partials: usize, lanes: usize) -> Vec<Schedule> {
    let mut stages = vec![StageSchedule::Scalar, strip(0, 1), strip(1, lanes), strip(0, lanes)];
    if partials.is_multiple_of(lanes) {
        stages.push(strip(2, lanes));
    }
    let mut all: Vec<_> = stages.iter().map(|s| schedule(None, std::slice::from_ref(s))).collect();
    all.extend(stages.iter().map(|s| schedule(Some((0, 2)), std::slice::from_ref(s))));
    all
}

fn reduction(dtype: &str, op: &str, result: &str, partials: usize, extents: (usize, usize, usize)) -> String {
    let (m, n, k) = extents;
    let operands = if op == "dot" { "s0, s1" } else { "s0" };
    format!(
        r#"kernels @t {{
  buffer buf0 "x" : {dtype}[{m},{n},{k}] param 0
  buffer buf1 "y" : {dtype}[{k}] param 1
  buffer buf2 "z" : {result}[{m},{n}] result 0
  kernel k0 (i0 < {m}) {{
    stage (i1 < {n}) {{
      fold reduce lanes {partials} (i2 < {k}) {{
        s0 = load buf0[i0, i1, i2] : {dtype}
        s1 = load buf1[-i2 + {last}] : {dtype}
        acc0 = {op} {operands} : {result}
      }}
      s0 = acc0 : {result}
      store s0, buf2[i0, i1]
    }}
  }}
}}"#,
        last = k.saturating_sub(1)
    )
}

#[test]
fn every_combination() {
    for dtype in ["f32", "f64", "i32", "i64", "u8", "bool"] {
        let lanes = if ["f64", "i64"].contains(&dtype) { 2 } else { 4 };
        for op in ["sum", "prod", "max", "min", "dot", "argmax", "argmin"] {
            let results = if op.starts_with("arg") { &["i32", "i64"][..] } else { &[dtype][..] };
            let takes = match dtype {
                "bool" => ["sum", "prod"].contains(&op),
                _ => op != "dot" || dtype.starts_with('f'),
            };
            if !takes {
                continue;
            }
            for result in results {
                for partials in [1, 4, 8] {
                    for k in [1, 17] {
                        let text = reduction(dtype, op, result, partials, (3, 5, k));
                        let what = format!("{op} of {k} {dtype} in {partials}");
                        check(&what, &function(&text), corners, &schedules(partials, lanes));
                    }
                }
            }
        }
    }
}

#[test]
fn every_size() {
    for (m, n) in [(1, 1), (0, 5), (5, 0), (5, 17), (2, 9)] {
        for k in [0, 3, 5, 33, 100] {
            for partials in [1, 16] {
                let text = reduction("f32", "sum", "f32", partials, (m, n, k));
                check(&format!("sum of {m}x{n}x{k}"), &function(&text), plain, &schedules(partials, 4));
            }
        }
    }
}

#[test]
fn several_accumulators_over_several_axes() {
    let text = r#"kernels @t {
  buffer buf0 "x" : f32[6,7,5,3] param 0
  buffer buf1 "mean" : f32[6,7] result 0
  buffer buf2 "most" : f32[6,7] result 1
  buffer buf3 "where" : i64[6,7] result 2
  kernel k0 (i0 < 6, i1 < 7) {
    stage {
      fold reduce lanes 2 (i2 < 5, i3 < 3) {
        s0 = load buf0[i0, i1, i2, i3] : f32
        s1 = mul s0, s0 : f32
        acc0 = sum s1 : f32
        acc1 = max s0 : f32
        acc2 = argmax s0 : i64
      }
      s0 = acc0 : f32
      s1 = const 15.0 : f32
      s2 = div s0, s1 : f32
      s3 = acc1 : f32
      s4 = acc2 : i64
      store s2, buf1[i0, i1]
      store s3, buf2[i0, i1]
      store s4, buf3[i0, i1]
    }
  }
}"#;
    let stages = [StageSchedule::Scalar, strip(1, 4), strip(0, 4), strip(3, 2), strip(1, 1)];
    let schedules = stages.map(|s| schedule(Some((1, 3)), &[s]));
    check("several", &function(text), plain, &schedules);
    check("several", &function(text), corners, &schedules);
}

#[test]
fn sums_of_long_columns_are_made_in_parts() {
    // Rows of a part and of several, with some left; columns of a strip and a half, of whole vectors and not, of more than are kept
    // at once, and so many that rows compete for the same lines of the cache.
    for (rows, cols) in [((1, 8), 132), ((1, 19), 200), ((3, 9), 257), ((2, 8), 2100), ((1, 11), 512)] {
        for (dtype, lanes) in [("f32", 4), ("f32", 8), ("f32", 16), ("f64", 2), ("i64", 4)] {
            let text = format!(
                r#"kernels @t {{
  buffer buf0 "x" : {dtype}[2,{},{},{cols}] param 0
  buffer buf1 "by" : {dtype}[{}] param 1
  buffer buf2 "sum" : {dtype}[2,{cols}] result 0
  buffer buf3 "most" : {dtype}[2,{cols}] result 1
  kernel k0 (i0 < 2, i1 < {cols}) {{
    stage {{
      fold reduce (i2 < {}, i3 < {}) {{
        s0 = load buf0[i0, i2, i3, i1] : {dtype}
        s1 = load buf1[i3] : {dtype}
        s2 = mul s0, s1 : {dtype}
        acc0 = sum s2 : {dtype}
        acc1 = max s0 : {dtype}
      }}
      s0 = acc0 : {dtype}
      s1 = acc1 : {dtype}
      s2 = add s0, s1 : {dtype}
      store s2, buf2[i0, i1]
      store s1, buf3[i0, i1]
    }}
  }}
}}"#,
                rows.0, rows.1, rows.1, rows.0, rows.1
            );
            let chunks = [None, Some((0, 1)), Some((1, 160)), Some((1, 99)), Some((1, 128)), Some((1, 384))];
            let schedules = chunks.map(|chunks| schedule(chunks, &[strip(1, lanes)]));
            let f = function(&text);
            let lengths = [1, cols];
            assert!(kept(&f.kernels[0].stages[0], &strip(1, lanes), &lengths).is_some());
            check("parts", &f, plain, &schedules);
            check("parts", &f, corners, &schedules);
        }
    }
}

#[test]
fn scans_see_the_sum_before_and_after() {
    for (k, inner) in [(1, 1), (7, 1), (5, 3)] {
        let text = format!(
            r#"kernels @t {{
  buffer buf0 "x" : f32[3,{k},{inner},9] param 0
  buffer buf1 "after" : f32[3,{k},{inner},9] result 0
  buffer buf2 "before" : f32[3,{k},{inner},9] result 1
  buffer buf3 "best" : i64[3,{k},{inner},9] result 2
  kernel k0 (i0 < 3, i1 < 9) {{
    stage {{
      fold scan (i2 < {k}, i3 < {inner}) {{
        s0 = load buf0[i0, i2, i3, i1] : f32
        acc0 = sum s0 : f32
        acc1 = argmin s0 : i64
      }}
      s0 = acc0 : f32
      s1 = acc0 before : f32
      s2 = acc1 before : i64
      store s0, buf1[i0, i2, i3, i1]
      store s1, buf2[i0, i2, i3, i1]
      store s2, buf3[i0, i2, i3, i1]
    }}
  }}
}}"#
        );
        let stages = [StageSchedule::Scalar, strip(1, 4), strip(0, 4), strip(1, 1)];
        for chunks in [None, Some((1, 4)), Some((0, 2))] {
            let schedules: Vec<_> =
                stages.iter().map(|s| schedule(chunks, std::slice::from_ref(s))).collect();
            check("scan", &function(&text), plain, &schedules);
            check("scan", &function(&text), corners, &schedules);
        }
    }
}

#[test]
fn rows_are_added_where_indices_say() {
    for (cols, dtype) in [(9, "f32"), (1, "f32"), (5, "f64"), (7, "u8"), (8, "i64")] {
        let text = format!(
            r#"kernels @t {{
  buffer buf0 "rows" : {dtype}[11,{cols}] param 0
  buffer buf1 "where" : i32[11] constant [0, 3, 3, 1, 0, 2, 3, 3, 0, 1, 2]
  buffer buf2 "sums" : {dtype}[4,{cols}] result 0
  check 0 "where" [11] < 4
  kernel k0 (i0 < {cols}) {{
    stage (i1 < 4) {{
      s0 = const {zero} : {dtype}
      store s0, buf2[i1, i0]
    }}
    stage {{
      fold scan (i1 < 11) {{
      }}
      s0 = load buf1[i1] : i32
      s1 = check s0 site 0 at i1 : i32
      s2 = load buf0[i1, i0] : {dtype}
      store_add s2, buf2[s1, i0]
    }}
  }}
}}"#,
            zero = match dtype {
                "f32" | "f64" => "0.0",
                _ => "0",
            }
        );
        let lanes = if dtype.ends_with("64") { 2 } else { 4 };
        let pairs = [
            [StageSchedule::Scalar, StageSchedule::Scalar],
            [strip(0, lanes), strip(0, lanes)],
            [strip(1, lanes), strip(0, 1)],
        ];
        for chunks in [None, Some((0, 4))] {
            let schedules: Vec<_> = pairs.iter().map(|s| schedule(chunks, s)).collect();
            check(&format!("scatter {cols} {dtype}"), &function(&text), plain, &schedules);
        }
    }
}

/// What comes after a sum does not decide how many sums are made side by side.
#[test]
fn long_ends_leave_sums_as_many_chains() {
    let chains = |ends: usize| {
        let end: String = (1..=ends).map(|n| format!("      s{n} = add s{}, s0 : f32\n", n - 1)).collect();
        let text = format!(
            r#"kernels @t {{
  buffer buf0 "x" : f32[100] param 0
  buffer buf1 "w" : f32[100,256] param 1
  buffer buf2 "y" : f32[256] result 0
  kernel k0 (i0 < 256) {{
    stage {{
      fold reduce (i1 < 100) {{
        s0 = load buf0[i1] : f32
        s1 = load buf1[i1, i0] : f32
        acc0 = dot s0, s1 : f32
      }}
      s0 = acc0 : f32
{end}      store s{ends}, buf2[i0]
    }}
    schedule {{
      stage 0 strip i0 lanes 8
    }}
  }}
}}"#
        );
        let f = parse("test", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
        let target = Target::parse("x86_64-unknown-linux-gnu", "x86-64-v3").unwrap();
        let (_, assembly) = dump(&target, &f, &f.kernels[0]).unwrap();
        let accumulators = assembly.split("vfmadd231ps ymm").skip(1).map(|rest| rest.split(',').next());
        accumulators.collect::<HashSet<_>>().len()
    };
    assert_eq!([1, 60].map(chains), [11, 8]);
    // Code of hundreds of instructions is not repeated as often.
    assert_eq!([300, 700].map(chains), [2, 1]);
}

/// `y[i0, i1] = Σ x[i0, i2]·w[i1, i2]` with partial results.
fn rows_by_a_row((m, n, k): (usize, usize, usize), partials: usize) -> String {
    format!(
        r#"kernels @t {{
  buffer buf0 "x" : f32[{m},{k}] param 0
  buffer buf1 "w" : f32[{n},{k}] param 1
  buffer buf2 "y" : f32[{m},{n}] result 0
  kernel k0 (i0 < {m}, i1 < {n}) {{
    stage {{
      fold reduce lanes {partials} (i2 < {k}) {{
        s0 = load buf0[i0, i2] : f32
        s1 = load buf1[i1, i2] : f32
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
fn points_that_read_a_vector_in_common_are_run_together() {
    for n in [1, 2, 5, 6, 7, 13, 64] {
        for (m, k, partials) in [(1, 16, 16), (2, 37, 16), (1, 100, 8), (3, 129, 16), (1, 7, 8)] {
            let f = function(&rows_by_a_row((m, n, k), partials));
            for lanes in [4, 8, 16].into_iter().filter(|lanes| lanes <= &partials) {
                let chunks = [None, Some((1, 4)), Some((1, 5)), Some((0, 1))];
                let schedules = chunks.map(|chunks| schedule(chunks, &[strip(2, lanes)]));
                check(&format!("{m}x{n}x{k} in {partials} by {lanes}"), &f, plain, &schedules);
                check(&format!("{m}x{n}x{k} in {partials} by {lanes}"), &f, corners, &schedules);
            }
        }
    }
    // Six points at a time read `x` once, two vectors a round.
    let text = rows_by_a_row((1, 60, 16 * 40), 16)
        .replace("    }\n  }\n}", "    }\n    schedule {\n      stage 0 strip i2 lanes 8\n    }\n  }\n}");
    let f = parse("test", &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let target = Target::parse("x86_64-unknown-linux-gnu", "x86-64-v3").unwrap();
    let (_, assembly) = dump(&target, &f, &f.kernels[0]).unwrap();
    let count = |what: &str| assembly.matches(what).count();
    assert_eq!(count("vfmadd231ps ymm"), 12, "{assembly}");
}
