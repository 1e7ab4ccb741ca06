/* One module or joint after the other, with the layout of what flows between them. */
#ifndef CONFIG_TORCH_TORCH_STEPS_H
#define CONFIG_TORCH_TORCH_STEPS_H

#include "config/keras/json.h"
#include "torch_kinds.h"
#include "torch_weights.h"

/* What has been read so far, and what comes out of it. */
struct torch_steps {
    struct keras_reader reader;
    struct torch_weights *weights;
    json_t *layers; /* Keras's; the first is the input */
    char path[40];  /* of the module in the file */

    bool sequence; /* [batch, timesteps, width], else [batch, width] */
    bool
        channels_first; /* PyTorch's tensor is [batch, width, timesteps]; the layers' stays [batch, timesteps, width] */
    size_t width, timesteps; /* timesteps 0: any number */
    json_t *recurrent;       /* the config of the layer before, if it is recurrent, in which return_sequences is set */
    bool two_directions;     /* of that layer */
};

void torch_steps_module(struct torch_steps *s, const struct torch_kind *kind, const json_t *module);
void torch_steps_join(struct torch_steps *s, const char *joint);

/* The width behind a module, by its tensors; 0: as before it. */
size_t torch_steps_width_after(const struct torch_steps *s, const struct torch_kind *kind, const json_t *module);

#endif
