/* A small model of nested cells for the fuzz targets. */
#ifndef TESTS_FUZZ_MODEL_H
#define TESTS_FUZZ_MODEL_H

#include "config/model.h"

/* [batch][timesteps][2]; SimpleRNN(2), then a stack of LSTM(2) and GRU(1). All weights are 0. */
const struct model *fuzz_model(void);

#endif
