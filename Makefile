# SPDX-License-Identifier: GPL-2.0-or-later
#
# A front for meson, ninja and the tools: every command of the README is here.

BUILD = build
PREFIX = /usr/local
PYTHON = /usr/bin/python3
# Two makes in one build directory would trip over each other.
LOCK = flock .$(notdir $(BUILD)).lock

.PHONY: all deps configure tests demo check check-long bench fresh install uninstall \
	clean format lint unit kernel golden fuzz world qemu image

all: configure
	@$(LOCK) ninja -k 0 -C $(BUILD)

# Says what to do before ninja or a compiler says something less helpful.
configure:
	@tools/need-tools
	@$(LOCK) tools/configure $(BUILD) --prefix=$(PREFIX) --sysconfdir=/etc

tests: configure
	@$(LOCK) ninja -k 0 -C $(BUILD) all tests

# One unit or kernel test, with nothing else built: make test-prefix
test-%: configure
	@set -e; for p in unit kernel; do \
		[ -e tests/$$p/test_$*.c ] || continue; \
		$(LOCK) ninja -C $(BUILD) $$p-test_$*; \
		$(BUILD)/$$p-test_$*; \
	done

deps:
	@tools/install-deps

demo: deps
	@$(MAKE) --no-print-directory all
	@$(PYTHON) tests/world/demo.py

check: deps
	@$(PYTHON) tools/check

check-long:
	@tools/install-deps long
	@$(PYTHON) tools/check --long

# A single suite, for work on it.
lint unit golden kernel fuzz world qemu image:
	@$(PYTHON) tools/check $@

bench: deps
	@$(MAKE) --no-print-directory all
	@tests/bench/run

fresh:
	@tools/fresh

install: all
	@DESTDIR="$(DESTDIR)" $(PYTHON) tools/installed install $(BUILD) $(PREFIX)

uninstall:
	@DESTDIR="$(DESTDIR)" $(PYTHON) tools/installed uninstall $(BUILD) $(PREFIX)

# Formats what git knows or would add; never what is built.
format:
	@git ls-files -co --exclude-standard -- 'src/*.[ch]' 'tests/*.[ch]' | \
		xargs -r clang-format -i

clean:
	rm -rf build build-* .build*.lock
