//! `micro logout`: forgets the token.

use crate::{
    commands::Outcome,
    context::Context,
    error::Result,
    printer::Output,
    session::{current_user_key, saved_keys},
};

/// Removes the saved token of this environment. Silent, also if there is none.
pub(crate) fn run(context: &Context<'_>) -> Result<Outcome> {
    let mut config = context.config()?;
    let place = context.place(&config)?;
    let keys = saved_keys(context, &config, &place);
    if !keys.is_empty() {
        let tokens = context.tokens()?;
        for key in &keys {
            tokens.remove(key)?;
        }
        config.set(&current_user_key(&place.name), "")?;
    }
    Ok(Output::Nothing.into())
}
