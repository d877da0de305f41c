# One image for all three services; compose.yaml says which command each runs.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
RUN python -m venv --without-pip /opt/venv
COPY requirements.txt /tmp/requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python --disable-pip-version-check --no-input install \
        --require-hashes --only-binary :all: --no-compile -r /tmp/requirements.txt
COPY . /opt/gateway
RUN /opt/venv/bin/python -m compileall -q -j 0 /opt/venv/lib /opt/gateway

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 gateway \
    && useradd --uid 10001 --gid gateway --home-dir /var/lib/gateway --no-create-home --shell /usr/sbin/nologin gateway \
    && groupadd --gid 10002 gateway-proxy \
    && useradd --uid 10002 --gid gateway-proxy --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin gateway-proxy \
    && for name in gateway gateway-link gateway-tls gateway-authority; do \
           install -d -o gateway -g gateway -m 0700 "/var/lib/$name"; done \
    && install -d -o gateway-proxy -g gateway-proxy -m 0700 /var/lib/gateway-https
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/gateway /opt/gateway
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_DIR=/var/lib/gateway
WORKDIR /opt/gateway
USER 10001:10001
