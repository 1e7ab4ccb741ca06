# cellserve. `make help` lists the targets; V=1 shows commands; VARIANT=asan|tsan|clang|coverage builds in build/VARIANT.
# WERROR=-Werror, which CI sets, turns warnings into errors.
VARIANT ?= release
PREFIX ?= /usr/local
DESTDIR ?=
export PREFIX DESTDIR
BUILD := build/$(VARIANT)
CC := gcc
AR := ar
NEEDED := libmicrohttpd gnutls jansson openblas zlib hdf5 libzip libseccomp libxxhash
CFLAGS_common := -std=c11 -D_GNU_SOURCE -I. -g -Wall -Wextra $(WERROR) -Wshadow -Wconversion -Wno-sign-conversion \
  -ffp-contract=off -fno-math-errno -fstack-protector-strong -fPIE -fvisibility=hidden -fcf-protection \
  -Wformat -Wformat-security -pthread
LDFLAGS_common := -pie -pthread -Wl,-z,relro,-z,now,-z,noexecstack
CFLAGS_release := -O2 -D_FORTIFY_SOURCE=2
CFLAGS_clang := -O2 -D_FORTIFY_SOURCE=2
CFLAGS_asan := -O1 -Wno-format-truncation -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CFLAGS_tsan := -O1 -Wno-format-truncation -fsanitize=thread -fno-omit-frame-pointer
# This variant counts the uses of mutexes (tests/locks).
CFLAGS_locks := -O2 -include tests/locks/lock_count.h
CFLAGS_coverage := -O0 -DCOVERAGE --coverage -Wno-format-truncation
LDFLAGS_coverage := --coverage
CFLAGS_fuzz := -O1 -DFUZZING -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all
LDFLAGS_fuzz := -fsanitize=address,undefined
ifneq ($(filter clang fuzz,$(VARIANT)),)
CC := clang
endif
ifeq ($(shell uname -m),aarch64)
CFLAGS_common := $(filter-out -fcf-protection,$(CFLAGS_common))
endif
LDFLAGS_asan := -fsanitize=address,undefined
LDFLAGS_tsan := -fsanitize=thread

# Each pkg-config runs once. If packages are missing, its output is empty, and the compiler names the missing header.
CFLAGS_all := $(CFLAGS_common) $(CFLAGS_$(VARIANT)) $(shell pkg-config --cflags $(NEEDED) 2>/dev/null) $(CFLAGS)
LDFLAGS_all = $(LDFLAGS_common) $(LDFLAGS_$(VARIANT)) $(LDFLAGS)
LIBS := -lhdf5_hl $(shell pkg-config --libs $(NEEDED) 2>/dev/null) -lm

# Sources are all .c files of the folders. The machine's architecture decides which of core/vec are built.
CORE_ANYWHERE := $(filter-out core/vec/%,$(wildcard core/*.c core/*/*.c)) core/vec/vec_select.c core/vec/vec_c.c
CORE := $(CORE_ANYWHERE) core/vec/vec_openblas.c
ifeq ($(shell uname -m),x86_64)
CORE += core/vec/vec_avx2.c core/vec/vec_avx512.c
endif
ifeq ($(shell uname -m),aarch64)
CORE += core/vec/vec_neon.c
endif
CONFIG := $(wildcard config/*.c config/*/*.c)
SERVER := $(wildcard server/*.c server/*/*.c)
objects = $(patsubst %.c,$(BUILD)/%.o,$(1))

UNIT := $(patsubst %.c,$(BUILD)/%,$(wildcard $(addsuffix test_*.c,tests/unit/ tests/unit/*/ tests/unit/*/*/)))
E2E := $(patsubst %.c,$(BUILD)/%,$(wildcard tests/e2e/test_*.c))

Q := $(if $(V),,@)
.DEFAULT_GOAL := all
.SECONDARY:

all: $(BUILD)/cellserve $(if $(filter release,$(VARIANT)),build/cellserve) ## build the server and libcellserve_core.a

# The stable path of the binary, for people and scripts.
build/cellserve: $(BUILD)/cellserve
	$(Q)ln -sf $(VARIANT)/cellserve $@

# The page, converted to C.
PAGE := $(BUILD)/server/api/page/embedded.o
$(PAGE:.o=.c): $(wildcard server/api/page/*)
	@mkdir -p $(@D)
	@echo "  page  $@"
	$(Q)server/api/page/embed.sh $@
$(PAGE): $(PAGE:.o=.c) server/api/page.h $(BUILD)/flags
	$(Q)$(CC) $(CFLAGS_all) -c -o $@ $<

$(BUILD)/cellserve: $(call objects,$(SERVER) $(if $(filter locks,$(VARIANT)),tests/locks/lock_count.c)) $(PAGE) $(BUILD)/libcellserve_config.a $(BUILD)/libcellserve_core.a
	@echo "  link  $@"
	$(Q)$(CC) $(LDFLAGS_all) -o $@ $^ $(LIBS)

$(BUILD)/libcellserve_core.a: $(call objects,$(CORE))
$(BUILD)/libcellserve_config.a: $(call objects,$(CONFIG))
# The server without main.c, for the unit tests.
$(BUILD)/libcellserve_server.a: $(call objects,$(filter-out %/main.c,$(SERVER))) $(PAGE)
%.a:
	@echo "  ar    $@"
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# Only the kernels of an instruction set are compiled with its flags, because they run after a check of the CPU. The
# fuzz variant does not instrument them: no target runs them, and clang would take minutes.
FLAGS_vec_avx2 := -mavx2 -mfma
FLAGS_vec_avx512 := -mavx512f -mfma
flags_of = $(FLAGS_$(basename $(notdir $(1)))) $(if $(filter core/vec/% $(addprefix core/layers/,attention_scores.c pool.c pooling.c),$(1)),-O3) \
  $(if $(filter fuzz,$(VARIANT)),$(if $(FLAGS_$(basename $(notdir $(1)))),-fno-sanitize=all -O0)) \
  $(if $(filter tests/%,$(1)),$(TEST_CFLAGS))

# If the flags differ from those of the last build, the whole variant is built again.
FLAGS_NOW := $(CC) $(CFLAGS_all) $(LDFLAGS_all) $(LIBS)
ifneq ($(file <$(BUILD)/flags),$(FLAGS_NOW))
$(shell mkdir -p $(BUILD))
$(file >$(BUILD)/flags,$(FLAGS_NOW))
endif

$(BUILD)/%.o: %.c Makefile $(BUILD)/flags
	@mkdir -p $(@D)
	@echo "  cc    $<"
	$(Q)$(CC) $(CFLAGS_all) $(call flags_of,$<) -MMD -MP -c -o $@ $<

# ---- tests ----

TEST_CFLAGS := $(shell pkg-config --cflags cmocka libcurl hiredis 2>/dev/null) -DSOURCE_DIR='"$(CURDIR)"' -DBINARY='"$(CURDIR)/$(BUILD)/cellserve"' \
  -Wno-conversion -I$(BUILD)/tests/unit
TEST_LIBS := $(shell pkg-config --libs cmocka libcurl hiredis 2>/dev/null)

$(UNIT): $(BUILD)/%: $(BUILD)/%.o $(BUILD)/tests/unit/unit.o $(BUILD)/libcellserve_server.a \
  $(BUILD)/libcellserve_config.a $(BUILD)/libcellserve_core.a
	@echo "  link  $@"
	$(Q)$(CC) $(LDFLAGS_all) -o $@ -Wl,--start-group $^ -Wl,--end-group $(LIBS) $(TEST_LIBS)

# The tests wrap these calls, to make them fail or to count them.
comma := ,
$(BUILD)/tests/unit/server/base/test_memory: LDFLAGS += $(patsubst %,-Wl$(comma)--wrap=%,malloc calloc realloc \
  $(patsubst %,posix_spawn_file_actions_add%,dup2 open closefrom_np))
$(BUILD)/tests/unit/server/run/test_graph_memory: LDFLAGS += $(patsubst %,-Wl$(comma)--wrap=%,malloc calloc realloc \
  aligned_alloc free)
$(BUILD)/tests/unit/config/test_loading_memory: LDFLAGS += $(patsubst %,-Wl$(comma)--wrap=%,malloc calloc realloc \
  aligned_alloc free strdup strndup archive_open archive_open_bundle)
$(BUILD)/tests/unit/config/onnx/test_onnx_external: LDFLAGS += -Wl,--wrap=pread,--wrap=pread64

# The example in the comment of core/rnn.h.
$(BUILD)/tests/unit/rnn_example.inc: core/rnn.h
	@mkdir -p $(@D)
	$(Q)sed -n 's/^ \*     //p' $< >$@
$(BUILD)/tests/unit/core/test_rnn.o: $(BUILD)/tests/unit/rnn_example.inc

# This test runs the fuzz targets.
$(BUILD)/tests/unit/test_fuzz_corpus: $(patsubst %.c,$(BUILD)/%.o,$(wildcard tests/fuzz/*.c))

$(BUILD)/tests/unit/server/session/test_session_redis $(BUILD)/tests/unit/server/session/test_redis_primary: \
  $(BUILD)/tests/unit/redis_peer.o
$(addprefix $(BUILD)/tests/unit/server/run/test_,rollout running_batch schedule stream): $(BUILD)/tests/unit/run_server.o

$(BUILD)/tests/e2e/test_sessions_redis $(BUILD)/tests/e2e/test_windows $(BUILD)/tests/e2e/test_windows_mixed $(BUILD)/tests/e2e/test_sessions_redis_trouble $(BUILD)/tests/e2e/test_redis_tls: $(BUILD)/tests/e2e/redis.o

# This test reads the server's table of routes.
$(BUILD)/tests/e2e/test_access: $(BUILD)/tests/e2e/access.o $(BUILD)/libcellserve_server.a \
  $(BUILD)/libcellserve_config.a $(BUILD)/libcellserve_core.a

$(E2E): $(BUILD)/%: $(BUILD)/%.o $(BUILD)/tests/e2e/e2e.o $(BUILD)/tests/e2e/await.o $(BUILD)/tests/e2e/certificate.o | $(BUILD)/cellserve
	@echo "  link  $@"
	$(Q)$(CC) $(LDFLAGS_all) -o $@ -Wl,--start-group $(filter %.o %.a,$^) -Wl,--end-group $(LIBS) $(TEST_LIBS)

unit: $(UNIT)
	@tests/run.sh $(UNIT)
e2e: $(BUILD)/cellserve $(E2E)
	@tests/run.sh $(E2E)
arrows: $(BUILD)/libcellserve_core.a
	@tests/arrows.sh $<

# ---- targets for people ----

# The packages are installed first, then make starts again, because the flags above come from these packages.
run: ## install missing packages, build, serve the demo models
	@tools/install.sh run
	@$(MAKE) --no-print-directory all
	@tools/run.sh build/cellserve
test: ## install missing packages, build, run every test
	@tools/install.sh test
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory tests
tests: $(BUILD)/cellserve $(UNIT) $(E2E) $(BUILD)/libcellserve_core.a
	@tests/run.sh tests/arrows.sh tests/arrows_test.sh tests/documents.sh tests/headers.sh $(UNIT) $(E2E)
bench: all ## measure the machine, the demo model alone and over HTTP, and the activations for all floats (10 minutes)
	@tools/install.sh test
	@$(MAKE) --no-print-directory build/release/tests/unit/core/vec/test_vec
	@bench/run.sh build/cellserve
bench-serving: all ## compare serving with other servers and lower bounds: codec, HTTP, batching, overload, slow clients, memory (15 minutes)
	@tools/install.sh bench-serving
	@bench/serving/run.py build/cellserve
growth: all ## measure the time by timesteps, rows, layers and units; draw docs/growth.svg
	@bench/growth.py build/cellserve docs/growth.svg
shapes: build/release/bench/shapes ## measure LSTM steps of every size; draw docs/shapes.svg
	@for run in 1 2 3; do build/release/bench/shapes >build/shapes$$run.csv || exit 1; done
	@bench/shapes.py build/shapes1.csv build/shapes2.csv build/shapes3.csv docs/shapes.svg
build/release/bench/shapes: build/release/bench/shapes.o build/release/libcellserve_server.a build/release/libcellserve_core.a
	$(Q)$(CC) $(LDFLAGS_all) -o $@ $^ $(LIBS)
asan: ## run every test under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(MAKE) --no-print-directory VARIANT=asan tests
tsan: ## run every test under ThreadSanitizer
	@$(MAKE) --no-print-directory VARIANT=tsan tests
tsan-threads: ## run the end-to-end tests under ThreadSanitizer, with 4 I/O threads and 8 workers
	@CELLSERVE_IO_THREADS=4 CELLSERVE_WORKERS=8 $(MAKE) --no-print-directory VARIANT=tsan e2e
drains: all $(BUILD)/tests/e2e/test_io_threads ## drain a server under load 300 times, 200 of them with 4 I/O threads; no connection may be lost
	@CELLSERVE_TEST_DRAINS=300 $(BUILD)/tests/e2e/test_io_threads
FUZZ_SECONDS ?= 60
FUZZ_RUNS ?= -1
FUZZ_SEED ?= 0
FUZZ_TARGETS := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
faults: ## make each allocation and system call of a server fail, one by one (AddressSanitizer; an hour)
	@tools/install.sh sanitize
	@$(MAKE) --no-print-directory VARIANT=asan build/asan/cellserve build/asan/tests/faults/fault.so \
	  build/asan/tests/unit/config/test_loading_memory
	@FAULTS_STRIDE=$${FAULTS_STRIDE:-1} build/asan/tests/unit/config/test_loading_memory
	@tests/faults/faults.py build/asan/cellserve build/asan/tests/faults/fault.so
$(BUILD)/tests/faults/fault.so: tests/faults/fault.c
	@mkdir -p $(@D)
	@echo "  link  $@"
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -O1 -g -fPIC -shared -Wall -Wextra -Werror -o $@ $<
SOAK_MINUTES ?= 60
SOAK_RATE ?= 300
soak: ## run mixed load for SOAK_MINUTES on the release build, or VARIANT=asan, VARIANT=tsan; SOAK_RATE requests a second
	@tools/install.sh sanitize
	@$(MAKE) --no-print-directory $(BUILD)/cellserve
	@tests/soak/soak.py $(BUILD)/cellserve --minutes $(SOAK_MINUTES) --rate $(SOAK_RATE) $(if $(filter release,$(VARIANT)),--rss)
fuzz: ## fuzz every parser for FUZZ_SECONDS (libFuzzer, AddressSanitizer), or FUZZ_RUNS times; FUZZ_SEED repeats a run
	@tools/install.sh sanitize
	@$(MAKE) --no-print-directory VARIANT=fuzz $(FUZZ_TARGETS:%=build/fuzz/fuzz_%)
	@for target in $(FUZZ_TARGETS); do mkdir -p build/fuzz/corpus/$$target && build/fuzz/fuzz_$$target \
	  -max_total_time=$(FUZZ_SECONDS) -runs=$(FUZZ_RUNS) -seed=$(FUZZ_SEED) -max_len=4096 build/fuzz/corpus/$$target tests/fuzz/corpus/$$target || exit 1; done
build/fuzz/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/model.o $(BUILD)/libcellserve_server.a $(BUILD)/libcellserve_config.a \
  $(BUILD)/libcellserve_core.a
	@echo "  link  $@"
	$(Q)$(CC) $(LDFLAGS_all) -fsanitize=fuzzer -o $@ $^ $(LIBS)
neon: ## cross-compile the vector kernels of arm64 and test them under qemu
	@tools/install.sh neon
	@mkdir -p build/neon
	$(Q)aarch64-linux-gnu-gcc -std=c11 -D_GNU_SOURCE -I. -O2 -Wall -Wextra -Werror -ffp-contract=off -fno-math-errno -static -o build/neon/test_neon \
	  tests/neon/test_neon.c $(CORE_ANYWHERE) core/vec/vec_neon.c -lm
	@tests/run.sh tests/neon/run.sh
clients: all ## run the protocols' own clients from PyPI against the server
	@tools/install.sh clients
	@tests/clients/run.sh build/cellserve
tutorials: all ## run the commands of README.md and the tutorials, and their Python if PYTHON has Keras, PyTorch, scikit-learn
	@KERAS_BACKEND=$(or $(KERAS_BACKEND),jax) $(or $(PYTHON),python3) tests/tutorials/run.py build/cellserve README.md docs/tutorials/*.md
docs: ## build the site of docs/ in build/site, with Debian's mkdocs
	@tools/install.sh docs
	@mkdocs build -q --strict
page: all ## test the page in headless Chromium; IMAGES=docs/images writes screenshots there
	@tools/install.sh page
	@tests/page/test_page.py build/cellserve $(IMAGES)
	@tests/page/test_origins.py build/cellserve
deploy-files: all ## check the files of docker/: Kubernetes' schemas, HAProxy's and nginx's own checks, request smuggling through both
	@tools/install.sh deploy
	@tests/deploy/run.sh build/cellserve
debian13: ## run every test in a new root file system of Debian 13 (debootstrap, as root; 4 minutes)
	@tests/debian13/run.sh
locks: ## count how often and how long requests hold shared locks
	@$(MAKE) --no-print-directory VARIANT=locks build/locks/cellserve
	@tests/locks/locks.py build/locks/cellserve --check
chaos: all ## kill and disturb two replicas behind HAProxy, for some minutes
	@tools/install.sh chaos
	@tests/chaos/chaos.py build/cellserve
coverage: ## print the lines and branches of every folder that the unit and end-to-end tests reach
	@tools/install.sh coverage
	@$(MAKE) --no-print-directory VARIANT=coverage tests || true
	@tools/coverage.py build/coverage
compile_commands.json: ## write the compilation database for editors and clangd
	@$(MAKE) --no-print-directory -nB V=1 all unit-programs | tools/compile_commands.py >$@
unit-programs: $(UNIT)
lint: ## clang warnings as errors, cppcheck, includes between folders, format
	@tools/install.sh lint
	@$(MAKE) --no-print-directory VARIANT=clang WERROR=-Werror all
	@tools/lint.sh
format: ## format all C files with clang-format
	@clang-format -i $(shell git ls-files '*.c' '*.h')
docker: ## build the image cellserve
	docker build -f docker/Dockerfile -t cellserve .
install: all ## install below PREFIX (/usr/local); DESTDIR is a prefix of every path
	@packaging/files.sh install $(BUILD)
uninstall: ## remove the installed files
	@packaging/files.sh uninstall $(BUILD)
reference: all ## write docs/reference/ from the program's tables
	@tests/reference/check.py build/cellserve --write
check-reference: all ## check documents, dashboard and alerts against the program, and the installed files
	@tools/install.sh reference
	@tests/reference/run.sh
clean: ## remove build/
	rm -rf build

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9_.-]+:.*## / {printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

-include $(shell find build -name '*.d' 2>/dev/null)
.PHONY: all help unit unit-programs e2e coverage arrows run test tests clients deploy-files debian13 chaos locks bench bench-serving faults soak growth shapes asan tsan tsan-threads drains fuzz lint format docker clean
.PHONY: tutorials docs page install uninstall reference check-reference
