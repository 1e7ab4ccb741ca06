/* PyTorch's pickles: tensors in state dicts and in modules. */
#ifndef CONFIG_FILES_TORCH_PICKLE_H
#define CONFIG_FILES_TORCH_PICKLE_H

#include "handover.h"
#include "pickle.h"

/* The storages, which have the numbers of the tensors beside the pickle. */
struct torch_storages {
    void *from;
    /* The bytes of the storage with this key. Returns NULL with the handover's error set. */
    const unsigned char *(*find)(struct handover *out, void *from, const char *key, size_t *bytes);
};

/* Add every tensor of the value of a torch.save file to the handover, and the metadata "torch" (torch_file.h). */
bool torch_pickle_take(struct handover *out, const struct pickle_value *value, const struct torch_storages *storages);

/* The size of an element of a storage's class; 0: unknown. *type is safetensors' name of the type. */
size_t torch_storage_width(const struct pickle_value *class, const char **type);

#endif
