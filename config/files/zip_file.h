/* Zip archives: Keras's .keras, NumPy's .npz, PyTorch's .pt. Runs in the load helper alone (but for zip_is). */
#ifndef CONFIG_FILES_ZIP_FILE_H
#define CONFIG_FILES_ZIP_FILE_H

#include "handover.h"

struct zip;

/* Whether these bytes begin a zip archive. */
bool zip_is(const unsigned char *bytes, size_t n);

/* All bytes of an entry in malloc memory, with a 0 behind them; NULL with the error set. Its checksum is checked. */
unsigned char *zip_extract(struct handover *out, struct zip *zip, size_t index, size_t limit, size_t *bytes);

/* List the tensors of an archive in memory, as hdf5_read does. Those of a .npz keep their names ("naming": "names"), or
   go by position where numpy.savez has named them ("arr_0"). */
bool zip_read(struct handover *out, const unsigned char *bytes, size_t n);

#endif
