# docker build -t tssd .                              simulates, checks, verifies, compares, reports
# docker build -t tssd --build-arg EXTRAS=train .     trains, exports and imports too
# docker run --rm -v "$PWD:/data" tssd simulate build/fmnist
FROM python:3.13-slim AS wheel
COPY . /source
RUN pip install --quiet build && python -m build --wheel --outdir /wheel /source

FROM python:3.13-slim
ARG EXTRAS=""
COPY --from=wheel /wheel /wheel
RUN for w in /wheel/*.whl; do pip install --no-cache-dir --quiet "$w${EXTRAS:+[$EXTRAS]}"; done \
    && rm -r /wheel && useradd --create-home user
USER user
WORKDIR /data
ENTRYPOINT ["tssd"]
CMD ["doctor"]
