"""What networks of every kind have in common: Adam in JAX and TensorFlow, which have none of their own, and ONNX Runtime."""


def jax_adam(loss_of, params):
    """A step `update(state, *feeds)` that gives the loss and the next state, not compiled yet, and the first state.

    `loss_of(params, count, *feeds)` may use the number of the step.
    """
    import jax
    import jax.numpy as np

    def update(state, *feeds):
        params, m, v, count = state
        count = count + 1
        loss, gradient = jax.value_and_grad(loss_of)(params, count, *feeds)
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradient)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, gradient)
        rate = 0.001 * np.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        params = jax.tree.map(lambda p, m, v: p - rate * m / (np.sqrt(v) + 1e-8), params, m, v)
        return loss, (params, m, v, count)

    zeros = lambda: jax.tree.map(np.zeros_like, params)
    return update, (params, zeros(), zeros(), np.zeros((), int))


def jax_call(update, state, *feeds):
    """A step without arguments that gives the loss and keeps the state."""
    import jax

    update = jax.jit(update, donate_argnums=0)

    def step():
        nonlocal state
        loss, state = update(state, *feeds)
        return float(loss)

    return step


def tensorflow_adam(variables):
    """A function that applies gradients to variables, to be called within a `tf.function`."""
    import tensorflow as tf

    slots = [(tf.Variable(tf.zeros_like(p)), tf.Variable(tf.zeros_like(p))) for p in variables]
    count = tf.Variable(0.0)

    def apply(gradients):
        count.assign_add(1.0)
        rate = 0.001 * tf.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        for p, g, (m, v) in zip(variables, gradients, slots):
            m.assign(0.9 * m + 0.1 * g)
            v.assign(0.999 * v + 0.001 * g * g)
            p.assign_sub(rate * m / (tf.sqrt(v) + 1e-8))

    return apply


def onnx_call(model, x, threads):
    """Inference of a PyTorch model, exported to ONNX Runtime, for one input."""
    import io

    import onnxruntime
    import torch

    file = io.BytesIO()
    torch.onnx.export(model.eval(), (torch.from_numpy(x),), file, input_names=["x"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
    return lambda: float(session.run(None, {"x": x})[0][0, 0])
