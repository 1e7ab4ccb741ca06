"""Operations that Keras writes as layers: TFOpLambda and SlicingOpLambda of Keras 2, operation nodes of Keras 3."""
import numpy as np
import golden
from golden import L, MAJOR, case, graph, keras

H5 = (".keras", ".h5")
ELLIPSIS = (".h5",) if MAJOR == 2 else (".keras",)  # Keras 2.15 cannot write an ellipsis to .keras
if MAJOR == 2:
    import tensorflow as tf


def on(name, function, files=H5, rows=2, shape=(5, 4), **more):
    """An operation after an LSTM, and other layers after it if `function` adds them."""
    case("op_" + name, graph(lambda x: function(L.LSTM(4, return_sequences=True)(x)), x=shape), lambda n: n(rows, *shape), files, **more)


def slices():
    on("last_timestep", lambda h: L.Dense(2)(h[:, -1, :]))
    on("last_timestep_short", lambda h: L.Dense(2)(h[:, -1]))
    on("first_timestep", lambda h: h[:, 0, :], (".keras",))
    on("slice_time", lambda h: L.GRU(2)(h[:, 1:4, :]))
    on("slice_time_from", lambda h: L.GRU(2)(h[:, 2:]), (".keras",))
    on("slice_negative", lambda h: h[:, -3:-1, :], (".keras",))
    on("slice_step", lambda h: h[:, ::2, :], (".keras",))
    on("slice_features", lambda h: L.Concatenate()([h[:, :, :2], h[:, :, 2:]]))
    on("slice_one_feature", lambda h: h[:, :, 1], (".keras",))
    on("slice_ellipsis", lambda h: h[..., 0:2], ELLIPSIS)
    on("slice_ellipsis_one", lambda h: h[..., 3], ELLIPSIS)
    on("slice_new_axis", lambda h: h[:, None, :, :], (".keras",))
    case("op_last_timestep_open_length", graph(lambda x: L.Dense(2)(L.LSTM(4, return_sequences=True)(x)[:, -1, :]), x=(None, 3)),
         lambda n: [n(5, 3), n(3, 3)], H5)
    case("op_slice_input", graph(lambda x: L.Concatenate()([L.LSTM(2)(x[:, :, :2]), L.GRU(2)(x[:, :, 2:])]), x=(5, 4)), lambda n: n(2, 5, 4), H5)


def arithmetic():
    two = lambda n: {"a": n(2, 5, 3), "b": n(2, 5, 3)}
    pair = lambda name, f, files=(".keras",), a=(5, 3), b=(5, 3): case("op_" + name, graph(lambda a, b: f(a, b), a=a, b=b), lambda n: {"a": n(2, *a), "b": n(2, *b) + np.float32(2)}, files)
    pair("plus", lambda a, b: a + b, H5)
    pair("minus", lambda a, b: a - b, H5)
    pair("times", lambda a, b: a * b, H5)
    pair("divided", lambda a, b: a / b, H5)
    pair("plus_broadcast", lambda a, b: a + b, b=(1, 3))
    pair("times_vector", lambda a, b: a * b, a=(4, 3), b=(4, 1))
    on("times_number", lambda h: h * 2.0)
    on("number_minus", lambda h: 1.0 - h)
    on("plus_number", lambda h: h + 0.5, (".keras",))
    on("divided_by_number", lambda h: h / 3.0, (".keras",))
    on("number_divided", lambda h: 1.0 / (h + 3.0), (".keras",))
    on("negative", lambda h: -h, (".keras",))
    on("residual", lambda h: L.Dense(2)(h + L.Dense(4)(h)))
    on("gate", lambda h: L.GRU(2)(h * L.Dense(4, activation="sigmoid")(h) + (1.0 - h) * 0.5))


def keras2():
    on("concat", lambda h: tf.concat([h, h * 2.0], axis=-1))
    on("concat_time", lambda h: L.GRU(2)(tf.concat([h, h], 1)))
    on("reduce_mean", lambda h: L.Dense(2)(tf.reduce_mean(h, axis=1)))
    on("reduce_mean_keepdims", lambda h: tf.reduce_mean(h, axis=-1, keepdims=True))
    on("reduce_mean_axes", lambda h: tf.reduce_mean(h, axis=[1, 2]), (".keras",))
    on("reduce_sum", lambda h: tf.reduce_sum(h, axis=1))
    on("reduce_max", lambda h: tf.reduce_max(h, axis=1))
    on("reduce_min", lambda h: tf.reduce_min(h, axis=1), (".keras",))
    on("expand_dims", lambda h: L.Conv2D(2, 2)(tf.expand_dims(h, -1)))
    on("squeeze", lambda h: tf.squeeze(L.Dense(1)(h), axis=-1))
    on("softmax", lambda h: tf.nn.softmax(h, axis=1))
    on("softmax_last", lambda h: tf.nn.softmax(h), (".keras",))
    on("relu", lambda h: tf.nn.relu(h))
    on("sigmoid", lambda h: tf.sigmoid(h))
    on("tanh", lambda h: tf.tanh(h))
    on("exp", lambda h: tf.exp(h), (".keras",))
    on("abs_sqrt_square", lambda h: tf.sqrt(tf.abs(h)) + tf.square(h), (".keras",))
    on("maximum", lambda h: tf.maximum(h, 0.1), (".keras",))
    on("matmul", lambda h: tf.matmul(h, h, transpose_b=True))
    on("matmul_2", lambda h: tf.matmul(tf.nn.softmax(tf.matmul(h, h, transpose_b=True) / 2.0), h))
    on("cast", lambda h: tf.cast(h, keras.backend.floatx()) * 2.0)
    case("op_cast_ids", graph(lambda x: L.Embedding(9, 3)(tf.cast(x, "int32")), x=(4,)), lambda n: n.ids(2, 4).astype("float32"))
    on("transpose", lambda h: L.GRU(2)(tf.transpose(h, perm=[0, 2, 1])))
    on("reshape", lambda h: tf.reshape(h, [-1, 20]))
    on("reshape_batch", lambda h: L.GRU(2)(tf.reshape(h, (-1, 10, 2))))
    on("stack", lambda h: tf.stack([h, h * 2.0], axis=1))
    on("stack_vectors", lambda h: L.GRU(2)(tf.stack([h[:, 0], h[:, -1]], axis=1)))
    on("split", lambda h: (lambda p: p[0] * p[1])(tf.split(h, 2, axis=-1)), (".keras",))
    on("tile", lambda h: tf.tile(h, [1, 2, 1]), (".keras",))
    on("add_n", lambda h: tf.add_n([h, h * 2.0, h]), (".keras",))
    on("math_add", lambda h: tf.add(h, h * 2.0) - tf.multiply(h, h), (".keras",))
    on("backend", lambda h: keras.backend.sum(keras.backend.expand_dims(keras.backend.mean(h, axis=1), 1) * h, axis=-1))
    on("l2_normalize", lambda h: tf.math.l2_normalize(h, axis=-1), (".keras",))
    on("weighted_sum", lambda h: tf.reduce_sum(h * tf.nn.softmax(L.Dense(1)(tf.tanh(h)), axis=1), axis=1))
    case("op_masked_sum", graph(lambda x: (lambda e: tf.reduce_sum(L.LSTM(3, return_sequences=True)(e), axis=1))(L.Embedding(9, 3, mask_zero=True)(x)),
         x=((5,), "int32")), lambda n: n.ids(3, 5))
    case("op_masked_slice_lstm", graph(lambda x: L.LSTM(2)(L.Embedding(9, 3, mask_zero=True)(x)[:, 1:, :]), x=((5,), "int32")), lambda n: n.ids(3, 5))
    case("op_masked_plus_lstm", graph(lambda x: L.LSTM(2)(L.Embedding(9, 3, mask_zero=True)(x) * 2.0), x=((5,), "int32")), lambda n: n.ids(3, 5))


def keras3():
    ops = keras.ops
    on("concat", lambda h: ops.concatenate([h, h * 2.0], axis=-1))
    on("concat_time", lambda h: L.GRU(2)(ops.concatenate([h, h], axis=1)))
    on("reduce_mean", lambda h: L.Dense(2)(ops.mean(h, axis=1)))
    on("reduce_mean_keepdims", lambda h: ops.mean(h, axis=-1, keepdims=True))
    on("reduce_mean_axes", lambda h: ops.mean(h, axis=(1, 2)), (".keras",))
    on("reduce_sum", lambda h: ops.sum(h, axis=1))
    on("reduce_max", lambda h: ops.max(h, axis=1))
    on("reduce_min", lambda h: ops.min(h, axis=1), (".keras",))
    on("expand_dims", lambda h: L.Conv2D(2, 2)(ops.expand_dims(h, -1)))
    on("squeeze", lambda h: ops.squeeze(L.Dense(1)(h), axis=-1))
    on("softmax", lambda h: ops.softmax(h, axis=1))
    on("softmax_last", lambda h: ops.softmax(h), (".keras",))
    on("relu", lambda h: ops.relu(h))
    on("sigmoid", lambda h: ops.sigmoid(h))
    on("tanh", lambda h: ops.tanh(h))
    on("exp", lambda h: ops.exp(h), (".keras",))
    on("abs_sqrt_square", lambda h: ops.sqrt(ops.abs(h)) + ops.square(h), (".keras",))
    on("maximum", lambda h: ops.maximum(h, 0.1), (".keras",))
    on("matmul", lambda h: ops.matmul(h, ops.transpose(h, (0, 2, 1))))
    on("matmul_2", lambda h: ops.matmul(ops.softmax(ops.matmul(h, ops.transpose(h, (0, 2, 1))) / 2.0), h))
    on("cast", lambda h: ops.cast(h, keras.backend.floatx()) * 2.0)
    case("op_cast_ids", graph(lambda x: L.Embedding(9, 3)(ops.cast(x, "int32")), x=(4,)), lambda n: n.ids(2, 4).astype("float32"))
    on("transpose", lambda h: L.GRU(2)(ops.transpose(h, axes=[0, 2, 1])))
    on("reshape", lambda h: ops.reshape(h, (-1, 20)))
    on("reshape_batch", lambda h: L.GRU(2)(ops.reshape(h, (-1, 10, 2))))
    on("stack", lambda h: ops.stack([h, h * 2.0], axis=1))
    on("stack_vectors", lambda h: L.GRU(2)(ops.stack([h[:, 0], h[:, -1]], axis=1)))
    on("split", lambda h: (lambda p: p[0] * p[1])(ops.split(h, 2, axis=-1)), (".keras",))
    on("tile", lambda h: ops.tile(h, [1, 2, 1]), (".keras",))
    on("repeat", lambda h: ops.repeat(h, 2, axis=1), (".keras",))
    on("weighted_sum", lambda h: ops.sum(h * ops.softmax(L.Dense(1)(ops.tanh(h)), axis=1), axis=1))
    on("pad_take", lambda h: ops.flip(h, axis=1), (".keras",))
    case("op_not_equal_any", graph(lambda x: L.LSTM(3)(x, mask=ops.any(ops.not_equal(x, 0.0), axis=-1)), x=(5, 3)), lambda n: n.masked(3, 5, 3))
    case("op_not_equal_ids", graph(lambda x: L.LSTM(3)(L.Embedding(9, 3)(x), mask=ops.not_equal(x, 0)), x=((5,), "int32")), lambda n: n.ids(3, 5))
    case("op_masked_sum", graph(lambda x: (lambda e: ops.sum(L.LSTM(3, return_sequences=True)(e), axis=1))(L.Embedding(9, 3, mask_zero=True)(x)),
         x=((5,), "int32")), lambda n: n.ids(3, 5))
    case("op_masked_slice_lstm", graph(lambda x: L.LSTM(2)(L.Embedding(9, 3, mask_zero=True)(x)[:, 1:, :]), x=((5,), "int32")), lambda n: n.ids(3, 5))
    case("op_masked_plus_lstm", graph(lambda x: L.LSTM(2)(L.Embedding(9, 3, mask_zero=True)(x) * 2.0), x=((5,), "int32")), lambda n: n.ids(3, 5))


def cases():
    slices()
    arithmetic()
    (keras2 if MAJOR == 2 else keras3)()
