/* ConvLSTM1D and ConvLSTM2D: an LSTM whose products are convolutions. */
#ifndef RNN_LAYERS_CONV_LSTM_H
#define RNN_LAYERS_CONV_LSTM_H

#include "conv.h"

/* The own struct of layer_conv_lstm. */
struct conv_lstm {
    struct window window; /* of the input convolution; the recurrent convolution has padding "same" and strides of 1 */
    size_t filters;
    bool use_bias, unit_forget_bias, return_sequences, return_state, go_backwards;
    bool zero_output_for_mask; /* Keras 3: the outputs of masked timesteps are zeros */
    struct activation activation, recurrent_activation;
    struct initializer kernel_initializer, recurrent_initializer, bias_initializer;
    /* built */
    struct layer input, recurrent;   /* layers of the class layer_conv */
    struct layer_shape frame, gates; /* the shapes of a frame of the input, and of the result of the input
                                        convolution */
    struct rnn_cell_spec *states;    /* h and c; each is a frame, stored as one vector */
    size_t leaf_offset;
};

/* The own struct of layer_frame_state, which returns a final state of a ConvLSTM as a frame. index 0 is h, index 1 is
   c. Inputs: the final states and the output of the ConvLSTM; the output only gives the shape. */
struct frame_state {
    size_t index;
    bool sequences; /* the output of the ConvLSTM is a sequence of frames */
};

extern const struct layer_class layer_conv_lstm, layer_frame_state;

#endif
