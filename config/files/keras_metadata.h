/* The configuration of a Keras model in a SavedModel. Runs in the load helper alone. */
#ifndef CONFIG_FILES_KERAS_METADATA_H
#define CONFIG_FILES_KERAS_METADATA_H

#include "tensor_bundle.h"

/* Set "config" and "keras_version" from keras_metadata.pb, or from saved_model.pb. Sources: keras/protobuf's
   saved_metadata.proto, and tensorflow/core/protobuf's saved_model.proto and saved_object_graph.proto. */
bool keras_metadata_read(struct handover *out, enum bundle_metadata kind, struct file_bytes file);

#endif
