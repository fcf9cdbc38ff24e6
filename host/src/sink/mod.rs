//! From committed outputs to the broker: what may be sent (`outbox`), how it is sent and confirmed (`publisher`), which
//! streams take it (`streams`), what of it arrived already (`scan`), what is stored only
//! behind a certain message (`conditional`), the form of dead letters (`dead_letter`), and their
//! stream as operators need it (`dead_letters`). Nothing here decides what an output says.

pub mod ack;
pub mod conditional;
pub mod dead_letter;
pub mod dead_letter_stream;
pub mod dead_letters;
pub mod lifecycle;
pub mod lookup;
pub mod outbox;
pub mod publisher;
pub mod scan;
pub mod search;
pub mod streams;
