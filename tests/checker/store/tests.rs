//! The frozen bytes of version 1, and what the parts of a key mean.
