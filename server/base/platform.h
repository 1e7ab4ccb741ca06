/* What hosting platforms say by environment variables and mounts: KServe (MODEL_NAME, /mnt/models), SageMaker
   (/opt/ml/model) and Vertex AI (AIP_STORAGE_URI, AIP_HEALTH_ROUTE, AIP_PREDICT_ROUTE; AIP_HTTP_PORT is a setting). */
#ifndef SERVER_BASE_PLATFORM_H
#define SERVER_BASE_PLATFORM_H

/* Where a platform has put the model, for a server that was told of none; NULL where there is nothing. */
const char *platform_model(void);

/* What the platform calls the one model; NULL where it does not say. */
const char *platform_model_name(void);

/* The target that stands behind one of the platform's own names for it; else the target itself. */
const char *platform_target(const char *target);

#endif
