/* The environment variables and mounts of hosting platforms: KServe (MODEL_NAME, /mnt/models), SageMaker
   (/opt/ml/model) and Vertex AI (AIP_STORAGE_URI, AIP_HEALTH_ROUTE, AIP_PREDICT_ROUTE; AIP_HTTP_PORT is a setting). */
#ifndef SERVER_BASE_PLATFORM_H
#define SERVER_BASE_PLATFORM_H

/* The path where a platform has put the model, for a server without a model in its settings; NULL if there is none. */
const char *platform_model(void);

/* The platform's name of the model; NULL if there is none. */
const char *platform_model_name(void);

/* The server's target for one of the platform's own targets; any other target is returned unchanged. */
const char *platform_target(const char *target);

#endif
