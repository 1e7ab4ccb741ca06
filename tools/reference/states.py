"""Cases of initial states from layers and inputs, of states that later layers use, and of sequence-to-sequence
models."""
from golden import L, MAJOR, case, graph, keras

H5 = (".keras", ".h5")
XY = dict(x=(5, 3), y=(4, 2))


def xy(n):
    return {"x": n(2, 5, 3), "y": n(2, 4, 2)}


def cases():
    cells = {"lstm": lambda **k: L.LSTM(4, **k), "gru": lambda **k: L.GRU(4, **k), "simple_rnn": lambda **k: L.SimpleRNN(4, **k)}
    for kind, make in cells.items():
        files = H5 + (".weights.h5",) if kind == "lstm" else H5
        case(f"state_{kind}_from_{kind}", graph(lambda x, y: L.Dense(2)(make()(y, initial_state=make(return_state=True)(x)[1:])), **XY), xy, files)
        count = 2 if kind == "lstm" else 1
        names = ["h", "c"][:count]
        case(f"state_{kind}_from_inputs", graph(lambda x, **s: make()(x, initial_state=[s[n] for n in names]), x=(5, 3), **{n: (4,) for n in names}),
             lambda n: dict({"x": n(2, 5, 3)}, **{k: n(2, 4) for k in names}), H5)
        case(f"state_{kind}_from_dense", graph(lambda x, s: make(return_sequences=True)(x, initial_state=[L.Dense(4)(s) for _ in range(count)]),
             x=(5, 3), s=(3,)), lambda n: {"x": n(2, 5, 3), "s": n(2, 3)}, H5)
        case(f"state_{kind}_used_on", graph(lambda x: L.Dense(2)(L.Concatenate()(list(make(return_state=True)(x)[1:]) + [L.Flatten()(x)])), x=(5, 3)),
             lambda n: n(2, 5, 3), H5)
    lstm = cells["lstm"]
    case("state_is_last_output", graph(lambda x: (lambda s: L.Dense(2)(L.Concatenate()([L.GlobalMaxPooling1D()(s[0]), s[2]])))(
         lstm(return_sequences=True, return_state=True)(x)), x=(None, 3)), lambda n: [n(5, 3), n(3, 3)])
    case("state_stacked_encoder", graph(lambda x, y: two_layers(x, y), **XY), xy, H5)
    case("state_one_encoder_two_decoders", graph(two_decoders, x=(5, 3), y=(4, 2), z=(3, 2)), lambda n: dict(xy(n), z=n(2, 3, 2)))
    case("state_masked_encoder", graph(lambda x, y: lstm(return_sequences=True)(y, initial_state=lstm(return_state=True)(L.Masking()(x))[1:]), **XY),
         lambda n: {"x": n.masked(3, 5, 3), "y": n(3, 4, 2)}, H5)
    case("state_bidirectional_encoder", graph(bidirectional_encoder, **XY), xy, H5)
    case("state_bidirectional_from_bidirectional", graph(lambda x, y: L.Bidirectional(L.LSTM(3))(y, initial_state=L.Bidirectional(L.LSTM(3, return_state=True))(x)[1:]),
         **XY), xy, H5)
    case("state_bidirectional_from_inputs", graph(lambda x, a, b: L.Bidirectional(L.GRU(3, return_sequences=True))(x, initial_state=[a, b]),
         x=(5, 3), a=(3,), b=(3,)), lambda n: {"x": n(2, 5, 3), "a": n(2, 3), "b": n(2, 3)})
    case("state_backwards", graph(lambda x, y: L.GRU(4, return_sequences=True, go_backwards=True)(y, initial_state=L.GRU(4, go_backwards=True)(x)), **XY), xy)
    case("state_gru_output_is_state", graph(lambda x, y: L.GRU(4)(y, initial_state=L.GRU(4)(x)), **XY), xy, H5)
    case("state_rnn_cells", graph(lambda x, y: L.RNN([L.GRUCell(4), L.GRUCell(3)])(y, initial_state=rnn_states(x)), **XY), xy)
    case("state_lengths", graph(lambda x, y: lstm(return_sequences=True)(y, initial_state=lstm(return_state=True)(x)[1:]), x=(None, 3), y=(None, 2)),
         lambda n: {"x": [n(5, 3), n(2, 3)], "y": [n(3, 2), n(4, 2)]})
    case("image_caption", graph(caption, image=(6,), words=((4,), "int32")), lambda n: {"image": n(3, 6), "words": n.ids(3, 4)}, H5)
    case("state_constant_for_all", graph(lambda x: L.LSTM(4)(x, initial_state=[L.Dense(4)(L.Flatten()(x)), L.Dense(4)(L.Flatten()(x))]), x=(5, 3)), lambda n: n(2, 5, 3))
    for kind in ("lstm", "gru"):
        sequence_to_sequence(kind, cells[kind])
    attention_decoder()


def rnn_states(x):
    out = L.RNN([L.GRUCell(4), L.GRUCell(3)], return_state=True)(x)
    return list(out[1:])


def two_layers(x, y):
    a, h1, c1 = L.LSTM(4, return_sequences=True, return_state=True)(x)
    _, h2, c2 = L.LSTM(3, return_state=True)(a)
    d = L.LSTM(4, return_sequences=True)(y, initial_state=[h1, c1])
    return L.Dense(2)(L.LSTM(3, return_sequences=True)(d, initial_state=[h2, c2]))


def two_decoders(x, y, z):
    _, h, c = L.LSTM(4, return_state=True)(x)
    return [L.LSTM(4, name="p")(y, initial_state=[h, c]), L.LSTM(4, name="q")(z, initial_state=[h, c])]


def bidirectional_encoder(x, y):
    _, fh, fc, bh, bc = L.Bidirectional(L.LSTM(3, return_state=True))(x)
    h, c = L.Concatenate()([fh, bh]), L.Concatenate()([fc, bc])
    return L.Dense(2)(L.LSTM(6, return_sequences=True)(y, initial_state=[h, c]))


def caption(image, words):
    s = L.Dense(4, activation="relu")(image)
    return L.Dense(9, activation="softmax")(L.LSTM(4)(L.Embedding(9, 3, mask_zero=True)(words), initial_state=[s, s]))


def sequence_to_sequence(kind, make):
    """The training graph, and the encoder and the decoder for inference, which share its layers."""
    count = 2 if kind == "lstm" else 1
    names = ["h", "c"][:count]
    def parts(embed):
        if embed:
            x, y = keras.Input((None,), name="x", dtype="int32"), keras.Input((None,), name="y", dtype="int32")
            a, b = L.Embedding(9, 3, mask_zero=True)(x), L.Embedding(9, 3, mask_zero=True)(y)
        else:
            a = x = keras.Input((None, 3), name="x")
            b = y = keras.Input((None, 2), name="y")
        states = list(make(return_state=True, name="encoder")(a)[1:])
        decoder = make(return_state=True, return_sequences=True, name="decoder")
        dense = L.Dense(3, activation="softmax", name="dense")
        decoded = decoder(b, initial_state=states)
        given = [keras.Input((4,), name=n) for n in names]
        again = decoder(b, initial_state=given)
        return {"training": keras.Model([x, y], dense(decoded[0])), "encoder": keras.Model(x, states if count > 1 else states[0]),
                "decoder": keras.Model([y] + given, [dense(again[0])] + list(again[1:]))}
    for embed in (False, True):
        name = "seq2seq_" + kind + ("_words" if embed else "")
        x = (lambda n: n.ids(3, 5)) if embed else lambda n: n(3, 5, 3)
        y = (lambda n: n.ids(3, 4)) if embed else lambda n: n(3, 4, 2)
        case(name + "_training", lambda: parts(embed)["training"], lambda n: {"x": x(n), "y": y(n)}, H5 + (".weights.h5",))
        case(name + "_encoder", lambda: parts(embed)["encoder"], lambda n: x(n), H5)
        case(name + "_decoder", lambda: parts(embed)["decoder"], lambda n: dict({"y": y(n)}, **{k: n(3, 4) for k in names}), H5)
        case(name + "_decoder_step", lambda: parts(embed)["decoder"], lambda n: dict({"y": y(n)[:, :1]}, **{k: n(3, 4) for k in names}))


def attention_decoder():
    """A decoder that attends to the encoder's sequence, which is a separate input."""
    def build(y, encoded, h, c):
        d, h2, c2 = L.LSTM(4, return_sequences=True, return_state=True, name="decoder")(y, initial_state=[h, c])
        return [L.Dense(3, activation="softmax", name="word")(L.Concatenate()([d, L.Attention()([d, encoded])])), h2, c2]
    case("seq2seq_attention_decoder", graph(build, y=(None, 2), encoded=(None, 4), h=(4,), c=(4,)),
         lambda n: {"y": n(2, 3, 2), "encoded": n(2, 5, 4), "h": n(2, 4), "c": n(2, 4)}, H5)
    def encoder(x):
        s, h, c = L.LSTM(4, return_sequences=True, return_state=True, name="encoder")(x)
        return [s, h, c]
    case("seq2seq_attention_encoder", graph(encoder, x=(None, 3)), lambda n: n(2, 5, 3), H5)
