//! What a person sees while the demo runs: a bar on a terminal, plain lines elsewhere.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::time::Duration;

const TEMPLATE: &str = "  {bar:36.cyan/blue} {human_pos} of {human_len} outputs  {msg}";
const REDRAW: Duration = Duration::from_millis(100);

/// The demo's voice.
pub(crate) struct Progress {
    bar: ProgressBar,
    terminal: bool,
}

impl Progress {
    /// A bar that ends at `total` outputs, if standard output is a terminal.
    pub(crate) fn new(total: u64) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let target = if terminal { ProgressDrawTarget::stdout() } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(total), target).with_style(style);
        bar.enable_steady_tick(REDRAW);
        Self { bar, terminal }
    }

    /// A line that stays.
    pub(crate) fn say(&self, line: &str) {
        if self.terminal {
            self.bar.println(line);
        } else {
            println!("{line}");
        }
    }

    /// How many outputs there are, and what goes on.
    pub(crate) fn at(&self, outputs: u64, now: &str) {
        self.bar.set_position(outputs);
        if self.bar.message() != now {
            self.bar.set_message(now.to_owned());
        }
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}
