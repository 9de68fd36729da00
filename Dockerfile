# The image that config/manager runs: the binary with Swift's runtime in it, and the two libraries it links.
FROM swift:6.3-bookworm AS build
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends libssl-dev libcurl4-openssl-dev pkg-config \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Package.swift ./
COPY Sources Sources
# The manifest names the tests' folders too; nothing of them is built.
COPY Tests Tests
RUN swift build -c release --static-swift-stdlib --product leasehold \
    && strip -o /leasehold .build/release/leasehold

FROM debian:bookworm-slim
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends libssl3 libcurl4 ca-certificates \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /leasehold /usr/local/bin/leasehold
# As config/manager says; a number, so that runAsNonRoot can be checked.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/leasehold"]
CMD ["run"]
