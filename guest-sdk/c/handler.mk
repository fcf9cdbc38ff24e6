# The rules of a Makefile for a handler in C, which says before it includes this: NAME, the component's; LOGIC, the handler's sources; SDK, this folder.
# `make` builds build/$(NAME).wasm, which the host loads as it is; `make test` builds test/test.c and the handler natively and runs them.
# Any clang with a wasi-libc does; `zig cc` (pip install ziglang) brings both. `make ZIG="python3 -m ziglang"` names another zig.
ZIG    ?= zig
CFLAGS ?= -std=c17 -Os -Wall -Wextra -Werror
# The stack is part of the memory that memory-max bounds; by default it would be 16 MiB.
WASM   := -target wasm32-wasi -mexec-model=reactor -Wl,--strip-all -Wl,-z,stack-size=131072
# zig defines NDEBUG where it optimises; a test is made of assertions.
NATIVE := -std=c17 -g -UNDEBUG -Wall -Wextra -Werror
HEADERS := $(wildcard src/*.h vendor/*/*.h $(SDK)/*.h) $(SDK)/handler.mk Makefile

build/$(NAME).wasm: $(LOGIC) $(SDK)/memory.c $(SDK)/component.c $(HEADERS)
	@mkdir -p build
	$(ZIG) cc $(WASM) $(CFLAGS) -I$(SDK) -o $@ $(filter %.c,$^)

build/test: $(LOGIC) $(SDK)/memory.c test/test.c $(HEADERS)
	@mkdir -p build
	$(ZIG) cc $(NATIVE) -I$(SDK) -o $@ $(filter %.c,$^)

.PHONY: test clean
test: build/test
	./build/test

clean:
	rm -rf build
