# SPDX-License-Identifier: BSD-3-Clause
#
#   make            build/virtiofsd
#   make check      all tests; the guests run a part of their matrix that has each value once
#   make check-all  all tests, all of the matrix
#   make check-unit the quick ones: meson's suites on the release build, no guests
#   make check-libvirt
#                   libvirt starts the daemon: as root, with two versions, and as a user
#   make demo DIR=path [CMD='...'] [KERNEL=6.1|6.12] [QUEUES=N] [CACHE=mode]
#                   a small guest with that folder at /mnt: a shell, or one command
#   make bench [ARGS='...']
#                   measure the daemon, beside those that BENCH_PEERS names (bench/run.py)
#   make bench-guest [ARGS='...']
#                   the same in a real guest (bench/guest.py)
#   make install [PREFIX=/usr/local] [LIBEXECDIR=libexec] [DESTDIR=]
#                   the daemon and what belongs to it
#   make clean      all that was built (downloaded kernels stay: make distclean)

# GNU's spellings do as well.
PREFIX ?= $(prefix)
LIBEXECDIR ?= $(libexecdir)
export DIR KERNEL QUEUES CACHE VIRTIOFSD PREFIX LIBEXECDIR DESTDIR
# The text of CMD as it was given: make shall not look for variables in it.
unexport CMD
demo: export DEMO_CMD := $(value CMD)

all: build/virtiofsd

build/virtiofsd: FORCE
	@tools/setup --missing build
	@tools/build build

check:
	@tools/setup check; tools/check

check-all:
	@tools/setup check; GUEST_MATRIX=full tools/check

check-unit: build/virtiofsd
	@meson test -C build --no-rebuild --print-errorlogs

check-libvirt:
	@tools/setup check
	@tools/build build
	@/usr/bin/python3 -B -m pytest -p no:cacheprovider -n 2 --dist=loadgroup -rs --tb=short tests/libvirt

demo:
	@tools/setup demo >&2
	@[ -n "$$VIRTIOFSD" ] || tools/build build >&2
	@CMD=$$DEMO_CMD tools/demo

bench:
	@tools/setup bench
	@tools/build build
	@bench/run.py $(ARGS)

bench-guest:
	@tools/setup bench
	@tools/build build
	@bench/guest.py $(ARGS)

install: build/virtiofsd
	@meson install -C build --no-rebuild --quiet

clean:
	@rm -rf build-asan build-tsan
	@[ ! -d build ] || find build -mindepth 1 -maxdepth 1 ! -name guest ! -name apt -exec rm -rf {} +

distclean:
	@rm -rf build build-asan build-tsan

FORCE:
.PHONY: all check check-all check-libvirt check-unit demo bench bench-guest install clean distclean FORCE
