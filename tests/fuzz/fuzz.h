/* Fuzz targets. Each takes bytes, and aborts if it finds an error. A unit test runs them on the corpora; in
   VARIANT=fuzz each file is a libFuzzer program. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>

int fuzz_inference(const unsigned char *data, size_t size);
int fuzz_body(const unsigned char *data, size_t size);
int fuzz_safetensors(const unsigned char *data, size_t size);
int fuzz_config(const unsigned char *data, size_t size);
int fuzz_keys(const unsigned char *data, size_t size);
int fuzz_handover(const unsigned char *data, size_t size);
int fuzz_protobuf(const unsigned char *data, size_t size);
int fuzz_transform(const unsigned char *data, size_t size);
int fuzz_bundle(const unsigned char *data, size_t size);
int fuzz_pickle(const unsigned char *data, size_t size);
int fuzz_onnx(const unsigned char *data, size_t size);
int fuzz_torch(const unsigned char *data, size_t size);
int fuzz_tfjs(const unsigned char *data, size_t size);

#ifdef FUZZING
#define FUZZ_TARGET(function)                                                                                          \
    int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);                                                \
    int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)                                                 \
    {                                                                                                                  \
        return function(data, size);                                                                                   \
    }
#else
#define FUZZ_TARGET(function)
#endif

#endif
