//go:build cgo

package main

/*
#include <stdint.h>

extern uint64_t goVisit(uint64_t);

static __attribute__((noinline)) uint64_t spin(uint64_t value, int rounds)
{
	for (int i = 0; i < rounds; i++)
		value = value * 6364136223846793005u + 1442695040888963407u;
	return value;
}

static __attribute__((noinline)) uint64_t visit(uint64_t value)
{
	return spin(goVisit(value), 2000) + 1;
}
*/
import "C"

//export goVisit
func goVisit(value C.uint64_t) C.uint64_t {
	return C.uint64_t(burn(uint64(value), 2000))
}

func init() {
	inC = func(value uint64) uint64 { return uint64(C.spin(C.uint64_t(value), 20000)) }
	andBack = func(value uint64) uint64 { return uint64(C.visit(C.uint64_t(value))) }
}
