/* The load helper: this program, started to parse a file of a model or a scaler. */
#ifndef CONFIG_FILES_HELPER_H
#define CONFIG_FILES_HELPER_H

/* The first argument of the helper. The second argument, the form, names the input if its bytes do not show what it
   is. */
#define HELPER_ARGUMENT "--load-helper"

/* The form of a scaler's file. */
#define HELPER_SCALER "scaler"

/* The forms of checkpoints, by enum bundle_metadata. */
extern const char *const helper_forms[];

enum { HELPER_GOOD = 0, HELPER_BAD_FILE = 1 };

/**
 * Read the file at standard input, and write its tensors as a safetensors file to standard output, which is an empty
 * file that can be mapped. Of a checkpoint, standard input is the index, descriptor 3 the metadata, and the shards
 * begin at 4. With the exit code HELPER_BAD_FILE, the output is a sentence instead. Ends the process.
 *
 * form  NULL: the file says itself what it is.
 */
_Noreturn void helper_main(const char *form);

#endif
