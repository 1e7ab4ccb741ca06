/* Zip archives: Keras's .keras and NumPy's .npz. Runs in the load helper alone (but for zip_is). */
#ifndef CONFIG_FILES_ZIP_FILE_H
#define CONFIG_FILES_ZIP_FILE_H

#include "handover.h"

/* Whether these bytes begin a zip archive. */
bool zip_is(const unsigned char *bytes, size_t n);

/* List the tensors of an archive in memory, as hdf5_read does. Those of a .npz keep their names ("naming": "names"), or
   go by position where numpy.savez has named them ("arr_0"). */
bool zip_read(struct handover *out, const unsigned char *bytes, size_t n);

#endif
