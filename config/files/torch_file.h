/* Files of torch.save: zip archives (PyTorch 1.6 and later), and the stream of pickles before that. Runs only in the
   load helper (except torch_stream_is). */
#ifndef CONFIG_FILES_TORCH_FILE_H
#define CONFIG_FILES_TORCH_FILE_H

#include "handover.h"

struct zip;

/* Whether these bytes begin a file of torch.save before 1.6 (9 bytes are enough), or another Python pickle. */
bool torch_stream_is(const unsigned char *bytes, size_t n);

/**
 * List the tensors of such a file in memory, as hdf5_read does.
 *
 * Tensors have the names of the state dict. A checkpoint ({"model_state_dict": …, "epoch": …}) gives those of the state
 * dict in it. A whole module gives its parameters and buffers. The metadata "torch" is a JSON text: {"kind": "state dict"
 * | "module", "key": the checkpoint's key, "module": the tree of modules}. In the tree a module is {"class":
 * "torch.nn.modules.rnn.LSTM", "attributes": {"hidden_size": 8, …}, "modules": {name: module, …}}.
 */
bool torch_stream_read(struct handover *out, const unsigned char *bytes, size_t n);

/* The same for an archive whose entry FOLDER/data.pkl has this index. */
bool torch_zip_read(struct handover *out, struct zip *zip, size_t index);

#endif
