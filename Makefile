# What a person types. Each target does all that it takes, on a machine where
# nothing was installed by hand; `make` alone lists them.

# Where rustup puts cargo, which a shell that was open before does not know.
RUSTUP  := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin
export PATH := $(if $(findstring :$(RUSTUP):,:$(PATH):),,$(RUSTUP):)$(PATH)
CARGO   ?= cargo
IFACE   ?= eth0
PREFIX  ?= /usr/local
export SOAK ?= 600
SUDO    := $(shell test "$$(id -u)" = 0 || echo sudo)
FUZZ_RUNS ?= 10000000
ARCH    := $(shell uname -m)
VMLINUX := vmlinux/$(ARCH)/vmlinux.h
BIN     := target/release/xdplog
SHARE   := target/share

.PHONY: help deps build run demo test test-fresh test-kernels fuzz bench bench-short bench-host bench-host-vm bench-xdpdump soak lint vmlinux man install uninstall clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install what building takes, with the system's package manager
	@sh .ci/deps.sh build

# stdout is data: these print none of their own.
build: deps ## Build in release
	@$(CARGO) build --release --locked

run: build ## Log the packets of IFACE (default eth0) until Ctrl-C
	@$(SUDO) ./$(BIN) $(IFACE)

demo: build ## See it work for 5 seconds, without touching a real interface
	@sh .ci/deps.sh demo
	@$(SUDO) sh examples/demo.sh ./$(BIN)

test: ## Run all tests, in network namespaces of their own
	@sh .ci/deps.sh test
	$(CARGO) test --locked --no-fail-fast
	XDPLOG_TEST_MODE=native $(CARGO) test --locked --no-fail-fast --test accounting --test readers --test sampling

test-fresh: ## Run `make demo` and `make test` on bare Debians (SUITES= some of them)
	@sh .ci/deps.sh fresh
	@tests/fresh/run.sh $(SUITES)

test-kernels: ## Run them on other kernels too, emulated (some 6 minutes)
	@sh .ci/deps.sh test kernels
	@tests/kernels/run.sh

fuzz: ## Hostile frames against the reference parser (10 M runs, some 20 minutes)
	@sh .ci/deps.sh fuzz
	@FUZZ_RUNS=$(FUZZ_RUNS) sh fuzz/run.sh $(FUZZ_SEEDS)

bench: ## Measure against others that log packets (some 8 minutes)
	@sh .ci/deps.sh test
	$(CARGO) build --release --locked --manifest-path benches/tutorial/Cargo.toml
	$(CARGO) bench --locked --bench bench -- $(if $(SHORT),--short)

bench-short: ## The same in half a minute, one round of each
	@$(MAKE) bench SHORT=1

bench-host: build ## What the host pays on a veth and a tap, beside tcpdump (8 minutes)
	@sh .ci/deps.sh test hosts
	@$(CARGO) build --locked --example traffic
	@$(SUDO) env ROUNDS=$(ROUNDS) SECONDS_EACH=$(SECONDS_EACH) benches/host.sh veth tap

bench-host-vm: build ## The same on a tap and on virtio, on Debian's kernel, emulated (8 minutes)
	@sh .ci/deps.sh test kernels hosts
	@$(CARGO) build --locked --example traffic
	@benches/host-vm.sh

bench-xdpdump: ## Beside xdpdump, on Debian's kernel, emulated: this one may not run it
	@sh .ci/deps.sh test kernels xdpdump
	@benches/xdpdump.sh

soak: ## Run under traffic for 10 minutes (SOAK= seconds), watching memory and sums
	@sh .ci/deps.sh test
	$(CARGO) bench --locked --bench soak

lint: ## Check the style of Rust, C and shell scripts
	@sh .ci/deps.sh lint
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) fmt --check --manifest-path fuzz/Cargo.toml
	$(CARGO) fmt --check --manifest-path examples/minimal/Cargo.toml
	clang-format --dry-run --Werror src/bpf/*.[ch] tests/bpf/*.c benches/bpf/*.c \
		examples/minimal/src/*.c
	shellcheck -x .ci/run $(shell git ls-files '*.sh')

vmlinux: ## Make the kernel's types anew from the running kernel
	@sh .ci/deps.sh vmlinux
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
