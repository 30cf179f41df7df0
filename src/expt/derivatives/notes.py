"""Runnable versions of the code examples in common lecture notes on `GradientTape`.

Each function prints what it finds; the page shows its source with that output.
"""

import tensorflow as tf


def watched_tensor() -> None:
    """A tape records variables by itself, and other tensors only if they are watched."""
    w = tf.constant(1.0)
    x, b = tf.constant(2.0), tf.Variable(3.0)
    with tf.GradientTape() as tape:
        tape.watch(w)
        y = w * x + b
    print("dy/dw, dy/dx, dy/db:", tape.gradient(y, [w, x, b]))


def tape_read_once() -> None:
    """A tape frees what it has recorded when its gradient is read, so it is read once."""
    x = tf.Variable(3.0)
    with tf.GradientTape() as tape:
        y = x**2
    print("dy/dx =", tape.gradient(y, x).numpy())
    try:
        tape.gradient(y, x)
    except RuntimeError as error:
        print("RuntimeError:", str(error).partition(" (")[0])


def persistent_tape() -> None:
    """A persistent tape is read any number of times; deleting it frees its memory."""
    x = tf.Variable(3.0)
    with tf.GradientTape(persistent=True) as tape:
        y = x**2
        z = y**2
    print("dz/dx =", tape.gradient(z, x).numpy())
    print("dy/dx =", tape.gradient(y, x).numpy())
    del tape


def second_order() -> None:
    """The outer tape differentiates the gradient that the inner one computes."""
    w, b, x = tf.Variable(1.0), tf.Variable(2.0), tf.Variable(3.0)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = x * w**2 + 2 * b
        dy_dw, dy_db = inner.gradient(y, [w, b])
    print("dy/dw =", dy_dw.numpy(), " dy/db =", dy_db.numpy())
    print("d²y/dw² =", outer.gradient(dy_dw, w).numpy())


def sigmoid_gradient() -> None:
    """The sigmoid's gradient is σ (1 - σ): at most 1/4, and almost 0 far from zero."""
    a = tf.linspace(-10.0, 10.0, 5)
    with tf.GradientTape() as tape:
        tape.watch(a)
        y = tf.sigmoid(a)
    print("σ  =", y.numpy())
    print("σ' =", tape.gradient(y, a).numpy())


def tanh_gradient() -> None:
    """The gradient of tanh is 1 - tanh²."""
    a = tf.linspace(-5.0, 5.0, 5)
    with tf.GradientTape() as tape:
        tape.watch(a)
        y = tf.tanh(a)
    print("tanh  =", y.numpy())
    print("tanh' =", tape.gradient(y, a).numpy())


def relu_gradient() -> None:
    """The gradient of relu is 0 or 1; that of leaky relu is never 0."""
    a = tf.constant([-1.0, -0.5, 0.5, 1.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(a)
        y, leaky = tf.nn.relu(a), tf.nn.leaky_relu(a)
    print("relu'       =", tape.gradient(y, a).numpy())
    print("leaky relu' =", tape.gradient(leaky, a).numpy())


def mse_gradient() -> None:
    """The mean squared error of a softmax, with respect to a layer's weights and bias."""
    tf.random.set_seed(1)
    x, y = tf.random.normal([2, 4]), tf.one_hot([2, 0], depth=3)
    w, b = tf.random.normal([4, 3]), tf.zeros([3])
    with tf.GradientTape() as tape:
        tape.watch([w, b])
        prob = tf.nn.softmax(x @ w + b, axis=1)
        loss = tf.reduce_mean(tf.square(y - prob))
    dw, db = tape.gradient(loss, [w, b])
    print("dl/dw =", dw.numpy(), "dl/db =", db.numpy(), sep="\n")


def crossentropy_gradient() -> None:
    """The cross-entropy of logits: its gradient with respect to the bias is the mean of p - y."""
    tf.random.set_seed(1)
    x, y = tf.random.normal([2, 4]), tf.one_hot([2, 0], depth=3)
    w, b = tf.random.normal([4, 3]), tf.zeros([3])
    with tf.GradientTape() as tape:
        tape.watch([w, b])
        logits = x @ w + b
        loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(y, logits))
    dw, db = tape.gradient(loss, [w, b])
    print("dl/dw =", dw.numpy(), "dl/db =", db.numpy(), sep="\n")
    print("mean of p - y =", tf.reduce_mean(tf.nn.softmax(logits) - y, axis=0).numpy())


def single_output_perceptron() -> None:
    """One sigmoid unit: dl/dw_j = 2 (o - t) o (1 - o) x_j."""
    tf.random.set_seed(1)
    x, t = tf.random.normal([1, 3]), tf.constant([[1.0]])
    w, b = tf.ones([3, 1]), tf.ones([1])
    with tf.GradientTape() as tape:
        tape.watch([w, b])
        o = tf.sigmoid(x @ w + b)
        loss = tf.reduce_mean(tf.square(o - t))
    dw, db = tape.gradient(loss, [w, b])
    print("dl/dw =", dw.numpy()[:, 0], " dl/db =", db.numpy())
    print("by the formula:", (2 * (o - t) * o * (1 - o) * x).numpy()[0])


def multi_output_perceptron() -> None:
    """Two outputs of a softmax: dl/dw has a column for each output."""
    tf.random.set_seed(1)
    x, t = tf.random.normal([1, 3]), tf.constant([[0.0, 1.0]])
    w, b = tf.random.normal([3, 2]), tf.zeros([2])
    with tf.GradientTape() as tape:
        tape.watch([w, b])
        o = tf.nn.softmax(x @ w + b, axis=1)
        loss = tf.reduce_mean(tf.square(o - t))
    dw, db = tape.gradient(loss, [w, b])
    print("dl/dw =", dw.numpy(), "dl/db =", db.numpy(), sep="\n")


def chain_rule() -> None:
    """The derivative of two layers is the product of the derivatives of each."""
    x, w1, b1 = tf.constant(1.0), tf.Variable(2.0), tf.Variable(1.0)
    w2, b2 = tf.Variable(2.0), tf.Variable(1.0)
    with tf.GradientTape(persistent=True) as tape:
        y1 = x * w1 + b1
        y2 = y1 * w2 + b2
    dy2_dy1, dy1_dw1 = tape.gradient(y2, y1), tape.gradient(y1, w1)
    print("dy2/dy1 · dy1/dw1 =", (dy2_dy1 * dy1_dw1).numpy())
    print("dy2/dw1           =", tape.gradient(y2, w1).numpy())


def mlp_backpropagation() -> None:
    """Backpropagation through two sigmoid layers by hand, beside the tape."""
    tf.random.set_seed(1)
    x, t = tf.random.normal([1, 2]), tf.constant([[1.0, 0.0]])
    w1, w2 = tf.Variable(tf.random.normal([2, 3])), tf.Variable(tf.random.normal([3, 2]))
    with tf.GradientTape() as tape:
        h = tf.sigmoid(x @ w1)
        o = tf.sigmoid(h @ w2)
        loss = tf.reduce_sum(tf.square(o - t)) / 2
    delta_o = (o - t) * o * (1 - o)
    delta_h = (delta_o @ tf.transpose(w2)) * h * (1 - h)
    dw1, dw2 = tape.gradient(loss, [w1, w2])
    print("by hand, dl/dw1:", (tf.transpose(x) @ delta_h).numpy(), "tape:", dw1.numpy(), sep="\n")
    print("by hand, dl/dw2:", (tf.transpose(h) @ delta_o).numpy(), "tape:", dw2.numpy(), sep="\n")


def himmelblau_descent() -> None:
    """Gradient descent on Himmelblau's function: the start decides which minimum is found."""
    for start in ([4.0, 0.0], [1.0, 0.0], [-4.0, 0.0], [-2.0, 2.0]):
        x = tf.constant(start)
        for _ in range(200):
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2
            x -= 0.01 * tape.gradient(y, x)
        print(f"from {start}: x = {x.numpy()}, f(x) = {y.numpy():.1e}")
