//! Where in its shard an entity's actor is, by the entity's name. The names stand with the actors, not here: there are as many as entities in memory.

use super::actor::Actor;
use crate::event::EntityKey;
use hashbrown::HashTable;
use slab::Slab;
use std::hash::{BuildHasher as _, RandomState};

/// Tokens of actors by their keys.
#[derive(Debug, Default)]
pub(super) struct Places {
    tokens: HashTable<u32>,
    /// Keyed by chance: names come from outside.
    hasher: RandomState,
}

/// Whether this is the token of that entity's actor.
fn is<'a>(actors: &'a Slab<Actor>, key: &'a EntityKey) -> impl FnMut(&u32) -> bool + 'a {
    move |token| actors.get(*token as usize).is_some_and(|actor| actor.key == *key)
}

impl Places {
    /// The token of an entity in memory.
    pub(super) fn find(&self, key: &EntityKey, actors: &Slab<Actor>) -> Option<usize> {
        self.tokens.find(self.hasher.hash_one(key), is(actors, key)).map(|token| *token as usize)
    }

    /// An actor that is not in here. (`entities-max` is far below what a token holds.)
    pub(super) fn insert(&mut self, token: usize, actors: &Slab<Actor>) {
        let (Some(actor), Ok(token)) = (actors.get(token), u32::try_from(token)) else { return };
        let Self { tokens, hasher } = self;
        let hash = |token: &u32| actors.get(*token as usize).map_or(0, |actor| hasher.hash_one(&actor.key));
        tokens.insert_unique(hasher.hash_one(&actor.key), token, hash);
    }

    /// While the actor is still there.
    pub(super) fn remove(&mut self, key: &EntityKey, actors: &Slab<Actor>) {
        if let Ok(entry) = self.tokens.find_entry(self.hasher.hash_one(key), is(actors, key)) {
            entry.remove();
        }
    }
}
