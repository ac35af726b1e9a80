#!/bin/sh
# SPDX-License-Identifier: MIT OR GPL-2.0-only
# Builds the eBPF objects that are committed beside their source.
#
#   core/ebpf/build.sh            rebuild them in place
#   core/ebpf/build.sh --check    rebuild elsewhere and compare code and types with those committed
#
# Needs clang and llvm-strip, llvm-objdump, llvm-objcopy. The committed objects are clang 14's;
# another version makes other code, so --check refuses to compare (set CLANG to choose one).
set -eu
cd "$(dirname "$0")"

CLANG=${CLANG:-clang}
suffix=${CLANG#"${CLANG%clang*}clang"}
STRIP=llvm-strip$suffix OBJDUMP=llvm-objdump$suffix OBJCOPY=llvm-objcopy$suffix
PINNED=14

# Source, then object.
objects() {
	echo bpf/unwind.bpf.c bpf/unwind.x86_64.o
	echo tests/bpf/capture.bpf.c tests/bpf/capture.x86_64.o
	echo tests/bpf/go_labels.bpf.c tests/bpf/go_labels.x86_64.o
	echo tests/bpf/python.bpf.c tests/bpf/python.x86_64.o
}

build() {
	# Types are kept (BTF); debug information, with the paths in it, is not.
	"$CLANG" -target bpf -mcpu=v3 -O2 -g -D__TARGET_ARCH_x86 -fdebug-compilation-dir=. \
		-Wall -Wextra -Werror -Wno-unused-parameter -Wno-unused-variable \
		-c "$1" -o "$2"
	"$STRIP" -g "$2"
}

# Code with relocations, without the file's name; types byte for byte.
describe() {
	"$OBJDUMP" -d -r --no-show-raw-insn "$1" | sed '/file format/d'
	for section in .BTF .maps .rodata license; do
		echo "section $section"
		"$OBJCOPY" -O binary --only-section="$section" --set-section-flags "$section=alloc" "$1" "$2"
		od -An -v -tx1 "$2"
	done
}

version=$("$CLANG" -dumpversion | cut -d. -f1)
case "${1:-}" in
"")
	objects | while read -r source object; do
		build "$source" "$object"
		echo "$object: $(wc -c <"$object") bytes (clang $version)"
	done
	;;
--check)
	if [ "$version" != "$PINNED" ]; then
		echo "error: clang $version, but the committed objects are clang $PINNED's" >&2
		exit 2
	fi
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	objects >"$work/list"
	while read -r source object; do
		build "$source" "$work/rebuilt.o"
		describe "$object" "$work/section" >"$work/committed.txt"
		describe "$work/rebuilt.o" "$work/section" >"$work/rebuilt.txt"
		if ! diff -u "$work/committed.txt" "$work/rebuilt.txt" >"$work/diff"; then
			head -40 "$work/diff" >&2
			echo "error: $object is not what $source makes; run core/ebpf/build.sh" >&2
			exit 1
		fi
		echo "$object: same code and types as rebuilt"
	done <"$work/list"
	;;
*)
	echo "usage: $0 [--check]" >&2
	exit 2
	;;
esac
