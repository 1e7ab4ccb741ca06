"""Cases of Attention, AdditiveAttention and MultiHeadAttention, also with masks from Embedding and Masking."""
from golden import L, MAJOR, case, chain, graph, keras, np

H5 = (".keras", ".h5")
QV = dict(q=(4, 3), v=(5, 3))
IDS = dict(q=((4,), "int32"), v=((5,), "int32"))


def qv(n):
    return {"q": n(2, 4, 3), "v": n(2, 5, 3)}


def qvk(n, wide):
    return {"q": n(2, 4, 3), "v": n(2, 5, wide), "k": n(2, 5, 3)}


def ids(n):
    return {"q": n.ids(3, 4), "v": n.ids(3, 5)}


def dots(kind, options):
    """Attention or AdditiveAttention with every option."""
    make = lambda **k: getattr(L, kind)(**dict(options, **k))
    name = kind.lower().replace("attention", "_attention").lstrip("_")
    embed = lambda x, **k: L.Embedding(9, 3, **k)(x)
    case(name, graph(lambda q, v: make()([q, v]), **QV), qv, H5)
    wide = 2 if kind == "Attention" else 3  # AdditiveAttention needs values as wide as keys
    case(name + "_key", graph(lambda q, v, k: make()([q, v, k]), q=(4, 3), v=(5, wide), k=(5, 3)), lambda n: qvk(n, wide), H5)
    case(name + "_use_scale", graph(lambda q, v: make(use_scale=True)([q, v]), **QV), qv, H5)
    case(name + "_no_scale", graph(lambda q, v: make(use_scale=False)([q, v]), **QV), qv)
    case(name + "_causal", graph(lambda x: make()([x, x], use_causal_mask=True), x=(5, 3)), lambda n: n(2, 5, 3), H5)
    case(name + "_causal_lengths", graph(lambda q, v: make()([q, v], use_causal_mask=True), **QV), qv)
    case(name + "_scores", graph(lambda q, v: list(make(name="a")([q, v], return_attention_scores=True)), **QV), qv)
    case(name + "_masked", graph(lambda q, v: make()([embed(q, mask_zero=True), embed(v, mask_zero=True)]), **IDS), ids, H5)
    case(name + "_masked_value", graph(lambda q, v: make()([embed(q), embed(v, mask_zero=True)]), **IDS), ids)
    case(name + "_masked_query", graph(lambda q, v: make()([embed(q, mask_zero=True), embed(v)]), **IDS), ids)
    case(name + "_masked_then_lstm", graph(lambda q, v: L.LSTM(3)(make()([embed(q, mask_zero=True), embed(v, mask_zero=True)])), **IDS), ids)
    case(name + "_masked_then_pooling", graph(lambda q, v: L.GlobalAveragePooling1D()(make()([embed(q, mask_zero=True), embed(v, mask_zero=True)])), **IDS), ids)
    case(name + "_masked_causal", graph(lambda x: (lambda e: make()([e, e], use_causal_mask=True))(embed(x, mask_zero=True)), x=((5,), "int32")), lambda n: n.ids(3, 5))
    case(name + "_open_length", graph(lambda q, v: make()([q, v]), q=(None, 3), v=(None, 3)),
         lambda n: {"q": [n(4, 3), n(2, 3)], "v": [n(3, 3), n(5, 3)]})
    case(name + "_lstm", graph(lambda x: (lambda h: L.Dense(2)(L.GlobalAveragePooling1D()(make()([h, h]))))(L.LSTM(4, return_sequences=True)(x)),
         x=(5, 3)), lambda n: n(2, 5, 3), H5)
    case(name + "_seq2seq", graph(lambda a, b: seq2seq(make, a, b), a=(5, 3), b=(4, 2)), lambda n: {"a": n(2, 5, 3), "b": n(2, 4, 2)}, H5)


def seq2seq(make, a, b):
    encoded, h, c = L.LSTM(4, return_sequences=True, return_state=True)(a)
    decoded = L.LSTM(4, return_sequences=True)(b, initial_state=[h, c])
    return L.Dense(3, activation="softmax")(L.Concatenate()([decoded, make()([decoded, encoded])]))


def bidirectional(x):
    """A small version of model C10 of the benchmarks."""
    h = L.Bidirectional(L.LSTM(4, return_sequences=True))(x)
    a = L.Attention()([h, h])
    return L.Dense(1)(L.Concatenate()([L.GlobalAveragePooling1D()(h), L.GlobalAveragePooling1D()(a)]))


def weighted_sum(x):
    """A common attention written with basic layers: a score for each timestep, softmax over time, weighted sum."""
    h = L.LSTM(4, return_sequences=True)(x)
    score = L.Softmax(axis=1)(L.Dense(1, activation="tanh")(h))
    return L.Dense(1)(L.Flatten()(L.Dot(axes=1)([score, h])))


def permuted(x):
    """Another common attention: Flatten, softmax, RepeatVector, Permute, Multiply."""
    h = L.LSTM(4, return_sequences=True)(x)
    score = L.Activation("softmax")(L.Flatten()(L.Dense(1, activation="tanh")(h)))
    return L.GlobalMaxPooling1D()(L.Multiply()([h, L.Permute([2, 1])(L.RepeatVector(4)(score))]))


def block(x, heads=2):
    """An encoder block of a transformer after an RNN."""
    h = L.GRU(4, return_sequences=True)(x)
    h = L.LayerNormalization(epsilon=1e-6)(L.Add()([h, L.Dropout(0.1)(L.MultiHeadAttention(heads, 3, dropout=0.1)(h, h))]))
    f = L.Dense(4)(L.Dense(8, activation="relu")(h))
    return L.GlobalAveragePooling1D()(L.LayerNormalization(epsilon=1e-6)(L.Add()([h, f])))


def heads():
    make = lambda **k: L.MultiHeadAttention(**dict(dict(num_heads=2, key_dim=3), **k))
    embed = lambda x, **k: L.Embedding(9, 4, **k)(x)
    self2 = lambda n: n(2, 5, 4)
    name = "multi_head_attention"
    case(name, graph(lambda x: make()(x, x), x=(5, 4)), self2, H5 + (".weights.h5",))
    case(name + "_two", graph(lambda q, v: make()(q, v), q=(4, 3), v=(5, 2)), lambda n: {"q": n(2, 4, 3), "v": n(2, 5, 2)}, H5)
    case(name + "_key", graph(lambda q, v, k: make()(q, v, k), q=(4, 3), v=(5, 2), k=(5, 4)),
         lambda n: {"q": n(2, 4, 3), "v": n(2, 5, 2), "k": n(2, 5, 4)}, H5)
    case(name + "_key_by_name", graph(lambda q, v, k: make()(q, value=v, key=k), q=(4, 3), v=(5, 2), k=(5, 4)),
         lambda n: {"q": n(2, 4, 3), "v": n(2, 5, 2), "k": n(2, 5, 4)})
    case(name + "_value_dim", graph(lambda x: make(num_heads=3, value_dim=2)(x, x), x=(5, 4)), self2, H5)
    # The numbers of a head are as many as a vector of a kernel has, or half of them.
    case(name + "_heads_of_4", graph(lambda x: make(value_dim=4)(x, x), x=(5, 4)), self2)
    case(name + "_heads_of_8", graph(lambda x: make(key_dim=8)(x, x), x=(5, 4)), self2)
    case(name + "_checkpoint", graph(lambda x: make(key_dim=2)(x, x), x=(5, 4)), self2, ("checkpoint",), only=2)
    case(name + "_output_shape", graph(lambda x: make(output_shape=6)(x, x), x=(5, 4)), self2, H5)
    case(name + "_no_bias", graph(lambda x: make(use_bias=False)(x, x), x=(5, 4)), self2)
    case(name + "_one_head", graph(lambda x: make(num_heads=1, key_dim=4)(x, x), x=(5, 4)), self2)
    case(name + "_causal", graph(lambda x: make()(x, x, use_causal_mask=True), x=(None, 4)), lambda n: [n(5, 4), n(3, 4)], H5)
    case(name + "_scores", graph(lambda x: list(make(name="m")(x, x, return_attention_scores=True)), x=(5, 4)), self2)
    case(name + "_attention_mask", graph(lambda x, m: make()(x, x, attention_mask=m), x=(4, 4), m=((4, 4), "bool")),
         lambda n: {"x": n(2, 4, 4), "m": n(2, 4, 4) > -0.7})
    case(name + "_masked", graph(lambda x: (lambda e: make()(e, e))(embed(x, mask_zero=True)), x=((5,), "int32")), lambda n: n.ids(3, 5), H5)
    case(name + "_masked_two", graph(lambda q, v: make()(embed(q, mask_zero=True), embed(v, mask_zero=True)), **IDS), ids, H5)
    case(name + "_masked_value", graph(lambda q, v: make()(embed(q), embed(v, mask_zero=True)), **IDS), ids)
    case(name + "_masked_causal", graph(lambda x: (lambda e: make()(e, e, use_causal_mask=True))(embed(x, mask_zero=True)), x=((5,), "int32")),
         lambda n: n.ids(3, 5))
    case(name + "_masked_then_lstm", graph(lambda x: (lambda e: L.LSTM(3)(make()(e, e)))(embed(x, mask_zero=True)), x=((5,), "int32")), lambda n: n.ids(3, 5))
    case(name + "_masked_then_pooling", graph(lambda x: (lambda e: L.GlobalAveragePooling1D()(make()(e, e)))(embed(x, mask_zero=True)),
         x=((5,), "int32")), lambda n: n.ids(3, 5))
    case(name + "_masking_lstm", graph(lambda x: (lambda h: make()(h, h))(L.LSTM(4, return_sequences=True)(L.Masking()(x))), x=(5, 3)),
         lambda n: n.masked(3, 5, 3))
    case(name + "_frames", graph(lambda x: make(attention_axes=(2,))(x, x), x=(2, 3, 4)), lambda n: n(2, 2, 3, 4))
    options(make, embed, name)
    case("transformer_block", graph(block, x=(5, 3)), lambda n: n(2, 5, 3), H5)


def options(make, embed, name):
    """Combinations of arguments of the call with axes."""
    frames, scores = lambda n: n(2, 2, 3, 4), dict(return_attention_scores=True)
    mask = lambda *shape: lambda n: {"x": n(2, 4, 4), "m": n(2, *shape) > -0.7}
    case(name + "_mask_of_heads", graph(lambda x, m: make()(x, x, attention_mask=m), x=(4, 4), m=((2, 4, 4), "bool")), mask(2, 4, 4))
    case(name + "_mask_of_keys", graph(lambda x, m: make()(x, x, attention_mask=m), x=(4, 4), m=((1, 4), "bool")), mask(1, 4))
    case(name + "_mask_scores", graph(lambda x, m: list(make(name="m2")(x, x, attention_mask=m, use_causal_mask=True, **scores)),
         x=(4, 4), m=((4, 4), "bool")), mask(4, 4))
    case(name + "_mask_masked", graph(lambda x, m: (lambda e: make()(e, e, attention_mask=m))(embed(x, mask_zero=True)),
         x=((4,), "int32"), m=((4, 4), "bool")), lambda n: {"x": n.ids(3, 4), "m": n(3, 4, 4) > -0.7})
    case(name + "_scores_used", graph(lambda x: (lambda y, s: L.Dense(2)(L.Concatenate()([L.Flatten()(y), L.Flatten()(s)])))(*make()(x, x, **scores)),
         x=(4, 4)), lambda n: n(2, 4, 4))
    case(name + "_frames_scores", graph(lambda x: list(make(attention_axes=(2,), name="m")(x, x, **scores)), x=(2, 3, 4)), frames)
    case(name + "_frames_axis_1", graph(lambda x: make(attention_axes=(1,))(x, x, use_causal_mask=True), x=(3, 2, 4)), lambda n: n(2, 3, 2, 4))
    case(name + "_frames_all", graph(lambda q, v: make()(q, v), q=(2, 3, 4), v=(3, 2, 4)), lambda n: {"q": n(2, 2, 3, 4), "v": n(2, 3, 2, 4)})
    case(name + "_frames_open", graph(lambda x: make(attention_axes=(2,), output_shape=3)(x, x), x=(None, 3, 4)), lambda n: [n(4, 3, 4), n(2, 3, 4)])
    case(name + "_frames_mask", graph(lambda x, m: make(attention_axes=(2,))(x, x, attention_mask=m), x=(2, 3, 4), m=((3, 3), "bool")),
         lambda n: {"x": n(2, 2, 3, 4), "m": n(2, 3, 3) > -0.7})
    case(name + "_window", graph(lambda x: make(sliding_window=2)(x, x), x=(5, 4)), lambda n: n(2, 5, 4), only=3)
    case(name + "_window_causal", graph(lambda x: make(sliding_window=3)(x, x, use_causal_mask=True), x=(None, 4)), lambda n: [n(5, 4), n(3, 4)], only=3)
    masks = lambda n: {"q": n(2, 4, 4), "v": n(2, 5, 4), "m": n(2, 5) > -0.7}
    case(name + "_value_mask", graph(lambda q, v, m: make()(q, v, value_mask=m), q=(4, 4), v=(5, 4), m=((5,), "bool")), masks, only=3)
    for kind in (L.Attention, L.AdditiveAttention):
        case(kind.__name__.lower() + "_mask_list", graph(lambda q, v, w, m: kind()([q, v], mask=[w, m]), q=(4, 4), v=(5, 4), w=((4,), "bool"),
             m=((5,), "bool")), lambda n: dict(masks(n), w=n(2, 4) > -0.7))
        case(kind.__name__.lower() + "_mask_of_value", graph(lambda q, v, m: kind()([q, v], mask=[None, m]), q=(4, 4), v=(5, 4), m=((5,), "bool")), masks)
    case("attention_scores_masked_causal", graph(lambda x: (lambda e: list(L.Attention(name="a")([e, e], use_causal_mask=True, **scores)))(embed(x, mask_zero=True)),
         x=((5,), "int32")), lambda n: n.ids(3, 5))
    soft = lambda shape, mask, **k: graph(lambda x, m: L.Softmax(**k)(x, mask=m), x=shape, m=(mask, "bool"))
    drawn = lambda shape, mask: lambda n: {"x": n(2, *shape), "m": n(2, *mask) > -0.3}
    case("softmax_mask", soft((4,), (4,)), drawn((4,), (4,)), H5)
    # The second output of "a" is named a_2, since a layer is named a_1.
    case("attention_scores_named", graph(lambda x: (lambda y, s: [L.Dense(2, name="a_1")(y), y, s])(*L.Attention(name="a")([x, x], **scores)),
         x=(4, 3)), lambda n: n(2, 4, 3))
    case("softmax_mask_scores", soft((3, 4), (3, 4)), drawn((3, 4), (3, 4)))
    case("softmax_mask_broadcast", soft((3, 4), (1, 4)), drawn((3, 4), (1, 4)))
    case("softmax_mask_axis_1", soft((5, 3), (5, 1), axis=1), drawn((5, 3), (5, 1)))
    case("softmax_mask_axes", soft((5, 3), (5, 3), axis=[1, 2]), drawn((5, 3), (5, 3)))
    case("softmax_mask_none_left", soft((4,), (4,)), lambda n: {"x": n(2, 4), "m": np.array([[True, False, True, True], [False] * 4])})
    case("softmax_masked_by_itself", chain((4,), lambda: L.Embedding(9, 1, mask_zero=True), lambda: L.Softmax(axis=1), dtype="int32"), lambda n: n.ids(3, 4))
    case("conv1d_mask_given", graph(lambda x: given_mask(x), x=((5,), "int32")), lambda n: n.ids(3, 5))


def given_mask(x):
    """A mask that a layer has stopped, and that the call of a later layer gives again."""
    embedding = L.Embedding(9, 3, mask_zero=True)
    h = embedding(x)
    mask = embedding.compute_mask(x)
    return L.LSTM(3)(L.Conv1D(3, 2, padding="same")(h), mask=mask)


def cases():
    dots("Attention", {})
    case("attention_concat", graph(lambda q, v: L.Attention(score_mode="concat")([q, v]), **QV), qv, H5)
    case("attention_concat_scale", graph(lambda q, v: L.Attention(score_mode="concat", use_scale=True)([q, v]), **QV), qv)
    dots("AdditiveAttention", {})
    case("attention_bidirectional", graph(bidirectional, x=(6, 3)), lambda n: n(2, 6, 3), H5 + (".weights.h5",))
    case("attention_weighted_sum", graph(weighted_sum, x=(6, 3)), lambda n: n(2, 6, 3), H5)
    case("attention_permuted", graph(permuted, x=(6, 3)), lambda n: n(2, 6, 3), H5)
    heads()
