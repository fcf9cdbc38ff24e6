//! One promise per file. Which file proves which sentence is listed in `tests/README.md`.

mod broker_away;
mod broker_killed;
mod dead_letters_with_nats_headers;
mod decided_once;
mod duplicates;
mod gap_fills_late;
mod gap_never_fills;
mod harness_itself;
mod host_killed_at_failpoints;
mod host_killed_at_random;
mod killed_around_a_catch_up_commit;
mod malformed_messages;
mod misbehaving_handlers;
mod order_under_shuffle;
mod output_streams;
mod poison_event;
mod restart_while;
mod stopped_past_wait;
