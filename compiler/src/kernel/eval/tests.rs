use super::super::{BufferKind, parse, verify};
use super::*;
use crate::tensor::Tensor;

const FUSED: Options = Options { fused_multiply_add: true };

/// A verified function from its buffers and kernels.
fn function(text: &str) -> KernelFunction {
    let function = parse("t", &format!("kernels @f {{\n{text}\n}}")).unwrap_or_else(|e| panic!("{e}"));
    verify(&function).unwrap_or_else(|e| panic!("{e}\n{function}"));
    function
}

/// Memory with these parameters.
fn memory(function: &KernelFunction, params: &[Tensor]) -> Memory {
    let mut memory = Memory::new(function);
    for (id, buffer) in &function.buffers {
        if let BufferKind::Param(n) = buffer.kind {
            memory.set(id, &params[n]);
        }
    }
    memory
}

fn results(function: &KernelFunction, memory: &Memory) -> Vec<Tensor> {
    let mut results: Vec<(usize, Tensor)> = function
        .buffers
        .iter()
        .filter_map(
            |(id, b)| if let BufferKind::Result(n) = b.kind { Some((n, memory.get(id))) } else { None },
        )
        .collect();
    results.sort_by_key(|r| r.0);
    results.into_iter().map(|r| r.1).collect()
}

/// The results of a function in which no check fails.
fn run_with(text: &str, params: &[Tensor], options: Options) -> Vec<Tensor> {
    let function = function(text);
    let mut memory = memory(&function, params);
    evaluate(&function, &mut memory, options).unwrap();
    results(&function, &memory)
}

fn run(text: &str, params: &[Tensor]) -> Vec<Tensor> {
    run_with(text, params, FUSED)
}

fn f32s(shape: &[usize], values: &[f32]) -> Tensor {
    Tensor::from_vec(shape, values.to_vec())
}

/// Numbers whose sums depend on the order.
fn uneven(n: usize) -> Vec<f32> {
    (0..n as i32).map(|i| ((i * 7919 % 1013 - 500) as f32) * 1.1f32.powi(i % 37 - 18)).collect()
}

#[test]
fn a_contraction_with_an_epilogue() {
    let (m, k, n) = (3, 5, 4);
    let text = "
      buffer buf0 \"x\" : f32[3,5] param 0
      buffer buf1 \"w\" : f32[5,4] param 1
      buffer buf2 \"b\" : f32[4] param 2
      buffer buf3 \"r\" : f32[3,4] result 0
      kernel k0 (i0 < 3, i1 < 4) {
        stage {
          fold reduce (i2 < 5) {
            s0 = load buf0[i0, i2] : f32
            s1 = load buf1[i2, i1] : f32
            acc0 = dot s0, s1 : f32
          }
          s0 = acc0 : f32
          s1 = load buf2[i1] : f32
          s2 = add s0, s1 : f32
          s3 = const 0.0 : f32
          s4 = max s2, s3 : f32
          store s4, buf3[i0, i1]
        }
      }";
    let (x, w, b) = (uneven(m * k), uneven(k * n), uneven(n));
    let params = [f32s(&[m, k], &x), f32s(&[k, n], &w), f32s(&[n], &b)];
    for fused in [true, false] {
        let dot = |i: usize, j: usize| {
            (0..k).fold(0f32, |acc, p| {
                let (a, b) = (x[i * k + p], w[p * n + j]);
                if fused { a.mul_add(b, acc) } else { a * b + acc }
            })
        };
        let expected: Vec<f32> = (0..m * n).map(|p| (dot(p / n, p % n) + b[p % n]).max(0.0)).collect();
        let options = Options { fused_multiply_add: fused };
        assert_eq!(run_with(text, &params, options), [f32s(&[m, n], &expected)], "fused: {fused}");
    }
}

fn sum(extent: usize, lanes: usize) -> String {
    format!(
        "buffer buf0 \"x\" : f32[2,{extent}] param 0
         buffer buf1 \"r\" : f32[] result 0
         kernel k0 {{ stage {{
           fold reduce lanes {lanes} (i0 < 2, i1 < {extent}) {{ s0 = load buf0[i0, i1] : f32 acc0 = sum s0 : f32 }}
           s0 = acc0 : f32
           store s0, buf1[]
         }} }}"
    )
}

#[test]
fn lanes_are_by_the_innermost_coordinate_and_combined_in_pairs() {
    for extent in [0, 1, 3, 4, 5, 11] {
        let x = uneven(2 * extent);
        let mut lanes = [0f32; 4];
        for (i, v) in x.iter().enumerate() {
            lanes[i % extent % 4] += v;
        }
        let expected = (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
        assert_eq!(run(&sum(extent, 4), &[f32s(&[2, extent], &x)]), [f32s(&[], &[expected])], "{extent}");
        let in_order = x.iter().fold(0f32, |sum, v| sum + v);
        assert_eq!(run(&sum(extent, 1), &[f32s(&[2, extent], &x)]), [f32s(&[], &[in_order])], "{extent}");
    }
}

#[test]
fn a_sum_of_negative_zeros_is_zero() {
    assert_eq!(run(&sum(1, 1), &[f32s(&[2, 1], &[-0.0, -0.0])]), [f32s(&[], &[0.0])]);
}

/// Every combination over one axis, for every type that it takes, is what a loop gives.
#[test]
fn combinations_of_every_type() {
    let reduce = |op: &str, of: &str, result: &str, extent: usize, lanes: usize, x: &Tensor| {
        let text = format!(
            "buffer buf0 \"x\" : {of}[{extent}] param 0
             buffer buf1 \"r\" : {result}[] result 0
             kernel k0 {{ stage {{
               fold reduce lanes {lanes} (i0 < {extent}) {{ s0 = load buf0[i0] : {of} acc0 = {op} s0 : {result} }}
               s0 = acc0 : {result}
               store s0, buf1[]
             }} }}"
        );
        run(&text, std::slice::from_ref(x)).remove(0)
    };
    for lanes in [1, 2, 8] {
        let i32s = |v: &[i32]| Tensor::from_vec(&[v.len()], v.to_vec());
        let x = i32s(&[i32::MAX, 2, -5, 2, 7]);
        assert_eq!(reduce("sum", "i32", "i32", 5, lanes, &x), Tensor::from(i32::MIN + 5));
        assert_eq!(reduce("prod", "i32", "i32", 5, lanes, &x), Tensor::from(140));
        assert_eq!(reduce("max", "i32", "i32", 5, lanes, &x), Tensor::from(i32::MAX));
        assert_eq!(reduce("min", "i32", "i32", 5, lanes, &x), Tensor::from(-5));
        assert_eq!(reduce("max", "i32", "i32", 0, lanes, &i32s(&[])), Tensor::from(i32::MIN));
        assert_eq!(reduce("min", "i32", "i32", 0, lanes, &i32s(&[])), Tensor::from(i32::MAX));
        assert_eq!(reduce("max", "f32", "f32", 0, lanes, &f32s(&[0], &[])), Tensor::from(f32::NEG_INFINITY));
        assert_eq!(reduce("prod", "f32", "f32", 0, lanes, &f32s(&[0], &[])), Tensor::from(1f32));
        let bools = |v: &[bool]| Tensor::from_vec(&[v.len()], v.to_vec());
        assert_eq!(
            reduce("sum", "bool", "bool", 3, lanes, &bools(&[false, true, false])),
            Tensor::from(true)
        );
        assert_eq!(reduce("prod", "bool", "bool", 3, lanes, &bools(&[true, true, true])), Tensor::from(true));
        assert_eq!(
            reduce("prod", "bool", "bool", 3, lanes, &bools(&[true, false, true])),
            Tensor::from(false)
        );
        assert_eq!(reduce("sum", "bool", "bool", 0, lanes, &bools(&[])), Tensor::from(false));
        let nan = f32::NAN;
        assert_eq!(reduce("max", "f32", "f32", 3, lanes, &f32s(&[3], &[1.0, nan, 2.0])), Tensor::from(nan));
        for (x, largest, smallest) in [
            (&[1.0, 3.0, 3.0, 0.5, 0.5][..], 1, 3),
            (&[1.0, nan, 9.0, nan, 0.0], 1, 1),
            (&[0.0, -0.0, 0.0], 0, 0),
            (&[f32::NEG_INFINITY, f32::NEG_INFINITY], 0, 0),
            (&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 9.0], 8, 0),
            (&[], 0, 0),
        ] {
            let tensor = f32s(&[x.len()], x);
            assert_eq!(
                reduce("argmax", "f32", "i32", x.len(), lanes, &tensor),
                Tensor::from(largest),
                "{x:?}"
            );
            let smallest = Tensor::from(i64::from(smallest));
            assert_eq!(reduce("argmin", "f32", "i64", x.len(), lanes, &tensor), smallest, "{x:?}");
        }
    }
}

#[test]
fn scans_include_or_leave_out_the_current_element() {
    let text = "
      buffer buf0 \"x\" : f32[2,3] param 0
      buffer buf1 \"r\" : f32[2,3] result 0
      buffer buf2 \"r\" : f32[2,3] result 1
      buffer buf3 \"r\" : i32[2,3] result 2
      kernel k0 (i0 < 2) { stage {
        fold scan (i1 < 3) { s0 = load buf0[i0, -i1 + 2] : f32 acc0 = sum s0 : f32 acc1 = argmax s0 : i32 }
        s0 = acc0 : f32
        s1 = acc0 before : f32
        s2 = acc1 : i32
        store s0, buf1[i0, -i1 + 2]
        store s1, buf2[i0, -i1 + 2]
        store s2, buf3[i0, -i1 + 2]
      } }";
    let found = run(text, &[f32s(&[2, 3], &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0])]);
    assert_eq!(found[0], f32s(&[2, 3], &[7.0, 6.0, 4.0, 56.0, 48.0, 32.0]));
    assert_eq!(found[1], f32s(&[2, 3], &[6.0, 4.0, 0.0, 48.0, 32.0, 0.0]));
    assert_eq!(found[2], Tensor::from_vec(&[2, 3], vec![0; 6]));
}

/// Rows of `x` that `y` names, and the reverse: rows of `x` added to those that `y` names.
const GATHER_AND_SCATTER: &str = "
  buffer buf0 \"x\" : f32[4,2] param 0
  buffer buf1 \"y\" : i32[4] param 1
  buffer buf2 \"r\" : f32[4,2] result 0
  buffer buf3 \"r\" : f32[4,2] result 1
  buffer buf4 \"r\" : i32[1] result 2
  check 0 \"y\" [4] < 4
  check 1 \"y\" [4] < 3
  kernel k0 (i0 < 4, i1 < 2) { stage {
    s0 = load buf1[-i0 + 3] : i32
    s1 = check s0 site 1 at -i0 + 3 : i32
    s2 = check s0 site 0 at -i0 + 3 : i32
    s3 = load buf0[s2, i1] : f32
    store s3, buf2[-i0 + 3, i1]
  } }
  kernel k1 (i0 < 2) {
    stage (i1 < 4) { s0 = const 0.5 : f32 store s0, buf3[i1, i0] }
    stage {
      fold scan (i1 < 4) { }
      s0 = load buf1[i1] : i32
      s1 = check s0 site 1 at i1 : i32
      s2 = load buf0[i1, i0] : f32
      store_add s2, buf3[s1, i0]
    }
  }
  kernel k2 { stage { s0 = const 7 : i32 store s0, buf4[0] } }";

#[test]
fn gather_and_scatter() {
    let x = f32s(&[4, 2], &[1.0, 2.0, 10.0, 20.0, 100.0, 200.0, 1000.0, 2000.0]);
    let found = run(GATHER_AND_SCATTER, &[x, Tensor::from_vec(&[4], vec![2, 0, 2, 1])]);
    assert_eq!(found[0], f32s(&[4, 2], &[100.0, 200.0, 1.0, 2.0, 100.0, 200.0, 10.0, 20.0]));
    assert_eq!(found[1], f32s(&[4, 2], &[10.5, 20.5, 1000.5, 2000.5, 101.5, 202.5, 0.5, 0.5]));
    assert_eq!(found[2], Tensor::from_vec(&[1], vec![7]));
}

#[test]
fn the_smallest_error_ends_the_function_after_its_kernel() {
    let function = function(GATHER_AND_SCATTER);
    let x = f32s(&[4, 2], &[1.0, 2.0, 10.0, 20.0, 100.0, 200.0, 1000.0, 2000.0]);
    let mut memory = memory(&function, &[x, Tensor::from_vec(&[4], vec![3, -5, 9, 0])]);
    // Site 1 fails at 0, 1 and 2, site 0 at 1 and 2; the points run from position 3 down.
    let error = evaluate(&function, &mut memory, FUSED).unwrap_err();
    assert_eq!(error, IndexError { site: 0, position: 1, value: -5 });
    let found = results(&function, &memory);
    assert_eq!(found[0], f32s(&[4, 2], &[1000.0, 2000.0, 1.0, 2.0, 1000.0, 2000.0, 1.0, 2.0]));
    assert_eq!(found[1], Tensor::zeros(crate::types::DType::F32, &[4, 2]));
    assert_eq!(found[2], Tensor::from_vec(&[1], vec![0]));
}

#[test]
fn views_stages_locals_aliases_and_constants() {
    let text = "
      buffer buf0 \"x\" : f32[3,2] param 0
      buffer buf1 \"c\" : f32[2] constant [10.0, 20.0]
      buffer buf2 \"m\" : f32[3] local
      buffer buf3 \"t\" : f32[3,2] temp
      buffer buf4 \"t\" : f32[6] alias buf3
      buffer buf5 \"t\" : f32[2,3] alias buf4
      buffer buf6 \"r\" : f32[5,3] result 0
      buffer buf7 \"none\" : f32[0] result 1
      kernel k0 (i0 < 3) {
        stage {
          fold reduce (i1 < 2) { s0 = load buf0[i0, i1] : f32 acc0 = max s0 : f32 }
          s0 = acc0 : f32
          store s0, buf2[i0]
        }
        stage (i1 < 2) {
          s0 = load buf0[i0, i1] : f32
          s1 = load buf2[i0] : f32
          s2 = sub s0, s1 : f32
          s3 = load buf1[-i1 + 1] : f32
          s4 = add s2, s3 : f32
          store s4, buf3[i0, i1]
        }
      }
      kernel k1 (i0 < 5, i1 < 3) { stage {
        s0 = load buf5[i0 - 1, i1] where 0 <= i0 - 1 < 2 else -1.0 : f32
        s1 = in_bounds 0 <= i0 - 4 < 1, 0 <= i1 < 2 : bool
        s2 = index i0 + 10*i1 : i32
        s3 = convert s2 : f32
        s4 = select s1, s3, s0 : f32
        store s4, buf6[i0, i1]
      } }
      kernel k2 (i0 < 0) { stage { s0 = const 1 : f32 store s0, buf7[i0] } }";
    let found = run(text, &[f32s(&[3, 2], &[1.0, 2.0, 5.0, 3.0, 0.0, 0.0])]);
    let expected = [-1.0, -1.0, -1.0, 19.0, 10.0, 20.0, 8.0, 20.0, 10.0, -1.0, -1.0, -1.0, 4.0, 14.0, -1.0];
    assert_eq!(found[0], f32s(&[5, 3], &expected));
    assert_eq!(found[1], f32s(&[0], &[]));
}

#[test]
fn random_words_of_the_state() {
    let text = "
      buffer buf0 \"random\" : i64[2] random_state
      buffer buf1 \"r\" : i64[3,4] result 0
      kernel k0 (i0 < 3) { stage {
        s0 = load buf0[0] : i64
        s1 = load buf0[1] : i64
        s2 = index i0 : i64
        s3 = philox key 5 seed s0 step s1 element s2 word 0 : i64
        s4 = philox key 5 seed s0 step s1 element s2 word 3 : i64
        store s3, buf1[i0, 0]
        store s4, buf1[i0, 1]
        store s0, buf1[i0, 2]
        store s1, buf1[i0, 3]
      } }";
    let function = function(text);
    let mut memory = Memory::new(&function);
    let state = function.buffers.keys().next().unwrap();
    memory.set(state, &Tensor::from_vec(&[2], vec![-3i64, 1 << 40]));
    evaluate(&function, &mut memory, FUSED).unwrap();
    let word = |element, word| super::super::scalar::philox(5, -3, 1 << 40, element, word);
    let rows: Vec<i64> = (0..3).flat_map(|e| [word(e, 0), word(e, 3), -3, 1 << 40]).collect();
    assert_eq!(results(&function, &memory), [Tensor::from_vec(&[3, 4], rows)]);
}

#[test]
#[should_panic(expected = "`buf0` is f32[2], the tensor i32[2]")]
fn a_tensor_of_another_type_is_refused() {
    let function = function("buffer buf0 \"x\" : f32[2] param 0");
    memory(&function, &[Tensor::from_vec(&[2], vec![1, 2])]);
}
