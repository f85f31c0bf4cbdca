# The images of the services, with nothing in them but what one service runs: no shell, no package manager.
#   docker build --build-arg SERVICE=gateway --tag whisper-webui-gateway .
# `deploy/aws/images.sh` builds and pushes all of them. The endpoint's image is sagemaker/Dockerfile.

# gateway, auth, chunker, transcriber or provision.
ARG SERVICE
# Another registry, or a digest, goes in here. The lock files in images/requirements are of the same Python.
ARG BASE_IMAGE=python:3.13-slim-trixie

FROM ${BASE_IMAGE} AS packages
ARG SERVICE
ARG PIP_INDEX_URL=
ARG DEBIAN_MIRROR=
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
# Debian's own version, whatever its latest security update is: older ones are not kept.
# hadolint ignore=DL3008
RUN if [ "${SERVICE}" = chunker ]; then \
      if [ -n "${DEBIAN_MIRROR}" ]; then \
        sed -i "s|^URIs: [^ ]*/debian|URIs: ${DEBIAN_MIRROR}|" /etc/apt/sources.list.d/debian.sources; fi \
      && apt-get update && apt-get install --yes --no-install-recommends ffmpeg \
      && rm -rf /var/lib/apt/lists/*; fi
COPY images/requirements/build.txt images/requirements/${SERVICE}.txt ./
# Each list is whole, so nothing is looked up beside it.
RUN python3 -m venv /opt/venv \
 && for list in build "${SERVICE}"; do \
      /opt/venv/bin/pip install ${PIP_INDEX_URL:+--index-url "${PIP_INDEX_URL}"} \
        --require-hashes --no-deps --no-build-isolation --no-compile --requirement "${list}.txt" || exit 1; done
COPY images/root.py pyproject.toml ./
RUN mkdir /root-of-image \
 && if [ "${SERVICE}" = chunker ]; then set -- ffmpeg; else set --; fi \
 && /opt/venv/bin/python root.py /root-of-image "$@"
COPY services/__init__.py /root-of-image/app/services/__init__.py
COPY services/common /root-of-image/app/services/common
COPY services/contracts /root-of-image/app/services/contracts
COPY services/${SERVICE} /root-of-image/app/services/${SERVICE}
# The root file system is read-only where it runs, so what Python would write there is written now.
RUN /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash -s /root-of-image /root-of-image

FROM scratch AS runtime
ARG SERVICE
ARG SOURCE=
ARG REVISION=
ARG VERSION=
ARG CREATED=
COPY --from=packages /root-of-image /
ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin \
    LANG=C.UTF-8 \
    HOME=/tmp \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    GIT_REVISION=${REVISION}
LABEL org.opencontainers.image.title="whisper-webui-${SERVICE}" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.created="${CREATED}"
WORKDIR /app
USER 10001:10001
EXPOSE 9090

# Python is the first process, so SIGTERM reaches the service. Each import shows while the image is built that
# nothing is missing.
FROM runtime AS gateway
RUN ["/opt/venv/bin/python", "-c", "import services.gateway.__main__"]
EXPOSE 8080
ENTRYPOINT ["/opt/venv/bin/python", "-m", "services.gateway"]

FROM runtime AS auth
RUN ["/opt/venv/bin/python", "-c", "import services.auth.__main__"]
ENTRYPOINT ["/opt/venv/bin/python", "-m", "services.auth"]

FROM runtime AS chunker
RUN ["/opt/venv/bin/python", "-c", "import services.chunker.__main__, services.chunker.sandbox as s; s.tried()"]
ENTRYPOINT ["/opt/venv/bin/python", "-m", "services.chunker"]

FROM runtime AS transcriber
RUN ["/opt/venv/bin/python", "-c", "import services.transcriber.__main__"]
ENTRYPOINT ["/opt/venv/bin/python", "-m", "services.transcriber"]

FROM runtime AS provision
RUN ["/opt/venv/bin/python", "-c", "import services.provision.__main__"]
ENTRYPOINT ["/opt/venv/bin/python", "-m", "services.provision"]

FROM ${SERVICE}
