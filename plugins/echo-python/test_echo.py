"""The contract in ../echo/README.md, without a host: `PYTHONPATH=../../guest-sdk/python python3 -m unittest`."""

import unittest

from echo import handle
from seriatim import Event, Reject, Retry, subject_token


class FakeHost:
    """One entity's state in a dictionary; what was emitted in a list."""

    def __init__(self, config=None, state=None):
        self.config, self.state, self.sent = config or {}, state or {}, []

    def config_get(self, key):
        return self.config.get(key)

    def state_get(self, key):
        return self.state.get(key)

    def state_set(self, key, value):
        self.state[key] = value

    def emit(self, subject, headers, payload):
        self.sent.append((subject, headers, payload))


class Echo(unittest.TestCase):
    def test_every_event_is_sent_on_with_its_sequence_and_count(self):
        host = FakeHost({"to": "echo"})
        for sequence in (5, 6, 7):
            handle(Event("N1.x", sequence, bytes([0, 255, sequence])), host)
        headers = [("Echo-Sequence", "7"), ("Echo-Count", "3")]
        self.assertEqual(host.sent[2], ("echo.N1=2Ex", headers, b"\x00\xff\x07"))
        self.assertEqual((len(host.sent), host.state), (3, {"count": b"3"}))

    def test_without_a_destination_it_asks_to_be_called_again(self):
        with self.assertRaises(Retry) as failure:
            handle(Event("N1", 1), FakeHost())
        self.assertEqual(failure.exception.reason, "the handler's config has no `to`")

    def test_a_state_that_is_not_its_own_is_rejected(self):
        host = FakeHost({"to": "echo"}, {"count": b"seven"})
        with self.assertRaises(Reject):
            handle(Event("N1", 1), host)
        self.assertEqual((host.sent, host.state), ([], {"count": b"seven"}))

    def test_tokens(self):
        self.assertEqual(subject_token("N1_a-b"), "N1_a-b")
        self.assertEqual(subject_token("a.b *>=é"), "a=2Eb=20=2A=3E=3D=C3=A9")


if __name__ == "__main__":
    unittest.main()
