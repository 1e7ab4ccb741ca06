/* Bidirectional around a ConvLSTM. */
#ifndef RNN_LAYERS_CONV_LSTM_BOTH_H
#define RNN_LAYERS_CONV_LSTM_BOTH_H

#include "conv_lstm.h"
#include "recurrent.h"

/* The own struct of layer_conv_lstm_both: two layers of layer_conv_lstm, the forward one first. */
struct conv_lstm_both {
    struct layer directions[2];
    enum merge_mode merge; /* never MERGE_NONE */
};

extern const struct layer_class layer_conv_lstm_both;

#endif
