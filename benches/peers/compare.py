"""Whole steps of dense networks, in Bessemer and in the frameworks, taking turns. See the README beside it."""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

from network import Network

HERE = pathlib.Path(__file__).resolve().parent
BESSEMER = HERE.parent.parent / "target" / "release" / "bessemer"
FRAMEWORKS = ("torch", "torch.compile", "jax", "tensorflow", "tensorflow xla")
NETWORKS = (
    "784-10,relu,sgd,100",
    "784-128-10,relu,sgd,100",
    "784-1024-1024-10,relu,adam,100",
    "784-128-10,relu,predict,1",
)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=NETWORKS, help="EXTENTS,ACTIVATION,UPDATE,BATCH")
    parser.add_argument("--frameworks", nargs="+", default=FRAMEWORKS, choices=FRAMEWORKS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2, help="per contender and round")
    options = parser.parse_args()
    if not BESSEMER.exists():
        raise SystemExit(f"{BESSEMER} is missing: build it with `cargo build --release`")
    names = ["bessemer", *options.frameworks]
    print(f"{'network':32}" + "".join(f"{name:>16}" for name in names) + f"{'ratio':>8}  µs a step (ms to the first)")
    for network in map(Network.parse, options.networks):
        print(row(network, names, options), flush=True)


def row(network, names, options):
    runs = {name: [] for name in names}
    for _ in range(options.rounds):
        for name in names:
            run = bessemer(network, options) if name == "bessemer" else contender(name, network, options)
            if run:
                runs[name].append(run)
    median = lambda name, key: statistics.median(run[key] for run in runs[name])
    cells = [
        f"{median(name, 'median_us'):9.1f} ({median(name, 'first_ms'):4.0f})" if runs[name] else "–" for name in names
    ]
    others = [median(name, "median_us") for name in options.frameworks if runs[name]]
    ratio = f"{median('bessemer', 'median_us') / min(others):.2f}" if others else "–"
    return f"{str(network):32}" + "".join(f"{cell:>16}" for cell in cells) + f"{ratio:>8}"


def bessemer(network, options):
    with tempfile.TemporaryDirectory() as folder:
        model = pathlib.Path(folder) / "peer.bsm"
        model.write_text(network.text())
        entry = "train_step" if network.trains else "predict"
        arguments = ["--entry", entry, "--batch", network.batch, "--threads", options.threads]
        command = [BESSEMER, "bench", model, *arguments, "--seconds", options.seconds, "--json"]
        out = subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True)
    figures = json.loads(out.stdout)
    return {"median_us": figures["median_us"], "first_ms": figures["compile_ms"]}


def contender(name, network, options):
    command = [sys.executable, HERE / "contender.py", name, network, options.threads, options.seconds]
    out = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if out.returncode:
        reason = out.stderr.strip().splitlines()[-1:] or ["no reason given"]
        print(f"{name} is left out of {network}: {reason[0]}", file=sys.stderr)
        return None
    return json.loads(out.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
