// Package rotation follows each aircraft from flight to flight. The contract, byte for byte, is ../../rotation/README.md. It knows no
// WebAssembly: the component hands it the host, tests hand it a fake one.
package rotation

import (
	"fmt"
	"math"
	"strconv"

	"github.com/seriatim/seriatim/guest-sdk/go/seriatim"
)

const thresholdMax = 24 * 60

type flight struct {
	carrier      text
	number       uint32
	origin, dest text
}

func (f flight) String() string {
	return fmt.Sprintf("%s%d %s-%s", f.carrier, f.number, f.origin, f.dest)
}

// Handle handles one event of one aircraft.
func Handle(event seriatim.Event, host seriatim.Host) error {
	limit, err := threshold(host)
	if err != nil {
		return err
	}
	switch event.Kind {
	case "departure":
		return departed(event, limit, host)
	case "arrival", "diversion":
		return ended(event, host)
	}
	return seriatim.Reject("kind \"%s\" is none of departure, arrival, diversion", event.Kind)
}

func departed(event seriatim.Event, limit uint32, host seriatim.Host) error {
	payload, flight, err := common(event)
	if err != nil {
		return err
	}
	delay := payload.signed("dep_delay")
	if payload.err != nil {
		return payload.err
	}
	craft, err := load(host)
	if err != nil {
		return err
	}
	if craft.Airborne != nil {
		return impossible(event, flight, craft.Airborne)
	}
	late := minutesLate(delay)
	inherited := inheritedOf(late, craft.Previous)
	known := uint32(0)
	if inherited != nil {
		known = *inherited
	}
	total := &craft.Total
	if err := first(add(&total.LateDeparture, late), add(&total.Inherited, known)); err != nil {
		return err
	}
	if late > limit {
		if err := add(&total.Alerts, 1); err != nil {
			return err
		}
		var own *uint32
		if inherited != nil {
			rest := late - *inherited
			own = &rest
		}
		message := alert{
			Carrier: flight.carrier, Cause: cause(late, inherited), DepDelay: delay, Dest: flight.dest, Flight: flight.number, Inherited: inherited,
			Origin: flight.origin, Own: own, Previous: craft.Previous, Tailnum: payload.text("tailnum"), Threshold: limit, Time: payload.text("time"),
		}
		if err := emit(host, "alert", event, message); err != nil {
			return err
		}
	}
	craft.Airborne = &airborne{flight.carrier, delay, flight.dest, flight.number, inherited, flight.origin}
	return save(host, craft)
}

func ended(event seriatim.Event, host seriatim.Host) error {
	payload, flight, err := common(event)
	if err != nil {
		return err
	}
	var arrDelay *int32
	var airTime *uint32
	if event.Kind == "arrival" {
		arrDelay, airTime = payload.signedOrNull("arr_delay"), payload.unsignedOrNull("air_time")
	}
	if payload.err != nil {
		return payload.err
	}
	craft, err := load(host)
	if err != nil {
		return err
	}
	from := craft.Airborne
	if from == nil || from.flight() != flight {
		return impossible(event, flight, from)
	}
	var late, minutes uint32
	if arrDelay != nil {
		late = minutesLate(*arrDelay)
	}
	if airTime != nil {
		minutes = *airTime
	}
	total := &craft.Total
	err = first(
		add(&total.Flights, 1), add(&total.Diversions, count(event.Kind == "diversion")), add(&total.LateArrival, late),
		add(&total.Minutes, minutes), add(&total.Untimed, count(airTime == nil)),
	)
	if err != nil {
		return err
	}
	message := summary{
		AirTime: airTime, ArrDelay: arrDelay, Carrier: flight.carrier, DepDelay: from.DepDelay, Dest: flight.dest, Flight: flight.number,
		Inherited: from.Inherited, Origin: flight.origin, Outcome: event.Kind, Tailnum: payload.text("tailnum"), Time: payload.text("time"), Total: *total,
	}
	if err := emit(host, "summary", event, message); err != nil {
		return err
	}
	craft.Airborne = nil
	craft.Previous = &previous{arrDelay, flight.carrier, flight.dest, flight.number, flight.origin, payload.text("time")}
	return save(host, craft)
}

// threshold is how late a departure may be without an alert. A setting can be put right, so without a good one the event is tried again.
func threshold(host seriatim.Host) (uint32, error) {
	setting, ok := host.ConfigGet("threshold-minutes")
	if !ok {
		return 0, seriatim.Retry(`config "threshold-minutes" is missing: how many minutes late a departure may be without an alert`)
	}
	minutes, err := strconv.ParseUint(setting, 10, 32)
	if err != nil || minutes > thresholdMax {
		return 0, seriatim.Retry("config \"threshold-minutes\" is \"%s\": not a whole number from 0 to %d", setting, thresholdMax)
	}
	return uint32(minutes), nil
}

// common reads what every payload has; it must be about the event's aircraft.
func common(event seriatim.Event) (*object, flight, error) {
	payload := decode("payload", event.Payload)
	flight, tailnum := payload.flight(), payload.text("tailnum")
	payload.text("time")
	if payload.err != nil {
		return nil, flight, payload.err
	}
	if string(tailnum) != event.Entity {
		return nil, flight, seriatim.Reject("the payload's tailnum is \"%s\", the entity is \"%s\"", tailnum, event.Entity)
	}
	return payload, flight, nil
}

// inheritedOf is how many of the minutes may have come from the late arrival before; nil if nobody knows.
func inheritedOf(late uint32, before *previous) *uint32 {
	if late == 0 {
		return new(uint32)
	}
	if before == nil || before.ArrDelay == nil {
		return nil
	}
	inherited := min(late, minutesLate(*before.ArrDelay))
	return &inherited
}

func cause(late uint32, inherited *uint32) string {
	switch {
	case inherited == nil:
		return "unknown"
	case 2*uint64(*inherited) >= uint64(late):
		return "late-aircraft"
	}
	return "other"
}

func impossible(event seriatim.Event, flight flight, from *airborne) error {
	place := "on the ground"
	if from != nil {
		place = "airborne with " + from.flight().String()
	}
	return seriatim.Reject("%s of %s while %s: impossible in true order", event.Kind, flight, place)
}

func minutesLate(delay int32) uint32 { return uint32(max(delay, 0)) }

func count(is bool) uint32 {
	if is {
		return 1
	}
	return 0
}

func add(total *uint64, amount uint32) error {
	if *total > math.MaxUint64-uint64(amount) {
		return seriatim.Reject("a total of the aircraft would be too large")
	}
	*total += uint64(amount)
	return nil
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func emit(host seriatim.Host, what string, event seriatim.Event, message any) error {
	payload, err := encode(message)
	if err == nil {
		host.Emit("rotation."+what+"."+seriatim.SubjectToken(event.Entity), nil, payload)
	}
	return err
}
