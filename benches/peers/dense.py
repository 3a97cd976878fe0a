"""Dense networks: what they are, the text that Bessemer reads, and the same networks in the frameworks."""

from dataclasses import dataclass

from steps import jax_adam, jax_call, onnx_call, tensorflow_adam

ACTIVATIONS = ("relu", "tanh", "sigmoid", "gelu")
UPDATES = ("sgd", "adam", "predict")


@dataclass(frozen=True)
class Network:
    """A classifier of dense layers, with softmax cross-entropy; `update` is an optimizer or `predict`."""

    extents: tuple
    activation: str
    update: str
    batch: int

    @staticmethod
    def parse(text):
        """`784-128-10,relu,sgd,100`."""
        extents, activation, update, batch = text.split(",")
        extents = tuple(int(extent) for extent in extents.split("-"))
        if len(extents) < 2 or activation not in ACTIVATIONS or update not in UPDATES:
            raise SystemExit(f"`{text}` is no network: expected EXTENT-…-EXTENT,ACTIVATION,UPDATE,BATCH")
        return Network(extents, activation, update, int(batch))

    def __str__(self):
        extents = "-".join(str(extent) for extent in self.extents)
        return f"{extents},{self.activation},{self.update},{self.batch}"

    @property
    def trains(self):
        return self.update != "predict"

    @property
    def flops(self):
        """Multiplications and additions of the matrix products of a step; the first layer has no input gradient."""
        pairs = list(zip(self.extents, self.extents[1:]))
        forward = sum(a * b for a, b in pairs)
        backward = sum(a * b for a, b in pairs[1:]) + forward if self.trains else 0
        return 2 * self.batch * (forward + backward)

    def text(self):
        """The network as a module, with the entry point `predict` or `train_step`."""
        writer = _Writer()
        writer.variables(self.extents)
        first, last = self.extents[0], self.extents[-1]
        if not self.trains:
            writer.line(f"func @predict(%x: f32[N,{first}]) -> (probabilities: f32[N,{last}]) {{")
            shifted = writer.shifted(writer.logits(self))
            exp = writer.node(f"exp {shifted}", f"f32[N,{last}]")
            total = writer.over_row(f"reduce_sum {exp}", last)
            writer.line(f"  return {writer.node(f'div {exp}, {total}', f'f32[N,{last}]')}")
            writer.line("}")
            return writer.module()
        writer.line(f"func @loss(%x: f32[N,{first}], %y: i32[N]) -> (loss: f32[]) {{")
        shifted = writer.shifted(writer.logits(self))
        exp = writer.node(f"exp {shifted}", f"f32[N,{last}]")
        total = writer.node(f"reduce_sum {exp} {{axes=[1], keep=true}}", "f32[N,1]")
        total = writer.node(f"log {total}", "f32[N,1]")
        total = writer.node(f"broadcast {total} {{shape=[N,{last}]}}", f"f32[N,{last}]")
        log = writer.node(f"sub {shifted}, {total}", f"f32[N,{last}]")
        labels = writer.node(f"check_index %y {{bound={last}}}", "i32[N]")
        hot = writer.node(f"one_hot {labels} {{depth={last}, dtype=f32}}", f"f32[N,{last}]")
        taken = writer.node(f"mul {log}, {hot}", f"f32[N,{last}]")
        taken = writer.node(f"reduce_sum {taken} {{axes=[0,1]}}", "f32[]")
        count = writer.node("extent {of=N}", "i64[]")
        count = writer.node(f"cast {count} {{to=f32}}", "f32[]")
        mean = writer.node(f"div {taken}, {count}", "f32[]")
        writer.line(f"  return {writer.node(f'neg {mean}', 'f32[]')}")
        writer.line("}")
        rate = {"sgd": "0.01", "adam": "0.001"}[self.update]
        writer.line(f"train @train_step() = minimize @loss with {self.update}(lr = {rate})")
        return writer.module()


class _Writer:
    """Writes nodes in order, with numbers for names."""

    def __init__(self):
        self.lines = ["module @peer"]
        self.count = 0

    def line(self, text):
        self.lines.append(text)

    def module(self):
        return "\n".join(self.lines) + "\n"

    def node(self, what, ty):
        name = f"%{self.count}"
        self.count += 1
        self.line(f"  {name} = {what} : {ty}")
        return name

    def number(self, value, ty):
        scalar = self.node(f"constant {{dtype=f32, shape=[], value={value}}}", "f32[]")
        return self.node(f"broadcast {scalar} {{shape={ty.removeprefix('f32')}}}", ty)

    def variables(self, extents):
        for n, (a, b) in enumerate(zip(extents, extents[1:])):
            self.line(f"var @w{n} : f32[{a},{b}] = glorot_uniform")
            self.line(f"var @b{n} : f32[{b}] = zeros")

    def logits(self, network):
        value, extents = "%x", network.extents
        for n, (a, b) in enumerate(zip(extents, extents[1:])):
            ty = f"f32[N,{b}]"
            weight = self.node(f"read @w{n}", f"f32[{a},{b}]")
            bias = self.node(f"read @b{n}", f"f32[{b}]")
            value = self.node(f"matmul {value}, {weight}", ty)
            bias = self.node(f"broadcast {bias} {{shape=[N,{b}]}}", ty)
            value = self.node(f"add {value}, {bias}", ty)
            if n + 2 < len(extents):
                value = self.activation(network.activation, value, ty)
        return value

    def activation(self, name, value, ty):
        if name == "relu":
            return self.node(f"max {value}, {self.number('0.0', ty)}", ty)
        if name != "gelu":
            return self.node(f"{name} {value}", ty)
        # The exact form: x / 2 · (1 + erf(x / √2)).
        scaled = self.node(f"mul {value}, {self.number('0.70710678', ty)}", ty)
        erf = self.node(f"erf {scaled}", ty)
        one = self.node(f"add {erf}, {self.number('1.0', ty)}", ty)
        half = self.node(f"mul {value}, {self.number('0.5', ty)}", ty)
        return self.node(f"mul {half}, {one}", ty)

    def shifted(self, logits):
        """The logits less the largest of their row."""
        last = self.lines[-1].rsplit(",", 1)[1].rstrip("]")
        stopped = self.node(f"stop_gradient {logits}", f"f32[N,{last}]")
        largest = self.over_row(f"reduce_max {stopped}", last)
        return self.node(f"sub {logits}, {largest}", f"f32[N,{last}]")

    def over_row(self, reduction, last):
        reduced = self.node(f"{reduction} {{axes=[1], keep=true}}", "f32[N,1]")
        return self.node(f"broadcast {reduced} {{shape=[N,{last}]}}", f"f32[N,{last}]")


def data(network):
    """The batch, and weights and biases of the layers."""
    import numpy

    random = numpy.random.default_rng(1)
    x = random.random((network.batch, network.extents[0]), numpy.float32)
    y = random.integers(0, network.extents[-1], network.batch)
    layers = []
    for a, b in zip(network.extents, network.extents[1:]):
        limit = (6 / (a + b)) ** 0.5
        layers.append((random.uniform(-limit, limit, (a, b)).astype("float32"), numpy.zeros(b, "float32")))
    return x, y, layers


def logits(params, x, activation):
    """The layers on arrays of any framework whose operators are those of NumPy."""
    for n, (weight, bias) in enumerate(params):
        x = x @ weight + bias
        if n + 1 < len(params):
            x = activation(x)
    return x


def torch_step(network, threads, compiled):
    import torch

    torch.set_num_threads(threads)
    x, y, layers = data(network)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    parts = []
    for n, (weight, bias) in enumerate(layers):
        linear = torch.nn.Linear(*weight.shape)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight).T)
            linear.bias.copy_(torch.from_numpy(bias))
        parts.append(linear)
        if n + 1 < len(layers):
            activation = {"relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid", "gelu": "GELU"}[network.activation]
            parts.append(getattr(torch.nn, activation)())
    model = torch.nn.Sequential(*parts)
    if not network.trains:
        call = torch.compile(model) if compiled else model

        def step():
            with torch.inference_mode():
                return float(torch.softmax(call(x), 1)[0, 0])

        return step
    optimizer = (
        torch.optim.SGD(model.parameters(), lr=0.01)
        if network.update == "sgd"
        else torch.optim.Adam(model.parameters(), lr=0.001, fused=True)
    )

    def loss_of(x, y):
        return torch.nn.functional.cross_entropy(model(x), y)

    loss_of = torch.compile(loss_of) if compiled else loss_of

    def step():
        optimizer.zero_grad()
        loss = loss_of(x, y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def jax_step(network, threads):
    import jax
    import jax.numpy as np

    x, y, layers = data(network)
    x, y, params = np.array(x), np.array(y), [(np.array(w), np.array(b)) for w, b in layers]
    gelu = lambda value: jax.nn.gelu(value, approximate=False)
    activation = {"relu": jax.nn.relu, "tanh": np.tanh, "sigmoid": jax.nn.sigmoid, "gelu": gelu}[network.activation]

    if not network.trains:
        predict = jax.jit(lambda params, x: jax.nn.softmax(logits(params, x, activation)))
        return lambda: float(predict(params, x)[0, 0])

    def loss_of(params, _count, x, y):
        return -np.mean(np.take_along_axis(jax.nn.log_softmax(logits(params, x, activation)), y[:, None], 1))

    def sgd(params, x, y):
        loss, gradient = jax.value_and_grad(loss_of)(params, 0, x, y)
        return loss, jax.tree.map(lambda p, g: p - 0.01 * g, params, gradient)

    update, state = jax_adam(loss_of, params) if network.update == "adam" else (sgd, params)
    return jax_call(update, state, x, y)


def tensorflow_step(network, threads, xla):
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    x, y, layers = data(network)
    x, y = tf.constant(x), tf.constant(y)
    params = [(tf.Variable(w), tf.Variable(b)) for w, b in layers]
    activation = {"relu": tf.nn.relu, "tanh": tf.tanh, "sigmoid": tf.sigmoid, "gelu": tf.nn.gelu}[network.activation]

    if not network.trains:
        predict = tf.function(lambda x: tf.nn.softmax(logits(params, x, activation)), jit_compile=xla)
        return lambda: float(predict(x)[0, 0])
    flat = [part for layer in params for part in layer]
    adam = tensorflow_adam(flat)

    @tf.function(jit_compile=xla)
    def update(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits(params, x, activation)))
        gradients = tape.gradient(loss, flat)
        if network.update == "adam":
            adam(gradients)
        else:
            for p, g in zip(flat, gradients):
                p.assign_sub(0.01 * g)
        return loss

    return lambda: float(update(x, y))


def onnx_step(network, threads):
    import torch

    if network.trains:
        raise SystemExit("ONNX Runtime does not train here")
    x, _, layers = data(network)
    activation = {"relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid", "gelu": "GELU"}[network.activation]
    parts = []
    for weight, _ in layers:
        parts += [torch.nn.Linear(*weight.shape), getattr(torch.nn, activation)()]
    return onnx_call(torch.nn.Sequential(*parts[:-1], torch.nn.Softmax(1)), x, threads)


FRAMEWORKS = {
    "torch": lambda network, threads: torch_step(network, threads, False),
    "torch.compile": lambda network, threads: torch_step(network, threads, True),
    "jax": jax_step,
    "tensorflow": lambda network, threads: tensorflow_step(network, threads, False),
    "tensorflow xla": lambda network, threads: tensorflow_step(network, threads, True),
    "onnxruntime": onnx_step,
}
