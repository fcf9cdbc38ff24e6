//go:build wasip1

package seriatim

// What only the component has: the world in the component model's canonical ABI for 32-bit memories. The host compares every signature with
// `wit/handler.wit` when it loads the module.
//
// What the host hands over lies in memory that Go's collector must not take before the end of the call: [held] keeps it.

import (
	"errors"
	"fmt"
	"runtime/debug"
	"unsafe"
)

var handler func(Event, Host) error

// Export makes a function the component's handler. Call it from an init.
func Export(handle func(Event, Host) error) { handler = handle }

type world struct{}

func (world) ConfigGet(key string) (string, bool) {
	var found option
	configGet(key, unsafe.Pointer(&found))
	return found.value.string(), found.some != 0
}

func (world) StateGet(key string) ([]byte, bool) {
	var found option
	stateGet(key, unsafe.Pointer(&found))
	return found.value.bytes(), found.some != 0
}

func (world) StateSet(key string, value []byte) { stateSet(key, string(value)) }

func (world) StateDelete(key string) { stateDelete(key) }

func (world) Emit(subject string, headers []Header, payload []byte) {
	lowered := make([][2]list, 0, len(headers)+1)
	for _, header := range headers {
		lowered = append(lowered, [2]list{hold([]byte(header.Name)), hold([]byte(header.Value))})
	}
	emit(subject, unsafe.Pointer(unsafe.SliceData(lowered)), uint32(len(headers)), string(payload))
}

func (world) Log(level Level, message string) { logWrite(uint32(level), message, nil, 0) }

//go:wasmimport seriatim:handler/config@0.1.0 get
func configGet(key string, found unsafe.Pointer)

//go:wasmimport seriatim:handler/state@0.1.0 get
func stateGet(key string, found unsafe.Pointer)

//go:wasmimport seriatim:handler/state@0.1.0 set
func stateSet(key string, value string)

//go:wasmimport seriatim:handler/state@0.1.0 delete
func stateDelete(key string)

//go:wasmimport seriatim:handler/output@0.1.0 emit
func emit(subject string, headers unsafe.Pointer, count uint32, payload string)

//go:wasmimport seriatim:handler/log@0.1.0 write
func logWrite(level uint32, message string, fields unsafe.Pointer, count uint32)

// list is a string or a list of bytes in the memory.
type list struct{ at, length uint32 }

// option is an option of either. Of the padded discriminants, here and below, only one byte is written or read.
type option struct {
	some  uint8
	value list
}

func (l list) view() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(uintptr(l.at))), l.length)
}

func (l list) string() string { return string(l.view()) }

func (l list) bytes() []byte { return append([]byte{}, l.view()...) }

// record is `event` as it lies in the memory.
type record struct {
	pipeline, entity  list
	epoch, sequence   uint64
	id, kind, subject list
	time              int64
	streamSequence    uint64
	headers, payload  list
}

// result is `result<_, failure>`.
type result struct {
	isFailure uint8
	failure   struct {
		isReject uint8
		reason   list
	}
}

var (
	held   [][]byte
	answer result
)

// hold keeps bytes until the end of the call and says where they are.
func hold(bytes []byte) list {
	held = append(held, bytes)
	return list{uint32(uintptr(unsafe.Pointer(unsafe.SliceData(bytes)))), uint32(len(bytes))}
}

//go:wasmexport handle
func exportedHandle(at uint32) uint32 {
	defer func() {
		if panicked := recover(); panicked != nil {
			// What Go itself prints of it is dropped. It stays a panic: the host counts a trap.
			world{}.Log(Error, fmt.Sprintf("panic: %v\n%s", panicked, debug.Stack()))
			panic(panicked)
		}
	}()
	from := (*record)(unsafe.Pointer(uintptr(at)))
	event := Event{
		Pipeline: from.pipeline.string(), Entity: from.entity.string(), ID: from.id.string(), Kind: from.kind.string(),
		Subject: from.subject.string(), Epoch: from.epoch, Sequence: from.sequence, StreamSequence: from.streamSequence,
		Time: from.time, Payload: from.payload.bytes(),
	}
	for _, header := range unsafe.Slice((*[2]list)(unsafe.Pointer(uintptr(from.headers.at))), from.headers.length) {
		event.Headers = append(event.Headers, Header{header[0].string(), header[1].string()})
	}
	answer = result{}
	if err := handler(event, world{}); err != nil {
		var failure *Failure
		answer.isFailure = 1
		answer.failure.reason = hold([]byte(err.Error()))
		if !errors.As(err, &failure) || !failure.Again {
			answer.failure.isReject = 1
		}
	}
	return uint32(uintptr(unsafe.Pointer(&answer)))
}

//go:wasmexport cabi_post_handle
func exportedPost(uint32) { clear(held); held = held[:0] }

// The host asks for room for what it hands over; it never asks for room to grow. Go aligns what is that large to 8 bytes, as needed.
//
//go:wasmexport cabi_realloc
func exportedRealloc(old, oldSize, alignment, size uint32) uint32 {
	return hold(make([]byte, max(size, 8))).at
}
