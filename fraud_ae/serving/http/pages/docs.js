"use strict";
service.begin(async () => {
  SwaggerUIBundle({
    spec: await service.ask("/openapi.json"),
    dom_id: "#api",
    deepLinking: true,
    defaultModelsExpandDepth: 0,
    requestInterceptor: (request) => {
      Object.assign(request.headers, service.headers());
      return request;
    },
  });
});
