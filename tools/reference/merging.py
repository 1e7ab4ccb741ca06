"""Cases of layers with several inputs, of layers that change shapes, and of models with several inputs and outputs."""
from golden import L, case, chain, graph, keras, sequential

H5 = (".keras", ".h5")


def cases():
    two = lambda n: {"a": n(2, 5, 3), "b": n(2, 5, 3)}
    for kind in ("Concatenate", "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"):
        name = kind.lower()
        make = lambda k=kind: getattr(L, k)()
        case(name, graph(lambda a, b: make()([a, b]), a=(5, 3), b=(5, 3)), two, H5)
        case(name + "_branches", graph(lambda x: L.Dense(2)(make()([L.LSTM(4)(x), L.GRU(4)(x)])), x=(5, 3)), lambda n: n(2, 5, 3), H5)
        case(name + "_vectors", graph(lambda a, b: make()([a, b]), a=(4,), b=(4,)), lambda n: {"a": n(2, 4), "b": n(2, 4)})
        if kind != "Subtract":
            case(name + "_three", graph(lambda a, b, c: make()([a, b, c]), a=(5, 3), b=(5, 3), c=(5, 3)),
                 lambda n: dict(two(n), c=n(2, 5, 3)))
        if kind != "Concatenate":
            case(name + "_broadcast", graph(lambda a, b: make()([a, b]), a=(5, 3), b=(1, 3)), lambda n: {"a": n(2, 5, 3), "b": n(2, 1, 3)})
            case(name + "_broadcast_vector", graph(lambda a, b: make()([a, b]), a=(5, 3), b=(3,)), lambda n: {"a": n(3, 5, 3), "b": n(3, 3)})
    case("concatenate_time", graph(lambda a, b: L.Concatenate(axis=1)([a, b]), a=(5, 3), b=(2, 3)),
         lambda n: {"a": n(2, 5, 3), "b": n(2, 2, 3)}, H5)
    case("concatenate_time_negative", graph(lambda a, b: L.LSTM(3)(L.Concatenate(axis=-2)([a, b])), a=(5, 3), b=(2, 3)),
         lambda n: {"a": n(2, 5, 3), "b": n(2, 2, 3)})
    case("concatenate_time_open_length", graph(lambda a, b: L.Concatenate(axis=1)([a, b]), a=(None, 3), b=(None, 3)),
         lambda n: {"a": [n(5, 3), n(3, 3)], "b": [n(2, 3), n(4, 3)]})
    # One input has an open number of timesteps, the other a fixed number.
    for kind in ("concatenate", "add"):
        case(kind + "_open_and_fixed", graph(lambda x, v: L.LSTM(2)(getattr(L, kind.title())()([x, L.RepeatVector(5)(v)])), x=(None, 3), v=(3,)),
             lambda n: {"x": n(2, 5, 3), "v": n(2, 3)})
    case("concatenate_last_axis_number", graph(lambda a, b: L.Concatenate(axis=2)([a, b]), a=(None, 3), b=(None, 2)),
         lambda n: {"a": [n(5, 3), n(3, 3)], "b": [n(5, 2), n(3, 2)]})
    for axis in (1, 2, 3, -1):
        case(f"concatenate_images_axis_{axis}".replace("-1", "last"), graph(lambda a, b: L.Concatenate(axis=axis)([a, b]), a=(2, 3, 2), b=(2, 3, 2)),
             lambda n: {"a": n(2, 2, 3, 2), "b": n(2, 2, 3, 2)})
    case("add_residual", graph(lambda x: L.Add()([x, L.LSTM(3, return_sequences=True)(x)]), x=(None, 3)), lambda n: [n(5, 3), n(4, 3)], H5)
    case("multiply_gate", graph(lambda x: L.LSTM(3)(L.Multiply()([x, L.Dense(3, activation="sigmoid")(x)])), x=(5, 3)), lambda n: n(2, 5, 3))

    dot = lambda name, axes, a, b, normalize=False, files=(".keras",): case(
        "dot_" + name, graph(lambda a, b: L.Dot(axes=axes, normalize=normalize)([a, b]), a=a, b=b),
        lambda n: {"a": n(2, *a), "b": n(2, *b)}, files)
    dot("vectors", 1, (4,), (4,), files=H5)
    dot("vectors_normalized", -1, (4,), (4,), True)
    dot("axes_2", 2, (5, 3), (4, 3), files=H5)
    dot("axes_1", 1, (5, 3), (5, 2))
    dot("axes_last", -1, (5, 3), (4, 3), True)
    dot("axes_2_1", [2, 1], (5, 3), (3, 4), files=H5)
    dot("axes_1_2_normalized", (1, 2), (5, 3), (4, 5), True)
    dot("matrix_vector", (2, 1), (5, 3), (3,))
    dot("rank_4", (3, 2), (2, 3, 4), (5, 4))

    case("static_and_history", graph(lambda history, static: L.Dense(2)(L.Concatenate()([L.LSTM(4)(history), L.Dense(3, activation="relu")(static)])),
         history=(None, 3), static=(4,)), lambda n: {"history": [n(5, 3), n(3, 3)], "static": n(2, 4)}, H5 + (".weights.h5",))
    case("two_outputs", graph(lambda x: (lambda h: [L.Dense(2, name="speed")(h), L.Dense(1, activation="sigmoid", name="alarm")(h)])(L.GRU(4)(x)),
         x=(5, 3)), lambda n: n(2, 5, 3), H5)
    case("two_inputs_two_outputs", graph(lambda a, b: [L.Dense(2, name="p")(L.LSTM(3)(a)), L.Concatenate(name="q")([L.LSTM(3)(a), L.GRU(2)(b)])],
         a=(5, 3), b=(4, 2)), lambda n: {"a": n(2, 5, 3), "b": n(2, 4, 2)}, H5)
    case("outputs_of_different_shape", graph(lambda x: [L.LSTM(3, return_sequences=True, name="all")(x), L.LSTM(2, name="last")(x), L.Flatten(name="flat")(x)],
         x=(5, 3)), lambda n: n(2, 5, 3))
    case("scalar_input", graph(lambda history, hour: L.Dense(1)(L.Concatenate()([L.LSTM(3)(history), hour])), history=(5, 3), hour=(1,)),
         lambda n: {"history": n(2, 5, 3), "hour": n(2, 1)})
    case("embedding_input", graph(lambda word, history: L.Dense(1)(L.Concatenate()([L.LSTM(3)(history), L.Flatten()(L.Embedding(9, 2)(word))])),
         word=((1,), "int32"), history=(5, 3)), lambda n: {"word": n.ids(2, 1, most=8) + 1, "history": n(2, 5, 3)}, H5)
    case("output_is_hidden_value", graph(lambda x: (lambda h: [h, L.Dense(2, name="d")(h)])(L.LSTM(3, name="h")(x)), x=(5, 3)), lambda n: n(2, 5, 3))
    case("shared_layer", graph(lambda a, b: (lambda s: L.Dense(1)(L.Subtract()([s(a), s(b)])))(L.LSTM(4, name="twin")), a=(5, 3), b=(5, 3)), two, H5 + (".weights.h5",))
    case("shared_dense_lengths", graph(lambda a, b: (lambda d: L.Concatenate(axis=1)([d(a), d(b)]))(L.Dense(3)), a=(5, 3), b=(2, 3)),
         lambda n: {"a": n(2, 5, 3), "b": n(2, 2, 3)})
    case("shared_embedding", graph(lambda a, b: (lambda e: L.Concatenate()([L.LSTM(3)(e(a)), L.GRU(3)(e(b))]))(L.Embedding(9, 3, mask_zero=True)),
         a=((5,), "int32"), b=((4,), "int32")), lambda n: {"a": n.ids(3, 5), "b": n.ids(3, 4, pad="left")}, H5)

    shape = lambda name, shape, *layers, files=(".keras",): case(name, chain(shape, *layers), lambda n: n(2, *shape), files)
    shape("permute_2_1", (5, 3), lambda: L.Permute((2, 1)), lambda: L.LSTM(2), files=H5)
    shape("permute_rank_4", (2, 3, 4), lambda: L.Permute((3, 1, 2)))
    shape("permute_rank_4_same_last", (2, 3, 4), lambda: L.Permute((2, 1, 3)))
    shape("reshape_to_vector", (5, 3), lambda: L.Reshape((15,)), files=H5)
    shape("reshape_to_sequence", (12,), lambda: L.Reshape((4, 3)), lambda: L.LSTM(2))
    shape("reshape_to_rank_4", (4, 6), lambda: L.Reshape((4, 2, 3)), lambda: L.TimeDistributed(L.Flatten()), lambda: L.GRU(2), files=H5)
    shape("reshape_unknown", (4, 6), lambda: L.Reshape((-1, 3)), lambda: L.LSTM(2))
    shape("reshape_unknown_rank_4", (2, 3, 4), lambda: L.Reshape((2, -1)))
    shape("flatten_rank_4", (2, 3, 4), lambda: L.Flatten(), files=H5)
    shape("flatten_vector", (4,), lambda: L.Flatten())
    shape("repeat_vector", (4,), lambda: L.RepeatVector(3), lambda: L.LSTM(2, return_sequences=True))
    shape("dense_rank_4", (2, 3, 4), lambda: L.Dense(5, activation="relu"), lambda: L.Dropout(0.1), lambda: L.Activation("tanh"))
    shape("spatial_dropouts", (4, 3), lambda: L.SpatialDropout1D(0.2), lambda: L.GaussianNoise(0.1), lambda: L.Conv1D(2, 2))
