//! Components that take each other's place while the host runs, as after `plugin load`. Drawn from dice of their own, so that the rest of a run is what it
//! was before there were any. That a record names the component that made the output is the checker's to judge.

use crate::dice::Dice;
use crate::handler;
use crate::note;
use crate::world::World;

/// Draws of their own: another number than any that the rest of a run begins with.
const SALT: u64 = 0xC0DE_5A70_0000_0001;

/// See the module.
pub(crate) struct Replacing {
    dice: Dice,
    /// Once in so many steps; 0 = never.
    rate: u64,
    /// Which component runs, also after a start: that is kept with the store.
    pub(crate) runs: usize,
}

impl Replacing {
    /// Half of all runs have some.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ SALT);
        let rate = dice.pick(&[0, 0, 3, 30]);
        Self { dice, rate, runs: 0 }
    }
}

impl World {
    /// Between any two steps: another component handles the next event of each entity.
    pub(crate) fn replace(&mut self) {
        let Some(host) = &self.host else { return };
        if !self.replacing.dice.once_in(self.replacing.rate) {
            return;
        }
        self.replacing.runs = (self.replacing.runs + 1) % handler::COMPONENTS;
        let component = handler::component(self.replacing.runs);
        note!(self.trace, "operator: component {} handles the next event of each entity", component.digest());
        host.parts.pipeline.handlers.replace(0, component);
        self.stats.add("components replaced");
        if host.calls() > 0 {
            self.stats.add("components replaced during a call");
        }
    }
}
