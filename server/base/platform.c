/* Hosting platforms. */
#include "platform.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

const char *platform_model(void)
{
    const char *const places[] = {variable("AIP_STORAGE_URI"), "/mnt/models", "/opt/ml/model"};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (places[i] && !access(places[i], R_OK)) /* a gs:// address is no place here */
            return places[i];
    return NULL;
}

const char *platform_model_name(void)
{
    return variable("MODEL_NAME");
}

const char *platform_target(const char *target)
{
    const char *health = variable("AIP_HEALTH_ROUTE"), *predict = variable("AIP_PREDICT_ROUTE");
    if (health && !strcmp(target, health))
        return "/ping";
    return predict && !strcmp(target, predict) ? "/invocations" : target;
}
