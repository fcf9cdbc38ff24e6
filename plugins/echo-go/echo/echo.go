// Package echo is the smallest handler: it sends every event on, with its sequence and a counter. It knows no WebAssembly: the component hands it
// the host, tests hand it a fake one.
package echo

import (
	"strconv"

	"github.com/seriatim/seriatim/guest-sdk/go/seriatim"
)

// Handle handles one event: it counts it and sends its payload on.
func Handle(event seriatim.Event, host seriatim.Host) error {
	to, ok := host.ConfigGet("to")
	if !ok {
		return seriatim.Retry("the handler's config has no `to`")
	}
	count := uint64(0)
	if value, ok := host.StateGet("count"); ok {
		stored, err := strconv.ParseUint(string(value), 10, 64)
		if err != nil {
			return seriatim.Reject("state `count` is not the expected JSON: %s", err)
		}
		count = stored
	}
	count++
	host.StateSet("count", strconv.AppendUint(nil, count, 10))
	headers := []seriatim.Header{
		{Name: "Echo-Sequence", Value: strconv.FormatUint(event.Sequence, 10)},
		{Name: "Echo-Count", Value: strconv.FormatUint(count, 10)},
	}
	host.Emit(to+"."+seriatim.SubjectToken(event.Entity), headers, event.Payload)
	return nil
}
