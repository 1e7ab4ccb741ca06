"""Cases of masks that pass through a graph. The two versions of Keras differ, so each version has its own cases."""
from golden import L, MAJOR, case, graph, keras, sequential

H5 = (".keras", ".h5")


def through(name, *layers, files=(".keras",), last=lambda: L.LSTM(3, return_sequences=True)):
    """Embedding with mask_zero, then these layers, then a layer that uses the mask."""
    case("masks_" + name, sequential((6,), lambda: L.Embedding(9, 4, mask_zero=True), *layers, *([last] if last else []), dtype="int32"),
         lambda n: n.ids(3, 6), files)


def merged(name, function, files=(".keras",), pads=("right", "left")):
    """Two embeddings that are merged; their masks differ."""
    embed = lambda x, zero=True: L.Embedding(9, 4, mask_zero=zero)(x)
    case("masks_" + name, graph(lambda a, b: L.LSTM(3)(function(embed(a), embed(b))), a=((5,), "int32"), b=((5,), "int32")),
         lambda n: {"a": n.ids(3, 5, pad=pads[0]), "b": n.ids(3, 5, pad=pads[1])}, files)
    case("masks_" + name + "_one", graph(lambda a, b: L.LSTM(3)(function(embed(a), embed(b, False))), a=((5,), "int32"), b=((5,), "int32")),
         lambda n: {"a": n.ids(3, 5, pad=pads[0]), "b": n.ids(3, 5, pad=pads[1])})


def cases():
    through("lstm", files=H5)
    through("left", lambda: L.LSTM(4, return_sequences=True), last=lambda: L.LSTM(2))
    through("dense", lambda: L.Dense(3), lambda: L.Dropout(0.1), lambda: L.Activation("tanh"))
    through("batch_normalization", lambda: L.BatchNormalization(), files=H5)
    through("layer_normalization", lambda: L.LayerNormalization())
    through("layer_normalization_time", lambda: L.LayerNormalization(axis=1))
    through("unit_normalization", lambda: L.UnitNormalization())
    through("group_normalization", lambda: L.GroupNormalization(2))
    through("rescaling", lambda: L.Rescaling(2.0))
    through("prelu", lambda: L.PReLU())
    through("leaky_relu", lambda: L.LeakyReLU(), lambda: L.ELU(), lambda: L.ReLU())
    through("softmax", lambda: L.Softmax())
    through("softmax_time", lambda: L.Softmax(axis=1))
    # Masking replaces the mask of a layer before.
    through("masking", lambda: L.Masking())
    case("masks_masking_twice", sequential((6, 3), lambda: L.Masking(0.5), lambda: L.Masking(0.5), lambda: L.LSTM(3)),
         lambda n: n.masked(3, 6, 3, value=0.5))
    through("conv1d", lambda: L.Conv1D(3, 2, padding="same"), files=H5)
    through("conv1d_causal", lambda: L.Conv1D(3, 2, padding="causal", activation="relu"), files=H5)
    through("conv1d_valid", lambda: L.Conv1D(3, 2))
    through("conv1d_then_pooling", lambda: L.Conv1D(3, 2, padding="same"), last=lambda: L.GlobalAveragePooling1D())
    through("separable_conv1d", lambda: L.SeparableConv1D(3, 2, padding="same"))
    through("max_pooling1d", lambda: L.MaxPooling1D(2), files=H5)
    through("max_pooling1d_same", lambda: L.MaxPooling1D(2, strides=1, padding="same"))
    through("average_pooling1d", lambda: L.AveragePooling1D(2))
    through("up_sampling1d", lambda: L.UpSampling1D(2))
    through("zero_padding1d", lambda: L.ZeroPadding1D(1))
    through("cropping1d", lambda: L.Cropping1D(1))
    through("permute", lambda: L.Permute((2, 1)))
    through("reshape", lambda: L.Reshape((6, 2, 2)), lambda: L.TimeDistributed(L.Flatten()))
    through("reshape_same", lambda: L.Reshape((6, 4)))
    through("flatten", lambda: L.Flatten(), last=lambda: L.Dense(2))
    through("repeat_vector", lambda: L.LSTM(3), lambda: L.RepeatVector(3))
    through("time_distributed_dense", lambda: L.TimeDistributed(L.Dense(3)), files=H5)
    through("time_distributed_normalization", lambda: L.TimeDistributed(L.LayerNormalization()))
    through("bidirectional", lambda: L.Bidirectional(L.LSTM(3, return_sequences=True)), lambda: L.Dropout(0.2), files=H5)
    through("rnn_cells", last=lambda: L.RNN([L.LSTMCell(3), L.GRUCell(2)], return_sequences=True))
    through("backwards", last=lambda: L.GRU(3, go_backwards=True))
    through("backwards_sequences", lambda: L.GRU(3, go_backwards=True, return_sequences=True), last=lambda: L.LSTM(2))
    through("global_average", last=lambda: L.GlobalAveragePooling1D())
    through("global_max", last=lambda: L.GlobalMaxPooling1D())
    through("spatial_dropout", lambda: L.SpatialDropout1D(0.2), lambda: L.GaussianNoise(0.1))
    for kind in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"):
        merged(kind.lower(), lambda a, b, k=kind: getattr(L, k)()([a, b]), H5 if kind in ("Add", "Concatenate") else (".keras",))
    merged("concatenate_time", lambda a, b: L.Concatenate(axis=1)([a, b]), H5, ("right", "right"))
    merged("dot", lambda a, b: L.Dot(axes=2)([a, b]))
    case("masks_concatenate_after_rnns", graph(lambda a, b: L.Dense(2)(L.Concatenate()([L.LSTM(3)(L.Embedding(9, 3, mask_zero=True)(a)), L.GRU(2)(L.Masking()(b))])),
         a=((5,), "int32"), b=(4, 2)), lambda n: {"a": n.ids(3, 5), "b": n.masked(3, 4, 2)}, H5)
    case("masks_residual", graph(lambda a: (lambda e: L.GlobalAveragePooling1D()(L.Add()([e, L.LSTM(4, return_sequences=True)(e)])))(L.Embedding(9, 4, mask_zero=True)(a)),
         a=((5,), "int32")), lambda n: n.ids(3, 5), H5)
    case("masks_masking_value", sequential((5, 2), lambda: L.Masking(-1.0), lambda: L.Conv1D(3, 2, padding="causal"), lambda: L.LSTM(3)), lambda n: n.masked(3, 5, 2, value=-1), H5)
    case("masks_masking_holes", sequential((5, 2), lambda: L.Masking(), lambda: L.LSTM(3, return_sequences=True), lambda: L.Dense(2)), lambda n: n.masked(3, 5, 2, pad="holes"))
    case("masks_time_distributed_masking", sequential((3, 4, 2), lambda: L.TimeDistributed(L.Masking()), lambda: L.TimeDistributed(L.LSTM(2)), lambda: L.LSTM(2)),
         lambda n: n.masked(3, 3, 4, 2))
    case("masks_masking_frames", sequential((4, 3, 2), lambda: L.Masking(), lambda: L.TimeDistributed(L.Flatten()), lambda: L.LSTM(2)), lambda n: n.masked(3, 4, 3, 2))
    case("masks_conv_lstm2d", sequential((4, 3, 3, 1), lambda: L.Masking(), lambda: L.ConvLSTM2D(2, 2), lambda: L.Flatten()), lambda n: n.masked(3, 4, 3, 3, 1))
    for name, make in (("lstm", lambda: L.LSTM(3, return_sequences=True)), ("bidirectional", lambda: L.Bidirectional(L.GRU(3)))):
        case("masks_call_argument_" + name, graph(lambda x, m: make()(x, mask=m), x=(4, 2), m=((4,), "bool")),
             lambda n: {"x": n(3, 4, 2), "m": n.ids(3, 4) > 0}, H5)
    mask = [[True] * 5, [True] * 4 + [False], [False, True, True, False, True]]
    case("masks_given", graph(lambda x: L.LSTM(2)(L.Dense(3)(x)), x=(5, 3)), lambda n: n(3, 5, 3), mask=mask)
    case("masks_given_pooling", graph(lambda x: L.GlobalAveragePooling1D()(x), x=(5, 3)), lambda n: n(3, 5, 3), mask=mask)
    case("masks_given_two_inputs", graph(lambda a, b: L.Concatenate()([L.LSTM(2)(a), L.GRU(2)(b)]), a=(5, 3), b=(5, 2)),
         lambda n: {"a": n(3, 5, 3), "b": n(3, 5, 2)}, mask={"a": mask, "b": mask[::-1]})
