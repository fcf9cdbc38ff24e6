package rotation

import "github.com/seriatim/seriatim/guest-sdk/go/seriatim"

// What is remembered and what is sent. The fields stand in the order of their names, in which encoding/json writes them.

type aircraft struct {
	// The flight it is on; nil: it is on the ground.
	Airborne *airborne `json:"airborne"`
	// The flight before that one, if any.
	Previous *previous `json:"previous"`
	Total    total     `json:"total"`
}

type airborne struct {
	Carrier   text    `json:"carrier"`
	DepDelay  int32   `json:"dep_delay"`
	Dest      text    `json:"dest"`
	Flight    uint32  `json:"flight"`
	Inherited *uint32 `json:"inherited"`
	Origin    text    `json:"origin"`
}

func (a *airborne) flight() flight { return flight{a.Carrier, a.Flight, a.Origin, a.Dest} }

type previous struct {
	ArrDelay *int32 `json:"arr_delay"`
	Carrier  text   `json:"carrier"`
	Dest     text   `json:"dest"`
	Flight   uint32 `json:"flight"`
	Origin   text   `json:"origin"`
	Time     text   `json:"time"`
}

type total struct {
	Alerts        uint64 `json:"alerts"`
	Diversions    uint64 `json:"diversions"`
	Flights       uint64 `json:"flights"`
	Inherited     uint64 `json:"inherited"`
	LateArrival   uint64 `json:"late_arrival"`
	LateDeparture uint64 `json:"late_departure"`
	Minutes       uint64 `json:"minutes"`
	Untimed       uint64 `json:"untimed"`
}

type alert struct {
	Carrier   text      `json:"carrier"`
	Cause     string    `json:"cause"`
	DepDelay  int32     `json:"dep_delay"`
	Dest      text      `json:"dest"`
	Flight    uint32    `json:"flight"`
	Inherited *uint32   `json:"inherited"`
	Origin    text      `json:"origin"`
	Own       *uint32   `json:"own"`
	Previous  *previous `json:"previous"`
	Tailnum   text      `json:"tailnum"`
	Threshold uint32    `json:"threshold"`
	Time      text      `json:"time"`
}

type summary struct {
	AirTime   *uint32 `json:"air_time"`
	ArrDelay  *int32  `json:"arr_delay"`
	Carrier   text    `json:"carrier"`
	DepDelay  int32   `json:"dep_delay"`
	Dest      text    `json:"dest"`
	Flight    uint32  `json:"flight"`
	Inherited *uint32 `json:"inherited"`
	Origin    text    `json:"origin"`
	Outcome   string  `json:"outcome"`
	Tailnum   text    `json:"tailnum"`
	Time      text    `json:"time"`
	Total     total   `json:"total"`
}

const stateKey = "aircraft"

// load is the aircraft as it was left; a new one is on the ground and has flown nothing.
func load(host seriatim.Host) (*aircraft, error) {
	craft := &aircraft{}
	value, ok := host.StateGet(stateKey)
	if !ok {
		return craft, nil
	}
	state := decode("state `aircraft`", value)
	state.objectOrNull("airborne", func(o *object) {
		f := o.flight()
		craft.Airborne = &airborne{f.carrier, o.signed("dep_delay"), f.dest, f.number, o.unsignedOrNull("inherited"), f.origin}
	})
	state.objectOrNull("previous", func(o *object) {
		f := o.flight()
		craft.Previous = &previous{o.signedOrNull("arr_delay"), f.carrier, f.dest, f.number, f.origin, o.text("time")}
	})
	state.object("total", func(o *object) {
		read := func(name string) uint64 { return o.unsigned(name, 64) }
		craft.Total = total{
			read("alerts"), read("diversions"), read("flights"), read("inherited"), read("late_arrival"), read("late_departure"),
			read("minutes"), read("untimed"),
		}
	})
	return craft, state.err
}

func save(host seriatim.Host, craft *aircraft) error {
	value, err := encode(craft)
	if err == nil {
		host.StateSet(stateKey, value)
	}
	return err
}
