/* The handlers of routes; see the table in routes.c. */
#ifndef SERVER_API_HANDLERS_H
#define SERVER_API_HANDLERS_H

#include "server/run/request.h"

/* What workers answer. */
extern const struct protocol protocol_predict, protocol_step, protocol_initial_state; /* predict.c */
extern const struct protocol protocol_tf_serving;                                     /* tf_serving.c */
extern const struct protocol protocol_open_inference;                                 /* open_inference.c */
extern const struct protocol protocol_session_show, protocol_session_put,
    protocol_session_drop; /* session_endpoints.c */

/* health.c */
void answer_livez(struct request *request);
void answer_readyz(struct request *request);
void answer_healthz(struct request *request);

/* metrics_page.c */
void answer_metrics(struct request *request);
void answer_debug(struct request *request);

/* models.c */
void answer_model_list(struct request *request);
void answer_model_status(struct request *request);
void answer_model_metadata(struct request *request);

/* openapi.c */
void answer_openapi(struct request *request);

/* page.c */
void answer_root(struct request *request);

/* open_inference_models.c */
void answer_v2_server(struct request *request);
void answer_v2_live(struct request *request);
void answer_v2_ready(struct request *request);
void answer_v2_model(struct request *request);
void answer_v2_model_ready(struct request *request);
void answer_v2_statistics(struct request *request);
void answer_v2_repository(struct request *request);

#endif
