/* Converts one module or joint after the other, and keeps track of the layout between them. */
#ifndef CONFIG_TORCH_TORCH_STEPS_H
#define CONFIG_TORCH_TORCH_STEPS_H

#include "config/keras/json.h"
#include "torch_kinds.h"
#include "torch_weights.h"

/* The state of the conversion: the modules read so far, and the current output. */
struct torch_steps {
    struct keras_reader reader;
    struct torch_weights *weights;
    json_t *layers; /* Keras's; the first is the input */
    char path[40];  /* of the module in the file */

    bool sequence; /* [batch, timesteps, width], else [batch, width] */
    bool
        channels_first; /* PyTorch's tensor is [batch, width, timesteps]; the layers' stays [batch, timesteps, width] */
    size_t width, timesteps; /* timesteps 0: any number */
    json_t *recurrent;       /* the config of the previous layer, if it is recurrent, to set its return_sequences */
    bool two_directions;     /* of that layer */
};

void torch_steps_module(struct torch_steps *s, const struct torch_kind *kind, const json_t *module);
void torch_steps_join(struct torch_steps *s, const char *joint);

/* The output width of a module, from its tensors; 0: the input width. */
size_t torch_steps_width_after(const struct torch_steps *s, const struct torch_kind *kind, const json_t *module);

#endif
