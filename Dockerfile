# The image that config/manager runs: the binary with Swift's runtime in it, and the libraries that it links. Without a shell:
# `kubectl debug` brings one.
FROM swift:6.3-bookworm AS build
WORKDIR /src
COPY Makefile ./
COPY scripts scripts
RUN scripts/packages.sh $(sed -n 's/^\(BUILD\|IMAGE\)_PACKAGES := //p' Makefile)
COPY Package.swift ./
COPY Sources Sources
# The manifest names the tests' folders too; nothing of them is built.
COPY Tests Tests
RUN swift build -c release --static-swift-stdlib --product leasehold
# What `make image-root` lays out, and tests where there is no Docker.
RUN scripts/image-root.sh .build/release/leasehold /image

FROM scratch
COPY --from=build /image /
# As config/manager says; a number, so that runAsNonRoot can be checked.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/leasehold"]
CMD ["help"]
