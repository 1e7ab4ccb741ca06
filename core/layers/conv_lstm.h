/* ConvLSTM1D and ConvLSTM2D: an LSTM whose products are convolutions. */
#ifndef RNN_LAYERS_CONV_LSTM_H
#define RNN_LAYERS_CONV_LSTM_H

#include "conv.h"

/* The own struct of layer_conv_lstm. */
struct conv_lstm {
    struct window window; /* of the inputs; the recurrent one has padding same and strides of 1 */
    size_t filters;
    bool use_bias, unit_forget_bias, return_sequences, return_state, go_backwards;
    bool zero_output_for_mask; /* Keras 3: zeros at masked timesteps of a sequence */
    struct activation activation, recurrent_activation;
    struct initializer kernel_initializer, recurrent_initializer, bias_initializer;
    /* built */
    struct layer input, recurrent;   /* of layer_conv */
    struct layer_shape frame, gates; /* of one timestep's input; of what its convolution gives */
    struct rnn_cell_spec *states;    /* h and c, [frame] each as one vector */
    size_t leaf_offset;
};

/* The own struct of layer_frame_state: h, 0, or c, 1. It takes the final states of a ConvLSTM and what the ConvLSTM gives,
   and gives the state as a frame. */
struct frame_state {
    size_t index;
    bool sequences; /* the ConvLSTM gives a sequence of frames */
};

extern const struct layer_class layer_conv_lstm, layer_frame_state;

#endif
