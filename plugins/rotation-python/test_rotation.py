"""The contract in ../rotation/README.md, without a host: `python3 -m unittest`."""

import json
import unittest

from rotation import handle
from seriatim import Event, Reject, Retry

FLIGHT = {"tailnum": "N1", "time": "2013-01-01T05:00:00Z", "carrier": "UA", "flight": 1, "origin": "EWR", "dest": "IAH"}


class Aircraft:
    """The host of one aircraft: its state in a dictionary, what was emitted in a list."""

    def __init__(self, threshold="15"):
        self.config, self.state, self.sent = {"threshold-minutes": threshold}, {}, []

    def config_get(self, key):
        return self.config.get(key)

    def state_get(self, key):
        return self.state.get(key)

    def state_set(self, key, value):
        self.state[key] = value

    def emit(self, subject, headers, payload):
        assert headers == []
        self.sent.append((subject, payload.decode()))

    def handle(self, kind, payload=None, **fields):
        payload = json.dumps(FLIGHT | fields).encode() if payload is None else payload
        handle(Event(entity="N1", kind=kind, payload=payload), self)


class Rotation(unittest.TestCase):
    def rejected(self, aircraft, *event, **fields):
        before = dict(aircraft.state)
        with self.assertRaises(Reject) as failure:
            aircraft.handle(*event, **fields)
        self.assertEqual(aircraft.state, before)
        return failure.exception.reason

    def test_a_flight_gives_the_bytes_of_the_contract(self):
        aircraft = Aircraft()
        aircraft.handle("departure", dep_delay=16)
        aircraft.handle("arrival", arr_delay=12, air_time=200)
        aircraft.handle("departure", dep_delay=24)
        previous = '{"arr_delay":12,"carrier":"UA","dest":"IAH","flight":1,"origin":"EWR","time":"2013-01-01T05:00:00Z"}'
        start, end = '{"carrier":"UA","cause":', '"tailnum":"N1","threshold":15,"time":"2013-01-01T05:00:00Z"}'
        flight = '"dest":"IAH","flight":1,"inherited":'
        total = '{"alerts":1,"diversions":0,"flights":1,"inherited":0,"late_arrival":12,"late_departure":16,"minutes":200,"untimed":0}'
        self.assertEqual(
            aircraft.sent,
            [
                ("rotation.alert.N1", f'{start}"unknown","dep_delay":16,{flight}null,"origin":"EWR","own":null,"previous":null,{end}'),
                (
                    "rotation.summary.N1",
                    f'{{"air_time":200,"arr_delay":12,"carrier":"UA","dep_delay":16,{flight}null,"origin":"EWR","outcome":"arrival",'
                    f'"tailnum":"N1","time":"2013-01-01T05:00:00Z","total":{total}}}',
                ),
                ("rotation.alert.N1", f'{start}"late-aircraft","dep_delay":24,{flight}12,"origin":"EWR","own":12,"previous":{previous},{end}'),
            ],
        )
        airborne = f'{{"carrier":"UA","dep_delay":24,{flight}12,"origin":"EWR"}}'
        total = '{"alerts":2,"diversions":0,"flights":1,"inherited":12,"late_arrival":12,"late_departure":40,"minutes":200,"untimed":0}'
        state = f'{{"airborne":{airborne},"previous":{previous},"total":{total}}}'
        self.assertEqual(aircraft.state, {"aircraft": state.encode()})

    def test_what_cannot_happen_in_true_order_is_rejected(self):
        aircraft = Aircraft()
        ground = "diversion of UA1 EWR-IAH while on the ground: impossible in true order"
        self.assertEqual(self.rejected(aircraft, "diversion"), ground)
        aircraft.handle("departure", dep_delay=0)
        airborne = "diversion of UA2 EWR-IAH while airborne with UA1 EWR-IAH: impossible in true order"
        self.assertEqual(self.rejected(aircraft, "diversion", flight=2), airborne)

    def test_a_payload_that_is_not_as_described_is_rejected(self):
        start = "payload is not the expected JSON: "
        for dep_delay in ("1", 2.0, -0.0, True, None, 2**31):
            self.assertTrue(self.rejected(Aircraft(), "departure", dep_delay=dep_delay).startswith(start), dep_delay)
        for payload in (b"", b"[]", b"NaN", b"\xff", b'{"tailnum":"\\ud800"}'):
            self.assertTrue(self.rejected(Aircraft(), "departure", payload).startswith(start), payload)
        other = 'the payload\'s tailnum is "N2", the entity is "N1"'
        self.assertEqual(self.rejected(Aircraft(), "departure", tailnum="N2"), other)

    def test_a_total_is_never_too_large(self):
        aircraft = Aircraft()
        aircraft.handle("departure", dep_delay=1)
        aircraft.state["aircraft"] = aircraft.state["aircraft"].replace(b'"flights":0', b'"flights":18446744073709551615')
        self.assertEqual(self.rejected(aircraft, "diversion"), "a total of the aircraft would be too large")

    def test_without_a_good_threshold_it_asks_to_be_called_again(self):
        for text in (None, "", "soon", "+5", " 5", "1441", "99999999999", "٣"):
            with self.assertRaises(Retry):
                Aircraft(text).handle("departure", dep_delay=0)
        for text in ("0", "015", "1440"):
            Aircraft(text).handle("departure", dep_delay=0)


if __name__ == "__main__":
    unittest.main()
