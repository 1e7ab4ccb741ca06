/* Keras's HDF5 files: whole models and weights, the layouts of Keras 2 and of Keras 3. Runs only in the load helper
   (except hdf5_is). */
#ifndef CONFIG_FILES_HDF5_FILE_H
#define CONFIG_FILES_HDF5_FILE_H

#include "handover.h"

/* Whether these bytes begin an HDF5 file. */
bool hdf5_is(const unsigned char *bytes, size_t n);

/* Call it before the process is confined, because the library reads the environment. */
void hdf5_prepare(void);

/**
 * List the tensors of a file in memory. The memory must not change until the tensors are written.
 *
 * Keras 3's layout keeps its paths ("layers/lstm/cell/vars/0"), "naming" in the metadata becomes "group". Keras 2's
 * goes by position, as "000012 lstm/lstm_cell/kernel:0", "naming" becomes "position". "config" and "keras_version" are
 * set if the file has them. Source: keras/saving/legacy/hdf5_format.py and keras/saving/saving_lib.py.
 */
bool hdf5_read(struct handover *out, const unsigned char *bytes, size_t n);

#endif
