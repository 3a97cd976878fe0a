"""Whole steps of networks, in Bessemer and in the frameworks, taking turns. See the README beside it."""

import argparse
import importlib.metadata
import json
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile

import dense
import zoo

HERE = pathlib.Path(__file__).resolve().parent
BESSEMER = HERE.parent.parent / "target" / "release" / "bessemer"
FRAMEWORKS = tuple(dense.FRAMEWORKS)
NETWORKS = (
    "784-10,relu,sgd,100",
    "784-128-10,relu,sgd,100",
    "784-1024-1024-10,relu,adam,100",
    "784-128-10,relu,predict,1",
    "mnist_cnn,train,50",
    "mnist_cnn,predict,1",
    "resnet18@64,train,16",
    "mobilenet_v2@96,train,8",
    "gpt,train,8",
    "googlenet,predict,1",
    "resnet50,predict,1",
)


def parse(text):
    """A network: dense ones begin with a number, those of the zoo with their name."""
    return dense.Network.parse(text) if text[:1].isdigit() else zoo.Zoo.parse(text)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=NETWORKS, help="EXTENTS,ACTIVATION,UPDATE,BATCH or NAME@PIXELS,train|predict,BATCH")
    parser.add_argument("--frameworks", nargs="+", default=FRAMEWORKS, choices=FRAMEWORKS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2, help="per contender and round")
    parser.add_argument("--verbose", action="store_true", help="say why a framework is left out")
    options = parser.parse_args()
    if not BESSEMER.exists():
        raise SystemExit(f"{BESSEMER} is missing: build it with `cargo build --release`")
    names = ["bessemer", *options.frameworks]
    print(machine())
    print(f"{'network':32}" + "".join(f"{name:>16}" for name in names) + f"{'ratio':>8}  µs a step (ms to the first)")
    for network in map(parse, options.networks):
        print(row(network, names, options), flush=True)


def machine():
    """What the figures were taken on and with."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    flags = next(line for line in lines if line.startswith("flags")).split()
    wide = [name for name in ("avx2", "fma", "avx512f") if name in flags]
    packages = ("torch", "jax", "tensorflow-cpu", "onnxruntime", "torchvision")
    versions = []
    for package in packages:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    cpus = sum(line.startswith("processor") for line in lines)
    return f"{platform.machine()} with {', '.join(wide)}, {cpus} CPUs; {', '.join(versions)}"


def row(network, names, options):
    runs = {name: [] for name in names}
    for n in range(options.rounds):
        # What failed once is left out.
        for name in names if n == 0 else [name for name in names if runs[name]]:
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
        if options.verbose:
            print(f"{name} is left out of {network}: {reason[0]}", file=sys.stderr)
        return None
    return json.loads(out.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
