# The service of a model for production; docs/production.md says how to run it.
FROM python:3.11.14-slim-bookworm AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY docker/requirements.lock ./
# The index of PyTorch has builds without the gigabytes for GPUs.
RUN python -m venv /opt/fraud_ae \
    && /opt/fraud_ae/bin/pip install --require-hashes \
    --extra-index-url https://download.pytorch.org/whl/cpu \
    -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY fraud_ae ./fraud_ae
RUN /opt/fraud_ae/bin/pip install --no-deps --no-build-isolation .

FROM python:3.11.14-slim-bookworm
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin fraud_ae \
    && install --directory --owner fraud_ae /history
COPY --from=build /opt/fraud_ae /opt/fraud_ae
ENV PATH=/opt/fraud_ae/bin:$PATH PYTHONUNBUFFERED=1
USER 10001
VOLUME ["/models", "/history"]
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/ready', timeout=4)"]
ENTRYPOINT ["fraud-ae"]
CMD ["serve", "--model", "/models/production", "--host", "0.0.0.0", "--store", "/history/history.db"]
