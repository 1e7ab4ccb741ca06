/* The load helper: this program in another role, which parses files of models and scalers and nothing else. */
#ifndef CONFIG_FILES_HELPER_H
#define CONFIG_FILES_HELPER_H

/* The first argument of the helper. A second one, the form, says what the input is where its bytes do not. */
#define HELPER_ARGUMENT "--load-helper"

/* The form of a scaler's file. */
#define HELPER_SCALER "scaler"

/* The forms of checkpoints, by enum bundle_metadata. */
extern const char *const helper_forms[];

enum { HELPER_GOOD = 0, HELPER_BAD_FILE = 1 };

/**
 * Read the file that is standard input (of a checkpoint the index; its metadata are descriptor 3, its shards begin at 4),
 * and leave its tensors as a safetensors file in standard output, an empty file that can be mapped. With HELPER_BAD_FILE
 * a sentence stands there in its place. Ends the process.
 *
 * form  NULL: the file says itself what it is.
 */
_Noreturn void helper_main(const char *form);

#endif
