/* Pickles and joblib files of fitted scikit-learn objects: the attributes that are numbers, as JSON. */
#ifndef CONFIG_FILES_SCALER_PICKLE_H
#define CONFIG_FILES_SCALER_PICKLE_H

#include "handover.h"

/* Leave {"class_name": "StandardScaler", "mean_": […], …} in the metadata's text "scaler", for any class, also from a
   file that joblib has compressed by zlib or gzip. Runs in the load helper. Returns false with the error set. */
bool scaler_pickle_read(struct handover *handover, const unsigned char *bytes, size_t n);

#endif
