// What stacks of Go programs look like: deep ones, goroutines that hand over to each other,
// pressure on the collector, stacks that grow, defers, panics and recoveries, system calls, clocks,
// locks, and C code where cgo is there.
//
//	workload PROFILE
//
// prints its process id, works until its input ends, and writes Go's own CPU profile of the time to
// PROFILE.
package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/pprof"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	inC     = func(value uint64) uint64 { return burn(value, 20000) }
	andBack = func(value uint64) uint64 { return burn(value, 2000) }
	sink    sync.Map
)

//go:noinline
func burn(value uint64, rounds int) uint64 {
	for i := 0; i < rounds; i++ {
		value = value*6364136223846793005 + 1442695040888963407
	}
	return value
}

//go:noinline
func deep(levels int, value uint64) uint64 {
	if levels == 0 {
		return burn(value, 3000)
	}
	return deep(levels-1, value) + 1
}

// A frame of 1 KiB: its first call on a new goroutine makes the stack grow.
//
//go:noinline
func wide(levels int, value uint64) uint64 {
	var room [128]uint64
	room[value%128] = value
	if levels > 0 {
		return wide(levels-1, value+1) + room[levels]
	}
	return burn(room[value%128], 200)
}

type shape interface{ area(uint64) uint64 }
type square struct{ side uint64 }
type circle struct{ radius uint64 }

//go:noinline
func (s square) area(value uint64) uint64 { return deep(20, value*s.side) }

//go:noinline
func (c *circle) area(value uint64) uint64 { return deep(30, value*c.radius) }

func shapes(round uint64) {
	for _, one := range []shape{square{3}, &circle{4}, &square{5}} {
		sink.Store("shape", one.area(round))
	}
}

type failure struct{ code int }

//go:noinline
func fails(levels int, null *failure) int {
	defer func() { burn(uint64(levels), 20) }()
	switch {
	case levels > 0:
		return fails(levels-1, null) + 1
	case null == nil:
		return null.code
	}
	panic(failure{levels})
}

//go:noinline
func recovers(levels int, null *failure) (outcome string) {
	defer func() {
		outcome = fmt.Sprint(recover())
		burn(1, 200)
	}()
	return strconv.Itoa(fails(levels, null))
}

func panics(uint64) {
	for i := 0; i < 20; i++ {
		recovers(i%12, nil)
		recovers(i%12, &failure{7})
	}
}

func handsOver(round uint64) {
	const stages = 8
	first := make(chan uint64)
	from := first
	for i := 0; i < stages; i++ {
		to := make(chan uint64)
		go func(from, to chan uint64) {
			for value := range from {
				to <- burn(value, 50)
			}
			close(to)
		}(from, to)
		from = to
	}
	go func() {
		for i := uint64(0); i < 100; i++ {
			first <- i
		}
		close(first)
	}()
	for value := range from {
		sink.Store("value", value)
	}
}

type tree struct {
	left, right *tree
	text        string
}

func plant(levels int) *tree {
	if levels == 0 {
		return &tree{text: strings.Repeat("x", 20)}
	}
	return &tree{left: plant(levels - 1), right: plant(levels - 1)}
}

func collects(round uint64) {
	sink.Store("tree", plant(12))
	all := map[string][]int{}
	for i := 0; i < 500; i++ {
		all[fmt.Sprintf("key %d", i)] = make([]int, i%32)
	}
	keys := make([]string, 0, len(all))
	for key := range all {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	sink.Store("keys", keys)
}

func grows(round uint64) {
	var done sync.WaitGroup
	for i := 0; i < 20; i++ {
		done.Add(1)
		go func() {
			defer done.Done()
			sink.Store("wide", wide(40, round))
		}()
	}
	done.Wait()
}

func locks(round uint64) {
	var lock sync.Mutex
	var done sync.WaitGroup
	for i := 0; i < 4; i++ {
		done.Add(1)
		go func() {
			defer done.Done()
			for j := 0; j < 200; j++ {
				lock.Lock()
				burn(round, 50)
				lock.Unlock()
				runtime.Gosched()
			}
		}()
	}
	done.Wait()
}

func calls(round uint64) {
	for i := 0; i < 500; i++ {
		syscall.Getppid()
		time.Now()
	}
	select {
	case <-time.After(10 * time.Microsecond):
	}
}

func callsC(round uint64) {
	sink.Store("c", inC(round))
	sink.Store("back", andBack(round))
}

func main() {
	file, err := os.Create(os.Args[1])
	if err != nil {
		panic(err)
	}
	pprof.StartCPUProfile(file)
	defer pprof.StopCPUProfile()
	fmt.Println(os.Getpid())
	var over int32
	go func() {
		os.Stdin.Read(make([]byte, 1))
		atomic.StoreInt32(&over, 1)
	}()
	var done sync.WaitGroup
	for name, work := range map[string]func(uint64){
		"shapes": shapes, "panics": panics, "handsOver": handsOver, "collects": collects,
		"grows": grows, "locks": locks, "calls": calls, "callsC": callsC,
	} {
		work := work
		done.Add(1)
		labels := pprof.Labels("work", name, "team", "été", "long", strings.Repeat("l", 100))
		go pprof.Do(context.Background(), labels, func(context.Context) {
			defer done.Done()
			for round := uint64(0); atomic.LoadInt32(&over) == 0; round++ {
				work(round)
			}
		})
	}
	done.Wait()
}
