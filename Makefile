# What a person types. Each target does all that it takes, on a machine where
# nothing was installed by hand; `make` alone lists them.

CARGO   ?= $(shell command -v cargo || echo $(HOME)/.cargo/bin/cargo)
IFACE   ?= eth0
PREFIX  ?= /usr/local
SUDO    := $(shell test "$$(id -u)" = 0 || echo sudo)
ARCH    := $(shell uname -m)
VMLINUX := vmlinux/$(ARCH)/vmlinux.h
BIN     := target/release/xdplog

.PHONY: help deps build run demo test test-kernels bench bench-short lint vmlinux install uninstall clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install what is missing, with the system's package manager
	@sh .ci/deps.sh

# stdout is data: these print none of their own.
build: deps ## Build in release
	@$(CARGO) build --release --locked

run: build ## Log the packets of IFACE (default eth0) until Ctrl-C
	@$(SUDO) ./$(BIN) $(IFACE)

demo: build ## See it work for 5 seconds, without touching a real interface
	@$(SUDO) sh examples/demo.sh ./$(BIN)

test: deps ## Run all tests, in network namespaces of their own
	$(CARGO) test --locked --no-fail-fast

test-kernels: deps ## Run them on other kernels too, emulated (some 6 minutes)
	@KERNELS=1 sh .ci/deps.sh
	@tests/kernels/run.sh

bench: deps ## Measure against others that log packets (some 8 minutes)
	@BENCH=1 sh .ci/deps.sh
	$(CARGO) build --release --locked --manifest-path benches/tutorial/Cargo.toml
	$(CARGO) bench --locked --bench bench -- $(if $(SHORT),--short)

bench-short: ## The same in half a minute, one round of each
	@$(MAKE) bench SHORT=1

lint: deps ## Check the style of Rust and C
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	clang-format --dry-run --Werror src/bpf/*.[ch] tests/bpf/*.c benches/bpf/*.c

vmlinux: deps ## Make the kernel's types anew from the running kernel
	@mkdir -p $(dir $(VMLINUX))
	@{ printf '/* Linux %s %s: bpftool btf dump file /sys/kernel/btf/vmlinux format c */\n' \
		"$$(uname -r)" "$(ARCH)"; \
	   PATH="$$PATH:/usr/sbin:/sbin" bpftool btf dump file /sys/kernel/btf/vmlinux format c; \
	 } > $(VMLINUX).new && mv $(VMLINUX).new $(VMLINUX)
	@head -n 1 $(VMLINUX)

install: build ## Install to PREFIX (default /usr/local)
	$(SUDO) install -D -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/xdplog

uninstall: ## Remove what install put there
	$(SUDO) rm -f $(DESTDIR)$(PREFIX)/bin/xdplog

clean: ## Remove what was built
	rm -rf target
