"""One network in one framework: prints `{"first_ms": …, "median_us": …, "loss": …}`.

    contender.py FRAMEWORK NETWORK THREADS SECONDS
"""

import json
import os
import statistics
import sys
import time

from network import Network


def main():
    framework, network, threads, seconds = sys.argv[1], Network.parse(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    step = FRAMEWORKS[framework](network, threads)
    start = time.perf_counter()
    step()
    first = time.perf_counter() - start
    for _ in range(20):
        step()
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    print(json.dumps({"first_ms": first * 1e3, "median_us": statistics.median(times) * 1e6, "loss": step()}))


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

    def loss_of(params, x, y):
        return -np.mean(np.take_along_axis(jax.nn.log_softmax(logits(params, x, activation)), y[:, None], 1))

    zeros = jax.tree.map(np.zeros_like, params)
    state = (params, zeros, zeros, np.zeros(())) if network.update == "adam" else (params,)

    def update(state, x, y):
        loss, gradient = jax.value_and_grad(loss_of)(state[0], x, y)
        if network.update == "sgd":
            return loss, (jax.tree.map(lambda p, g: p - 0.01 * g, state[0], gradient),)
        params, m, v, count = state
        count = count + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradient)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradient)
        rate = 0.001 * np.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        params = jax.tree.map(lambda p, m, v: p - rate * m / (np.sqrt(v) + 1e-8), params, m, v)
        return loss, (params, m, v, count)

    update = jax.jit(update, donate_argnums=0)
    state = jax.tree.map(np.array, state)

    def step():
        nonlocal state
        loss, state = update(state, x, y)
        return float(loss)

    return step


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
    slots = [(tf.Variable(tf.zeros_like(p)), tf.Variable(tf.zeros_like(p))) for p in flat]
    count = tf.Variable(0.0)

    @tf.function(jit_compile=xla)
    def update(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits(params, x, activation)))
        gradients = tape.gradient(loss, flat)
        if network.update == "sgd":
            for p, g in zip(flat, gradients):
                p.assign_sub(0.01 * g)
            return loss
        count.assign_add(1.0)
        rate = 0.001 * tf.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        for p, g, (m, v) in zip(flat, gradients, slots):
            m.assign(0.9 * m + 0.1 * g)
            v.assign(0.999 * v + 0.001 * g * g)
            p.assign_sub(rate * m / (tf.sqrt(v) + 1e-8))
        return loss

    return lambda: float(update(x, y))


FRAMEWORKS = {
    "torch": lambda network, threads: torch_step(network, threads, False),
    "torch.compile": lambda network, threads: torch_step(network, threads, True),
    "jax": jax_step,
    "tensorflow": lambda network, threads: tensorflow_step(network, threads, False),
    "tensorflow xla": lambda network, threads: tensorflow_step(network, threads, True),
}

if __name__ == "__main__":
    main()
