/* The load helper: this program in another role, which parses HDF5 and zip files and nothing else. */
#ifndef CONFIG_FILES_HELPER_H
#define CONFIG_FILES_HELPER_H

/* The only argument of the helper. */
#define HELPER_ARGUMENT "--load-helper"
/* The same where the file is that of a scaler. */
#define HELPER_SCALER_ARGUMENT "--scaler-helper"

enum { HELPER_GOOD = 0, HELPER_BAD_FILE = 1 };

/**
 * Read the file that is standard input, and leave its tensors as a safetensors file in standard output, an empty file
 * that can be mapped. With HELPER_BAD_FILE a sentence stands there in its place. Ends the process.
 */
_Noreturn void helper_main(const char *argument);

#endif
