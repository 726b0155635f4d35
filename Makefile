# What a person types. Each target does all that it takes, on a machine where
# nothing was installed by hand; `make` alone lists them.

CARGO   ?= $(shell command -v cargo || echo $(HOME)/.cargo/bin/cargo)
IFACE   ?= eth0
PREFIX  ?= /usr/local
export SOAK ?= 600
SUDO    := $(shell test "$$(id -u)" = 0 || echo sudo)
FUZZ_RUNS ?= 10000000
ARCH    := $(shell uname -m)
VMLINUX := vmlinux/$(ARCH)/vmlinux.h
BIN     := target/release/xdplog
SHARE   := target/share

.PHONY: help deps build run demo test test-kernels fuzz bench bench-short bench-xdpdump soak lint vmlinux man install uninstall clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install what is missing, with the system's package manager
	@sh .ci/deps.sh

# stdout is data: these print none of their own.
build: deps ## Build in release
	@$(CARGO) build --release --locked

run: build ## Log the packets of IFACE (default eth0) until Ctrl-C
	@$(SUDO) ./$(BIN) $(IFACE)

demo: build ## See it work for 5 seconds, without touching a real interface
	@$(SUDO) sh examples/demo.sh ./$(BIN)

test: ## Run all tests, in network namespaces of their own
	@TEST=1 sh .ci/deps.sh
	$(CARGO) test --locked --no-fail-fast

test-kernels: ## Run them on other kernels too, emulated (some 6 minutes)
	@KERNELS=1 sh .ci/deps.sh
	@tests/kernels/run.sh

fuzz: ## Hostile frames against the reference parser (10 M runs, some 20 minutes)
	@FUZZ=1 sh .ci/deps.sh
	@FUZZ_RUNS=$(FUZZ_RUNS) sh fuzz/run.sh $(FUZZ_SEEDS)

bench: ## Measure against others that log packets (some 8 minutes)
	@BENCH=1 sh .ci/deps.sh
	$(CARGO) build --release --locked --manifest-path benches/tutorial/Cargo.toml
	$(CARGO) bench --locked --bench bench -- $(if $(SHORT),--short)

bench-short: ## The same in half a minute, one round of each
	@$(MAKE) bench SHORT=1

bench-xdpdump: ## Beside xdpdump, on Debian's kernel, emulated: this one may not run it
	@KERNELS=1 XDPDUMP=1 sh .ci/deps.sh
	@benches/xdpdump.sh

soak: deps ## Run under traffic for 10 minutes (SOAK= seconds), watching memory and sums
	$(CARGO) bench --locked --bench soak

lint: deps ## Check the style of Rust and C
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	clang-format --dry-run --Werror src/bpf/*.[ch] tests/bpf/*.c benches/bpf/*.c

vmlinux: deps ## Make the kernel's types anew from the running kernel
	@mkdir -p $(dir $(VMLINUX))
	@{ printf '/* Linux %s %s: bpftool btf dump file /sys/kernel/btf/vmlinux format c */\n' \
		"$$(uname -r)" "$(ARCH)"; \
	   PATH="$$PATH:/usr/sbin:/sbin" bpftool btf dump file /sys/kernel/btf/vmlinux format c; \
	 } > $(VMLINUX).new && mv $(VMLINUX).new $(VMLINUX)
	@head -n 1 $(VMLINUX)

man: build ## Make the manual page and shell completions, in target/share
	@mkdir -p $(SHARE)/man/man1 $(SHARE)/bash-completion/completions \
		$(SHARE)/zsh/site-functions $(SHARE)/fish/vendor_completions.d
	@./$(BIN) man >$(SHARE)/man/man1/xdplog.1
	@./$(BIN) completions bash >$(SHARE)/bash-completion/completions/xdplog
	@./$(BIN) completions zsh >$(SHARE)/zsh/site-functions/_xdplog
	@./$(BIN) completions fish >$(SHARE)/fish/vendor_completions.d/xdplog.fish

install: man ## Install to PREFIX (default /usr/local)
	$(SUDO) install -D -m 755 $(BIN) $(DESTDIR)$(PREFIX)/bin/xdplog
	cd $(SHARE) && $(SUDO) find . -type f -exec install -D -m 644 {} $(DESTDIR)$(PREFIX)/share/{} \;

uninstall: ## Remove what install put there
	$(SUDO) rm -f $(DESTDIR)$(PREFIX)/bin/xdplog \
		$(DESTDIR)$(PREFIX)/share/man/man1/xdplog.1 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/xdplog \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_xdplog \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/xdplog.fish

clean: ## Remove what was built
	rm -rf target
