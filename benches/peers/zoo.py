"""The networks of `examples/models`: the text that Bessemer reads, and the same networks in the frameworks."""

import pathlib
import subprocess
from dataclasses import dataclass

from steps import jax_adam, jax_call, onnx_call, tensorflow_adam

WRITE_MODELS = pathlib.Path(__file__).resolve().parents[2] / "target" / "release" / "examples" / "write_models"
TRAINED = ("mnist_cnn", "resnet18", "mobilenet_v2", "gpt")
INFERRED = ("mnist_cnn", "resnet18", "resnet50", "mobilenet_v2", "googlenet")

# Of `gpt`.
VOCABULARY, LENGTH, WIDTH, HEADS, LAYERS = 96, 128, 256, 4, 4


@dataclass(frozen=True)
class Zoo:
    """A network of the zoo; `update` is `train` or `predict`, `pixels` those of a side of an image."""

    name: str
    pixels: int
    update: str
    batch: int

    @staticmethod
    def parse(text):
        """`resnet18@64,train,16`; `@64` may be left out."""
        name, update, batch = text.split(",")
        name, _, pixels = name.partition("@")
        if name not in {"train": TRAINED, "predict": INFERRED}.get(update, ()):
            raise SystemExit(
                f"`{text}` is no network of the zoo: expected NAME@PIXELS,train,BATCH with one of {', '.join(TRAINED)}, "
                f"or NAME@PIXELS,predict,BATCH with one of {', '.join(INFERRED)}"
            )
        return Zoo(name, int(pixels or 224), update, int(batch))

    def __str__(self):
        at = f"@{self.pixels}" if self.name not in ("mnist_cnn", "gpt") else ""
        return f"{self.name}{at},{self.update},{self.batch}"

    @property
    def trains(self):
        return self.update == "train"

    def text(self):
        """Written by the example `write_models`, which has the functions that build the networks."""
        if not WRITE_MODELS.exists():
            raise SystemExit(f"{WRITE_MODELS} is missing: build it with `cargo build --release --examples`")
        out = WRITE_MODELS.parent
        command = [str(part) for part in (WRITE_MODELS, self.name, "--pixels", self.pixels, "--out", out)]
        subprocess.run(command, check=True, capture_output=True)
        return (out / f"{self.name}.bsm").read_text()


def data(network):
    """The batch as arrays, images with their channels last."""
    import numpy

    random = numpy.random.default_rng(1)
    if network.name == "gpt":
        text = random.integers(0, VOCABULARY, (network.batch, LENGTH + 1))
        return text[:, :-1], text[:, 1:]
    side, channels, classes = (28, 1, 10) if network.name == "mnist_cnn" else (network.pixels, 3, 1000)
    shape = (network.batch, side, side, channels)
    return random.random(shape, numpy.float32), random.integers(0, classes, network.batch)


def torch_model(network):
    from torch import nn

    if network.name == "mnist_cnn":
        same = lambda i, o: [nn.Conv2d(i, o, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)]
        dense = [nn.Flatten(), nn.Linear(3136, 1024), nn.ReLU(), nn.Dropout(0.5), nn.Linear(1024, 10)]
        return nn.Sequential(*same(1, 32), *same(32, 64), *dense)
    if network.name == "gpt":
        return _torch_gpt()
    import torchvision

    options = {"init_weights": False, "aux_logits": False} if network.name == "googlenet" else {}
    return getattr(torchvision.models, network.name)(weights=None, **options)


def _torch_gpt():
    from torch import nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
            self.heads, self.merged = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
            self.hidden = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

        def forward(self, x):
            batch = x.shape[0]
            split = self.heads(self.norms[0](x)).view(batch, LENGTH, 3, HEADS, WIDTH // HEADS)
            queries, keys, values = split.permute(2, 0, 3, 1, 4)
            gathered = nn.functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
            x = x + self.merged(gathered.transpose(1, 2).reshape(batch, LENGTH, WIDTH))
            return x + self.hidden(self.norms[1](x))

    class Gpt(nn.Module):
        def __init__(self):
            super().__init__()
            self.characters, self.positions = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(LENGTH, WIDTH)
            self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
            self.logits = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCABULARY))

        def forward(self, x):
            return self.logits(self.blocks(self.characters(x) + self.positions.weight)).flatten(0, 1)

    return Gpt()


def torch_step(network, threads, compiled):
    import torch

    torch.set_num_threads(threads)
    x, y = (torch.from_numpy(part) for part in data(network))
    model = torch_model(network)
    if network.name != "gpt":
        x = x.permute(0, 3, 1, 2).contiguous()
    call = torch.compile(model) if compiled else model
    if not network.trains:
        model.eval()

        def step():
            with torch.inference_mode():
                return float(torch.softmax(call(x), 1)[0, 0])

        return step
    parameters = model.parameters()
    optimizer = {
        "mnist_cnn": lambda: torch.optim.Adam(parameters, lr=1e-3, fused=True),
        "gpt": lambda: torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.1, fused=True),
    }.get(network.name, lambda: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=1e-4))()

    def step():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(call(x), y.flatten())
        loss.backward()
        if network.name == "gpt":
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return loss.item()

    return step


def onnx_step(network, threads):
    import numpy
    import torch

    if network.trains:
        raise SystemExit("ONNX Runtime does not train here")
    x = numpy.ascontiguousarray(data(network)[0].transpose(0, 3, 1, 2))
    return onnx_call(torch.nn.Sequential(torch_model(network), torch.nn.Softmax(1)), x, threads)


def cnn_parameters():
    """Filters and weights of `mnist_cnn`, each with its biases; filters have their channels last."""
    import numpy

    random = numpy.random.default_rng(2)
    shapes = ((5, 5, 1, 32), (5, 5, 32, 64), (3136, 1024), (1024, 10))
    weights = (random.normal(0, 0.05, shape).astype("float32") for shape in shapes)
    return [(weight, numpy.zeros(weight.shape[-1], "float32")) for weight in weights]


def jax_step(network, threads):
    import jax
    import jax.numpy as np

    only_cnn(network)
    x, y = (np.array(part) for part in data(network))
    params = jax.tree.map(np.array, cnn_parameters())

    def logits(params, x, key):
        for filters, bias in params[:2]:
            x = jax.lax.conv_general_dilated(x, filters, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = jax.lax.reduce_window(jax.nn.relu(x + bias), -np.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        (hidden, hidden_bias), (last, last_bias) = params[2:]
        x = jax.nn.relu(x.reshape(len(x), -1) @ hidden + hidden_bias)
        if key is not None:
            x = np.where(jax.random.bernoulli(key, 0.5, x.shape), x * 2, 0)
        return x @ last + last_bias

    if not network.trains:
        predict = jax.jit(lambda params, x: jax.nn.softmax(logits(params, x, None)))
        return lambda: float(predict(params, x)[0, 0])

    def loss_of(params, count, x, y):
        key = jax.random.fold_in(jax.random.key(0), count)
        return -np.mean(np.take_along_axis(jax.nn.log_softmax(logits(params, x, key)), y[:, None], 1))

    return jax_call(*jax_adam(loss_of, params), x, y)


def tensorflow_step(network, threads, xla):
    import tensorflow as tf

    only_cnn(network)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    x, y = (tf.constant(part) for part in data(network))
    params = [(tf.Variable(weight), tf.Variable(bias)) for weight, bias in cnn_parameters()]

    def logits(x, dropout):
        for filters, bias in params[:2]:
            x = tf.nn.max_pool2d(tf.nn.relu(tf.nn.conv2d(x, filters, 1, "SAME") + bias), 2, 2, "VALID")
        (hidden, hidden_bias), (last, last_bias) = params[2:]
        x = tf.nn.relu(tf.reshape(x, (network.batch, -1)) @ hidden + hidden_bias)
        return (tf.nn.dropout(x, 0.5) if dropout else x) @ last + last_bias

    if not network.trains:
        predict = tf.function(lambda x: tf.nn.softmax(logits(x, False)), jit_compile=xla)
        return lambda: float(predict(x)[0, 0])
    flat = [part for layer in params for part in layer]
    adam = tensorflow_adam(flat)

    @tf.function(jit_compile=xla)
    def update(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits(x, True)))
        adam(tape.gradient(loss, flat))
        return loss

    return lambda: float(update(x, y))


def only_cnn(network):
    if network.name != "mnist_cnn":
        raise SystemExit(f"of the zoo, only `mnist_cnn` is written for this framework, not `{network.name}`")


FRAMEWORKS = {
    "torch": lambda network, threads: torch_step(network, threads, False),
    "torch.compile": lambda network, threads: torch_step(network, threads, True),
    "jax": jax_step,
    "tensorflow": lambda network, threads: tensorflow_step(network, threads, False),
    "tensorflow xla": lambda network, threads: tensorflow_step(network, threads, True),
    "onnxruntime": onnx_step,
}
