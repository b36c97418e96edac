# serve (the default): what answers requests, without compiler or training libraries.
# train: the same plus what reads tables and fits models; docker build --target train .
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS source
WORKDIR /src
COPY pyproject.toml README.md ./
COPY features features
COPY models models
COPY monitoring monitoring
COPY server server

FROM source AS build-serve
# docker build --build-arg EXTRAS='[otel]' for traces, '[s3]' for models in a bucket.
ARG EXTRAS=""
RUN python -m venv /opt/cuvee \
    && /opt/cuvee/bin/pip install --no-cache-dir --no-compile ".${EXTRAS}"

FROM source AS build-train
RUN python -m venv /opt/cuvee \
    && /opt/cuvee/bin/pip install --no-cache-dir --no-compile ".[train]"

FROM ${PYTHON_IMAGE} AS base
# The math libraries ignore the container's processor quota; one thread each is the fast choice.
ENV PATH=/opt/cuvee/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 \
    MKL_NUM_THREADS=1 \
    CUVEE_HOME=/var/lib/cuvee
RUN groupadd --gid 10001 cuvee \
    && useradd --uid 10001 --gid cuvee --no-create-home --shell /usr/sbin/nologin cuvee \
    && install -d -o cuvee -g cuvee /var/lib/cuvee
WORKDIR /var/lib/cuvee
VOLUME /var/lib/cuvee

FROM base AS train
COPY --from=build-train /opt/cuvee /opt/cuvee
USER 10001:10001
ENTRYPOINT ["python", "-m", "models"]
CMD ["--help"]

FROM base AS serve
COPY --from=build-serve /opt/cuvee /opt/cuvee
ENV CUVEE_HOST=0.0.0.0 \
    CUVEE_PORT=8080
EXPOSE 8080
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=2s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['CUVEE_PORT']}/healthz\", timeout=1.5)"]
ENTRYPOINT ["python", "-m", "server"]
