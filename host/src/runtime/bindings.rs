//! The host's side of `wit/`, generated. Arguments of `handle` are borrowed, so that an event is copied only into the guest.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "handler",
    imports: { default: trappable },
    exports: { default: async },
    ownership: Borrowing { duplicate_if_necessary: true },
});
