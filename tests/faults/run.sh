#!/usr/bin/env bash
# Seeded faults: applies each patch of this folder in turn to a copy of the tree, and runs the tests on it.
#
#   tests/faults/run.sh              all of them; an hour or two
#   tests/faults/run.sh 'adam-*'     those of these names
#
# A fault is caught if a test fails or the compiler refuses it. A patch says which tests are to catch it; they run first,
# then all, up to the first that fails. The last line counts; the exit code is 0 if at most 2 in 40 are missed.
set -euo pipefail
cd "$(dirname "$0")/../.."
root=$PWD
faults=$root/target/faults
tree=$faults/tree
log=$faults/log
export CARGO_TARGET_DIR=$faults/target CARGO_TERM_COLOR=never RUST_BACKTRACE=0
# The copy lies within a repository, but is none.
export GIT_CEILING_DIRECTORIES=$faults

# Whether some tests of the tree fail, or do not even compile.
fails() {
    # shellcheck disable=SC2086 # a selection of tests is several words
    ! (cd "$tree" && timeout 1800 cargo test --quiet $1) >"$log" 2>&1
}

rm -rf "$tree"
mkdir -p "$tree"
git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- --create | tar -x -C "$tree"
if fails --workspace; then
    echo "the tests fail without any fault: see $log"
    exit 1
fi
count=0 caught=0
for patch in "$root"/tests/faults/${1:-*}.patch; do
    name=$(basename "$patch" .patch)
    count=$((count + 1))
    (cd "$tree" && git apply "$patch")
    stated=$(sed -n 's/^Caught by: cargo test //p' "$patch")
    if fails "$stated" || fails --workspace; then
        caught=$((caught + 1))
        echo "$name: caught: $(grep -m1 -oE '^---- .* stdout|^error.*|^test .* FAILED|panicked at .*' "$log" || true)"
    else
        echo "$name: MISSED"
    fi
    (cd "$tree" && git apply --reverse "$patch")
done
echo "$caught of $count faults caught"
[ $((40 * (count - caught))) -le $((2 * count)) ]
