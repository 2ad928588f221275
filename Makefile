# SPDX-License-Identifier: GPL-2.0
# The front door: what each goal does is in README.md, how is in scripts/.
#
#   make run [KERNEL=built] | test | check | bench [BASE=1] | deps | tree | series | shell
#   make growth | latency
#   make refresh [ANEW=1]
#   make kernel [DEBUG=1] [BASE=1]
#   make modules | modules_install | modules_uninstall [KDIR=DIR]
#   make deb
#
# LINUX=DIR is a linux-5.10.y tree to use instead of Debian's.

MAKEFLAGS += --no-print-directory
unexport MAKEFLAGS MAKELEVEL MFLAGS
export LINUX
flavour := $(if $(DEBUG),--debug) $(if $(BASE),--base)

.PHONY: all run test check bench growth latency deps deps-run deps-tree deps-modules tree kernel shell refresh series
.PHONY: modules modules_install modules_uninstall deb

all:
	@sed -n 's/^#   //p' Makefile

deps:
	@scripts/deps

deps-run:
	@scripts/deps run

deps-tree:
	@scripts/deps tree

deps-modules:
	@scripts/deps modules

tree: deps-tree
	@scripts/tree

kernel: deps-run tree
	@scripts/kernel $(flavour)

shell: kernel
	@scripts/vm --tty $(flavour) -- bash -l

ifeq ($(KERNEL),built)
run: kernel
	@scripts/selftests --build
	@MAIN_JOB_ONLY=1 scripts/selftests --run main_job.sh
else
run: deps-run
	@scripts/tree --thin
	@scripts/stock --modules
	@scripts/selftests --build
	@MAIN_JOB_ONLY=1 scripts/selftests --run --stock amd64 main_job.sh
endif

modules: deps-modules
	@scripts/tree --thin
	@scripts/modules --build $(KDIR)

modules_install: deps-modules
	@scripts/tree --thin
	@scripts/modules --install $(KDIR)

modules_uninstall:
	@scripts/modules --uninstall $(KDIR)

test:
	@scripts/deps test
	@scripts/test $(TESTS)

check:
	@scripts/deps check
	@scripts/check

bench: kernel
	@scripts/selftests --build
	@scripts/bench $(if $(BASE),--base)

growth: kernel
	@scripts/deps growth
	@scripts/selftests --build
	@scripts/growth

latency: kernel
	@scripts/selftests --build
	@scripts/latency

refresh:
	@scripts/refresh $(if $(ANEW),--anew)

series: deps-tree
	@scripts/export

deb: deps-tree tree
	@scripts/deps deb
	@scripts/deb
