//! An event-sourced account: `opened`, `deposited`, `withdrawn` and `closed` change it, and each new balance is sent on with the version that it
//! belongs to. Amounts are whole numbers of the smallest unit of money.

use serde::{Deserialize, Serialize};
use seriatim_guest::{Aggregate, Event, Failure, Output, Snapshot, config, export, subject_token};

/// The account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// What is on it; below 0 it is overdrawn.
    pub balance: i64,
    /// It was opened, and not closed since.
    pub open: bool,
}

#[derive(Deserialize)]
struct Moved {
    amount: u32,
}

impl Account {
    fn opened(&mut self) {
        self.open = true;
    }

    fn deposited(&mut self, moved: &Moved) {
        self.balance = self.balance.saturating_add(moved.amount.into());
    }

    fn withdrawn(&mut self, moved: &Moved) {
        self.balance = self.balance.saturating_sub(moved.amount.into());
    }

    fn closed(&mut self) {
        self.open = false;
    }
}

impl Aggregate for Account {
    fn apply(&mut self, event: &Event) -> Result<(), Failure> {
        match event.kind.as_str() {
            "opened" => self.opened(),
            "deposited" => self.deposited(&event.json()?),
            "withdrawn" => self.withdrawn(&event.json()?),
            "closed" => self.closed(),
            _ => return Err(event.unknown_kind()),
        }
        Ok(())
    }

    fn emit(now: &Snapshot<Self>, event: &Event) -> Result<(), Failure> {
        let to = config("to").ok_or_else(|| Failure::retry("the handler's config has no `to`"))?;
        Output::to(format!("{to}.{}", subject_token(&event.entity))).header("Account-Version", now.version()).json(&now.state)?.emit();
        Ok(())
    }
}

export!(Account);
